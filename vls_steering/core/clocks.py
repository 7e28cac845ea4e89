"""Clocks behind one Protocol, so that the same loop runs on a robot, in real time or in simulated time."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Seconds that never go backwards; only differences and stamps of the same clock mean anything."""

    def now_s(self) -> float: ...

    def sleep_until(self, stamp_s: float) -> None:
        """Return at `stamp_s` or as soon after it as possible; at once when it has passed."""
        ...


class MonotonicClock:
    """The host's monotonic clock."""

    def now_s(self) -> float:
        return time.monotonic()

    def sleep_until(self, stamp_s: float) -> None:
        delay = stamp_s - time.monotonic()
        if delay > 0:
            time.sleep(delay)


class ManualClock:
    """A clock that moves only when told to: paused-clock benchmarks and tests."""

    def __init__(self, start_s: float = 0.0) -> None:
        self._now_s = start_s

    def now_s(self) -> float:
        return self._now_s

    def advance(self, duration_s: float) -> None:
        if duration_s < 0:
            raise ValueError(f"a clock cannot go back ({duration_s} s)")
        self._now_s += duration_s

    def sleep_until(self, stamp_s: float) -> None:
        self._now_s = max(self._now_s, stamp_s)
