"""How the world's time and the sampler's time go together.

Papers stop the world while the sampler thinks; a robot's world goes on.  Success is reported under both, because a slow
sampler looks good under the first and fails under the second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from vls_steering.bench.pace import Pace, StopAndGo, Streaming
from vls_steering.core.errors import ConfigurationError

CLOCKS = ("paused", "running")


class Clock(Protocol):
    """Strategy of one episode."""

    @property
    def name(self) -> str:
        """For logs and tables."""
        ...

    def delay_s(self, computing_s: float) -> float:
        """Simulated time that passes while a tick computes for `computing_s` seconds of this machine's processor."""
        ...

    def pace(self, plan_every_s: float, stops: bool) -> Pace:
        """Of a method that plans every `plan_every_s`; `stops`: one that does not reckon with its own latency."""
        ...


@dataclass(frozen=True)
class PausedClock:
    """The world waits: every chunk is executed from the very instant that it was planned for."""

    name: str = "paused"

    def delay_s(self, computing_s: float) -> float:
        return 0.0

    def pace(self, plan_every_s: float, stops: bool) -> Pace:
        return Streaming(plan_every_s)


@dataclass(frozen=True)
class RunningClock:
    """The world goes on for as long as the tick really took, the arm following the chunk before.

    `time_scale` stretches the measured time: 0.5 stands for a machine twice as fast.  Anything but 1 is part of the
    clock's name, and so of every table.
    """

    time_scale: float = 1.0

    @property
    def name(self) -> str:
        return "running" if self.time_scale == 1.0 else f"running at {self.time_scale:g} of the measured time"

    def delay_s(self, computing_s: float) -> float:
        return self.time_scale * computing_s

    def pace(self, plan_every_s: float, stops: bool) -> Pace:
        return StopAndGo(plan_every_s) if stops else Streaming(plan_every_s)


def clock(name: str, time_scale: float) -> Clock:
    """The clock called `name`; raises ConfigurationError with the known names."""
    if name == "paused":
        return PausedClock()
    if name == "running":
        return RunningClock(time_scale)
    raise ConfigurationError(f"there is no clock {name!r}", f"Choose one of: {', '.join(CLOCKS)}")
