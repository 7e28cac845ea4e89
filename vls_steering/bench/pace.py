"""When a method looks again, and how much of a chunk it has executed until then."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from vls_steering.core.types import ActionChunk
from vls_steering.safety import ExecutorState

TICK_S = 0.1
_REST_S = 0.2  # after its last step a chunk takes one more to come to rest, and the arm lags a little
_MOVING = (ExecutorState.TRACKING, ExecutorState.STOPPING)


class Pace(Protocol):
    """Strategy of one episode."""

    @property
    def patience_s(self) -> float:
        """Longest silence between two chunks that is part of the plan."""
        ...

    def executed(self, chunk: ActionChunk) -> ActionChunk:
        """What of a chunk is handed to the executor."""
        ...

    def next_look_s(self, begun_s: float, delay_s: float) -> float:
        """When the next tick begins, after one that began at `begun_s` and let the world go on for `delay_s`."""
        ...

    def may_look(self, state: ExecutorState) -> bool:
        """Whether it begins then; else as soon as it may."""
        ...


@dataclass(frozen=True)
class Streaming:
    """Plans while the arm follows the last chunk; the next chunk replaces the rest of it."""

    tick_s: float = TICK_S  # from one plan to the next, unless planning takes longer

    @property
    def patience_s(self) -> float:
        return 2.0 * self.tick_s

    def executed(self, chunk: ActionChunk) -> ActionChunk:
        return chunk

    def next_look_s(self, begun_s: float, delay_s: float) -> float:
        return begun_s + self.tick_s

    def may_look(self, state: ExecutorState) -> bool:
        return True


@dataclass(frozen=True)
class StopAndGo:
    """Plans while the arm stands, executes the first `execute_s` of the chunk, stops and looks again.

    How a method that does not reckon with its own latency runs on a robot: a chunk that it planned for a moving arm
    would begin where the arm has long been.
    """

    execute_s: float

    @property
    def patience_s(self) -> float:
        return 4.0 * self.execute_s

    def executed(self, chunk: ActionChunk) -> ActionChunk:
        begins_s = 2.0 * chunk.times_s[0] - chunk.times_s[1]
        count = max(int(((chunk.times_s - begins_s) < self.execute_s + 1e-6).sum()), 2)
        return replace(
            chunk,
            times_s=chunk.times_s[:count],
            positions=chunk.positions[:count],
            quats_xyzw=chunk.quats_xyzw[:count],
            gripper_widths_m=chunk.gripper_widths_m[:count],
        )

    def next_look_s(self, begun_s: float, delay_s: float) -> float:
        return begun_s + delay_s + self.execute_s + _REST_S

    def may_look(self, state: ExecutorState) -> bool:
        return state not in _MOVING  # the governor may have stretched the chunk
