"""When a tick has to be over."""

from __future__ import annotations

import math

from vls_steering.core.clocks import Clock


class Deadline:
    """Says before each step whether there is time for it: as much as the longest one so far took."""

    def __init__(self, clock: Clock, budget_s: float) -> None:
        """The tick begins now and may take `budget_s`, which may be infinite."""
        self._clock = clock
        self._end_s = clock.now_s() + budget_s
        self._longest_s = 0.0
        self._asked_s = math.nan

    def allows_a_step(self) -> bool:
        """Ask once before each step."""
        now_s = self._clock.now_s()
        if not math.isnan(self._asked_s):
            self._longest_s = max(self._longest_s, now_s - self._asked_s)
        self._asked_s = now_s
        return now_s + self._longest_s <= self._end_s and now_s < self._end_s
