"""Named heartbeats, each with its own longest silence; and the opposite, a stream that comes too fast."""

from __future__ import annotations

import math
from collections.abc import Mapping


class Watchdog:
    """Knows when every watched stream was last heard; all times on one clock, seconds."""

    def __init__(self, timeouts_s: Mapping[str, float]) -> None:
        self._timeouts_s = dict(timeouts_s)
        self._heard_s: dict[str, float] = {}
        self._complaints: dict[str, str] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._timeouts_s)

    def start(self, now_s: float) -> None:
        """Count every silence from now, so that a stream that never speaks trips too.

        A stream about which there is a complaint gets no such grace: it stays as overdue as it was.
        """
        overdue = {name: self._heard_s.get(name, -math.inf) for name in self._complaints}
        self._heard_s = {**dict.fromkeys(self._timeouts_s, now_s), **overdue}

    def beat(self, name: str, now_s: float, complaint: str = "") -> None:
        """`name` was last in order at `now_s`; `complaint` is what is wrong with it since, for whoever asks why.

        Raises KeyError for a stream that nobody watches, a wiring mistake.
        """
        if name not in self._timeouts_s:
            raise KeyError(f"stream {name!r} is not watched; watched: {', '.join(self.names) or 'none'}")
        self._heard_s[name] = max(now_s, self._heard_s.get(name, now_s))
        self._complaints.pop(name, None)
        if complaint:
            self._complaints[name] = complaint

    def complaint(self, name: str) -> str:
        """What was last said to be wrong with `name`; empty when nothing was."""
        return self._complaints.get(name, "")

    def silence_s(self, name: str, now_s: float) -> float:
        """Seconds since `name` was heard, or since the start."""
        return now_s - self._heard_s[name]

    def expired(self, now_s: float) -> str | None:
        """The stream that is most overdue relative to its own time-out, or None."""
        overdue = {n: (now_s - heard) / self._timeouts_s[n] for n, heard in self._heard_s.items()}
        worst = max(overdue, key=overdue.__getitem__, default=None)
        return worst if worst is not None and overdue[worst] > 1.0 else None


class FloodGuard:
    """Counts arrivals in windows of fixed length and knows a stream that is faster than allowed.

    Cheap enough to ask before anything is done with what arrived: a flood must not cost the control loop its time.
    """

    WINDOW_S = 0.25

    def __init__(self, most_hz: float) -> None:
        self._most = most_hz * self.WINDOW_S
        self.start(0.0)

    def start(self, now_s: float) -> None:
        self._since_s, self._count = now_s, 0

    @property
    def rate_hz(self) -> float:
        """Lower bound of the rate in the present window."""
        return self._count / self.WINDOW_S

    def counts(self, now_s: float) -> bool:
        """One more arrived; whether that is one too many in this window."""
        if not 0 <= now_s - self._since_s < self.WINDOW_S:
            self.start(now_s)
        self._count += 1
        return self._count > self._most
