"""Which stage of the program is current: a stateful Schmitt trigger on what is measured."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from vls_steering.core.errors import StreamFault
from vls_steering.core.types import Observation
from vls_steering.steering.objective import Judge, Memory, StageReward
from vls_steering.steering.settings import StageSettings


@dataclass(frozen=True)
class StageStatus:
    """Where the program stands at one observation."""

    index: int
    progress: float  # of the current stage, 0..1
    turned: bool  # another stage is current than at the observation before
    finished: bool
    event: str = ""  # what changed, in words
    overdue: bool = False  # the stage has had more time than the program gives it


class StageMachine:
    """Advances when a stage stays done for a dwell time, goes back when what it relies on stays lost.

    A flicker of `done` restarts the dwell only if progress falls below `leave` as well.  A stage that is
    not `ready` for `lost_dwell_s` (the object slipped out of the hand) makes the nearest earlier stage that
    is ready current again.  Nothing else goes back: a keypoint missing for a moment costs nothing.  A stage
    that outlives its `deadline_s` stays current, because its aim still stands, and says so.
    """

    def __init__(self, stages: Sequence[StageReward], settings: StageSettings) -> None:
        self._stages = tuple(stages)
        self._settings = settings
        self._index = 0
        self._progress = 0.0
        self._done_since: float | None = None
        self._lost_since: float | None = None
        self._began_s: float | None = None
        self._overdue = False
        self._finished = False
        self._memory: Memory | None = self.stage.memory()

    @property
    def stage(self) -> StageReward:
        return self._stages[self._index]

    @property
    def judge(self) -> Judge:
        """What says how good chunks are: the current stage, in the light of its past where that matters."""
        return self._memory or self.stage

    @property
    def count(self) -> int:
        return len(self._stages)

    @property
    def finished(self) -> bool:
        return self._finished

    def update(self, observation: Observation) -> StageStatus:
        """Look at one observation."""
        before, event = self._index, ""
        try:
            if not self._finished:
                event = self._step(observation)
        except StreamFault:
            # An object is not among the keypoints: nothing is known, so nothing changes.
            event = ""
        if self._memory is not None:
            with suppress(StreamFault):
                self._memory.observe(observation)
        event = event or self._expire(observation.stamp_s)
        return StageStatus(self._index, self._progress, self._index != before, self._finished, event, self._overdue)

    def _step(self, observation: Observation) -> str:
        self._progress = self.stage.progress(observation)
        event = self._retreat(observation) or self._advance(observation)
        if event:
            self._done_since = self._lost_since = None
            self._began_s, self._overdue = observation.stamp_s, False
            self._memory = self.stage.memory()
            self._progress = 0.0
            with suppress(StreamFault):  # what the new stage is about may be out of sight: it is current all the same
                self._progress = self.stage.progress(observation)
        return event

    def _advance(self, observation: Observation) -> str:
        done = self.stage.done(observation)
        if done and self._done_since is None:
            self._done_since = observation.stamp_s
        if not done and self._progress < self._settings.leave:
            self._done_since = None
        if not done or not _lasted(self._done_since, observation.stamp_s, self._settings.dwell_s):
            return ""
        reached = self.stage.name
        if self._index + 1 == len(self._stages):
            self._finished = True
            return f"finished: {reached}"
        self._index += 1
        return f"reached: {reached}"

    def _retreat(self, observation: Observation) -> str:
        if self._index == 0 or self.stage.ready(observation):
            self._lost_since = None
            return ""
        if self._lost_since is None:
            self._lost_since = observation.stamp_s
        if not _lasted(self._lost_since, observation.stamp_s, self._settings.lost_dwell_s):
            return ""
        # Found before anything changes: looking may raise, and then nothing does.
        back = self._index - 1
        while back > 0 and not self._stages[back].ready(observation):
            back -= 1
        self._index = back
        return f"lost: back to {self.stage.name}"

    def _expire(self, now_s: float) -> str:
        """Says so once."""
        if self._began_s is None:
            self._began_s = now_s
        deadline_s = self.stage.deadline_s
        if self._finished or self._overdue or deadline_s is None or now_s - self._began_s <= deadline_s:
            return ""
        self._overdue = True
        return f"out of time: {self.stage.name} may take {deadline_s:g} s"


def _lasted(since_s: float | None, now_s: float, dwell_s: float) -> bool:
    return since_s is not None and now_s - since_s >= dwell_s - 1e-9
