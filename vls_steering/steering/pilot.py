"""The steered policy as the rest of the system sees it: one observation in, one chunk out."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from vls_steering.core.arrays import FloatArray
from vls_steering.core.clocks import Clock, MonotonicClock
from vls_steering.core.errors import VlsError
from vls_steering.core.types import ActionChunk, ChunkSource, Observation
from vls_steering.policies.base import FrozenPolicy
from vls_steering.rewards.rollout import Scene
from vls_steering.steering.chunks import begins_at, hold_chunk, motion_chunk, opened_at
from vls_steering.steering.deadline import Deadline
from vls_steering.steering.figures import figures, rejection
from vls_steering.steering.initialise import Plan
from vls_steering.steering.noise import TickNoise
from vls_steering.steering.objective import Objective, Program
from vls_steering.steering.planner import Outcome, OutOfTime, Planner
from vls_steering.steering.sampler import Query
from vls_steering.steering.settings import SteeringSettings
from vls_steering.steering.stages import StageMachine, StageStatus
from vls_steering.steering.stall import StallWatch
from vls_steering.steering.stopwatch import Stopwatch
from vls_steering.steering.strength import strength_share
from vls_steering.steering.telemetry import SECTIONS, Telemetry, TickResult

# Longer than the two observations of any policy here at any tick rate worth running.
_HISTORY = 32
_NO_PROGRAM = StageStatus(index=0, progress=0.0, turned=False, finished=False)


class Pilot:
    """Steers one frozen policy with one reward program at a time.

    Every tick is a function of the seed, the tick number, the observations and delays since the reset and the
    program: a run replays, unless a deadline cuts ticks short.
    """

    def __init__(self, policy: FrozenPolicy, settings: SteeringSettings, seed: int, clock: Clock | None = None) -> None:
        """`clock` is what `deadline_ms` is measured with; the host's monotonic one when there is none."""
        self._clock = clock or MonotonicClock()
        self._policy = policy
        self._settings = settings
        self._seed = seed
        self._planner = Planner(policy, settings)
        self._program: Program | None = None
        self.reset()

    def set_program(self, program: Program | None) -> None:
        """Steer by `program` from the next tick on, from its first stage; None = unsteered."""
        self._program = program
        self._stages = StageMachine(program.stages, self._settings.stages) if program is not None else None
        self._turned = True

    def reset(self) -> None:
        """Forget plan, observations, stage and tick number; the program stays and starts over."""
        self._tick = 0
        self._steered = 0
        self._cut_short = 0
        self._plan: Plan | None = None
        self._executed: ActionChunk | None = None
        self._recovery = 0
        self._stall = StallWatch(self._settings.stall)
        self._history: deque[Observation] = deque(maxlen=_HISTORY)
        self.set_program(self._program)

    @property
    def finished(self) -> bool:
        """Every stage of the program is done."""
        return self._stages is not None and self._stages.finished

    def tick(self, observation: Observation, delay_s: float = 0.0) -> TickResult:
        """Plan from one observation.

        `delay_s` is how long after the observation the chunk will arrive at the executor: until then the arm
        follows the last one, so that much of the chunk is clamped to it; where there is none to follow, the chunk
        begins when it arrives.  A robot hands in the 95th percentile of
        what its ticks took (`LatencyEstimate`); where the world waits for the sampler it is 0.

        A hold is an answer, not an error: the chunk's source says so and `telemetry.reason` why.
        """
        watch = Stopwatch()
        deadline = Deadline(self._clock, 1e-3 * self._settings.deadline_ms or math.inf)
        self._remember(observation)
        status = self._stages.update(observation) if self._stages is not None else _NO_PROGRAM
        turned, self._turned = self._turned or status.turned, False
        if self._stall.stalled(observation) and not status.finished:
            self._plan, status = None, replace(status, event=status.event or "stalled: starting from noise")
        if status.overdue and status.event:
            # What it has been doing does not get it done.
            self._plan = None
        if turned or self._plan is None:
            self._recovery = self._settings.recovery_ticks
        outcome: Outcome | None = None
        reason = "the program is finished" if status.finished else ""
        if not reason:
            try:
                outcome = self._plan_motion(observation, status, turned, delay_s, deadline, watch)
            except VlsError as error:
                reason = str(error)
        if outcome is not None and outcome.selection.chosen is None:
            reason = rejection(outcome)
        result = self._result(observation, delay_s, status, outcome, reason, watch)
        self._executed = result.chunk
        self._tick += 1
        return result

    def commit(self, chunk: ActionChunk) -> None:
        """What the executor was really given, where that is not the last tick's chunk; a hold ends the plan."""
        self._executed = chunk
        if chunk.source is ChunkSource.HOLD:
            self._plan = None

    def _remember(self, observation: Observation) -> None:
        if self._history and observation.stamp_s < self._history[-1].stamp_s:
            # The clock went back (the world was reset): what came before belongs to another run.
            self._history.clear()
            self._plan = self._executed = None
        self._history.append(observation)
        if self._plan is not None and not self._goes_on(self._plan, observation):
            self.commit(self._hold(observation, ""))

    def _goes_on(self, plan: Plan, observation: Observation) -> bool:
        """The arm can still be following the plan.

        After a stop, a silence or a refused chunk it cannot, and a chunk that began with the plan's next steps
        would tear at the arm.
        """
        start = self._settings.start
        if start.mode == "cold":
            return True  # nothing of it is gone on with
        if observation.stamp_s - plan.stamp_s > start.max_age_s:
            return False
        tcp = torch.tensor(observation.robot.tcp_position, dtype=plan.tcp.dtype, device=plan.tcp.device)
        return plan.miss_m(observation.stamp_s, tcp) <= start.max_miss_m

    def _plan_motion(
        self,
        observation: Observation,
        status: StageStatus,
        turned: bool,
        delay_s: float,
        deadline: Deadline,
        watch: Stopwatch,
    ) -> Outcome:
        with watch.section("encode"):
            encoding = self._policy.encode(tuple(self._history))
        anchor = torch.tensor(observation.robot.tcp_position, dtype=encoding.dtype, device=encoding.device)
        space, settings = self._policy.action_space, self._settings
        warm = settings.start.mode == "warm" and self._plan is not None and not turned and self._recovery == 0
        course = self._planner.course(settings.warm_steps if warm else settings.cold_steps)
        begins_s = begins_at(self._executed, observation, delay_s)
        query = Query(
            stamp_s=observation.stamp_s,
            encoding=encoding,
            anchor=anchor,
            objective=self._objective(observation, anchor),
            strength_share=strength_share(status.progress, settings.strength),
            plan=self._plan,
            turned=turned,
            course=course,
            noise=TickNoise.draw(self._seed, self._tick, settings.count, len(course.moves), space.horizon, space.size),
            deadline=deadline,
            committed_s=self._committed_s(delay_s, begins_s > observation.stamp_s, turned),
        )
        try:
            outcome = self._planner.plan(query, watch)
        except OutOfTime:
            self._cut_short += 1
            raise
        self._cut_short += bool(outcome.samples.late)
        if outcome.samples.steps == 0 and outcome.selection.chosen is not None:
            return outcome  # the plan goes on, with all its lineages
        self._recovery = max(self._recovery - 1, 0)
        self._plan = None
        if outcome.selection.chosen is not None:
            self._plan = outcome.plan(begins_s, anchor, space.step_s)
        return outcome

    def _committed_s(self, delay_s: float, rests: bool, turned: bool) -> float:
        """How much of the executed chunk the next one must begin with, s."""
        if rests:
            return 0.0  # a chunk for an arm that stands until then continues nothing
        kept_s = 0.0 if turned else self._settings.splice.commit_steps * self._policy.action_space.step_s
        return max(delay_s, kept_s)

    def _objective(self, observation: Observation, anchor: Tensor) -> Objective | None:
        """The current stage's wish; None when these settings never look at a reward."""
        if self._stages is None or not self._settings.steers:
            return None
        space = self._policy.action_space
        times_s = space.step_s * torch.arange(1, space.horizon + 1, dtype=anchor.dtype, device=anchor.device)
        scene = Scene.from_observation(observation, dtype=anchor.dtype, device=anchor.device)
        return Objective(self._stages.judge, scene, space, anchor, times_s, self._settings.reward_s)

    def _result(
        self,
        observation: Observation,
        delay_s: float,
        status: StageStatus,
        outcome: Outcome | None,
        reason: str,
        watch: Stopwatch,
    ) -> TickResult:
        space = self._policy.action_space
        steered = self._stages is not None and self._settings.steers
        sha256 = self._program.program.sha256 if self._program is not None and steered else ""
        chosen = outcome.selection.chosen if outcome is not None else None
        if outcome is None or chosen is None:
            self._plan = None
            chunk = self._hold(observation, sha256)
        else:
            source = ChunkSource.STEERED if steered else ChunkSource.UNSTEERED
            path, widths = _array(outcome.tcp[chosen]), _array(outcome.gripper_width[chosen])
            begins_s = begins_at(self._executed, observation, delay_s)
            opened = opened_at(self._executed, observation)
            chunk = motion_chunk(observation, begins_s, path, widths, opened, space.step_s, source, sha256, self._tick)
        shaped = steered and chunk.source is not ChunkSource.HOLD and outcome is not None and _shaped(outcome)
        self._steered += int(shaped)
        return TickResult(
            chunk=chunk,
            candidates=_array(outcome.tcp) if outcome is not None else np.zeros((0, space.horizon, 3)),
            scores=_array(outcome.selection.scores) if outcome is not None else np.zeros(0),
            chosen=-1 if chosen is None else chosen,
            telemetry=self._telemetry(shaped, status, outcome, reason, watch),
        )

    def _hold(self, observation: Observation, sha256: str) -> ActionChunk:
        """Stay there, the gripper as it was told to be."""
        space = self._policy.action_space
        opened = opened_at(self._executed, observation)
        return hold_chunk(observation, space.horizon, opened, space.step_s, sha256, self._tick)

    def _telemetry(
        self, shaped: bool, status: StageStatus, outcome: Outcome | None, reason: str, watch: Stopwatch
    ) -> Telemetry:
        guided = outcome is not None and self._stages is not None and self._settings.guide.mode != "off"
        return Telemetry(
            tick=self._tick,
            stage=status.index,
            stages=self._stages.count if self._stages is not None else 0,
            stage_name=self._stages.stage.name if self._stages is not None else "",
            progress=status.progress,
            finished=status.finished,
            strength=strength_share(status.progress, self._settings.strength) if guided else 0.0,
            steered=shaped,
            share_steered=self._steered / (self._tick + 1),
            overdue=status.overdue,
            cut_short=self._cut_short,
            reason="; ".join(part for part in (reason, *self._remarks(status, outcome)) if part),
            durations_ms=watch.durations_ms(*SECTIONS),
            **figures(outcome),
        )

    def _remarks(self, status: StageStatus, outcome: Outcome | None) -> tuple[str, ...]:
        """What else is worth saying about this tick."""
        late = outcome.samples.late if outcome is not None else ""
        return status.event, late, self._planner.notice if self._tick == 0 else ""


def _shaped(outcome: Outcome) -> bool:
    """The program made a difference: it bent a candidate, or preferred one that was judged afresh."""
    if outcome.samples.steps == 0:
        return False
    rewards = outcome.reward[outcome.selection.order]
    return bool((outcome.samples.shift_m > 0.0).any()) or bool(rewards.max() > rewards.min())


def _array(value: Tensor) -> FloatArray:
    return value.detach().cpu().double().numpy()
