"""Rate and age of a stream of messages; knows neither ROS nor clocks."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from enum import IntEnum

LEAST_PATIENCE_S = 0.03  # a node is away for a few ms now and then, which is no silence of a stream of 1 kHz
STOOD_STILL_S = 3.0  # of a simulated clock, in wall time: loading and rendering on a busy host take less


class Level(IntEnum):
    """Levels of diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


@dataclass(frozen=True)
class StreamReport:
    """One line for /diagnostics."""

    name: str
    level: Level
    message: str
    values: dict[str, str]


class StreamMonitor:
    """Counts arrivals and judges them, all in the time of the clock that its caller reads; for use by two threads.

    What was promised of the stream decides what is wrong with it:
    - `expected_hz`: it has this rate, from the start on.
    - `silence_s`: it may begin late, but once it has begun it is not silent for longer.
    - neither: it speaks when there is something to say (a latched topic), and silence says nothing.
    """

    def __init__(self, name: str, expected_hz: float = 0.0, silence_s: float = 0.0, window: int = 50) -> None:
        self.name = name
        self.expected_hz, self.silence_s = expected_hz, silence_s
        self.count = 0
        self._arrivals_s: deque[float] = deque(maxlen=window)
        self._delay_s = 0.0
        self._lock = threading.Lock()

    def seen(self, now_s: float, delay_s: float = 0.0) -> None:
        """A message arrived at `now_s`; `delay_s` is its age by its own stamp."""
        with self._lock:
            self.count += 1
            self._forget_what_is_ahead_of(now_s)
            if self._arrivals_s and self._arrivals_s[0] <= 0.0:
                self._arrivals_s.clear()  # a simulated clock reads zero until it is first heard
            self._arrivals_s.append(now_s)
            self._delay_s = delay_s

    def age_s(self, now_s: float) -> float:
        """Seconds since the last arrival; infinite before the first."""
        return now_s - self._arrivals_s[-1] if self._arrivals_s else float("inf")

    def rate_hz(self) -> float:
        """Mean rate over the window; 0 while it is not known."""
        if len(self._arrivals_s) < 2:
            return 0.0
        span_s = self._arrivals_s[-1] - self._arrivals_s[0]
        return (len(self._arrivals_s) - 1) / span_s if span_s > 0.0 else 0.0

    def report(self, now_s: float) -> StreamReport:
        """STALE after three missed periods or too long a silence, WARN below 70 % of the expected rate."""
        with self._lock:
            self._forget_what_is_ahead_of(now_s)
            age_s, rate_hz = self.age_s(now_s), self.rate_hz()
            level, message = self._judge(age_s, rate_hz)
        values = {
            "count": str(self.count),
            "rate_hz": f"{rate_hz:.2f}",
            "expected_hz": f"{self.expected_hz:g}",
            "age_s": f"{age_s:.3f}",
            "delay_s": f"{self._delay_s:.3f}",
        }
        return StreamReport(self.name, level, message, values)

    def _judge(self, age_s: float, rate_hz: float) -> tuple[Level, str]:
        may_begin_late = self.expected_hz <= 0.0
        if self.count == 0:
            return (Level.OK if may_begin_late else Level.STALE), "nothing received yet"
        patience_s = self.silence_s if may_begin_late else max(3.0 / self.expected_hz, LEAST_PATIENCE_S)
        if 0.0 < patience_s < age_s:
            return Level.STALE, f"silent for {age_s:.2f} s" if age_s < float(
                "inf"
            ) else "silent since the clock changed"
        if 0.0 < rate_hz < 0.7 * self.expected_hz and len(self._arrivals_s) > 2:
            return Level.WARN, f"{rate_hz:.1f} Hz, expected {self.expected_hz:g} Hz"
        return Level.OK, f"{rate_hz:.1f} Hz" if patience_s > 0.0 else f"{self.count} messages"

    def _forget_what_is_ahead_of(self, now_s: float) -> None:
        if self._arrivals_s and self._arrivals_s[-1] > now_s:
            self._arrivals_s.clear()  # the clock was set back


class ClockMonitor:
    """Whether a simulated clock runs: by its own time nothing could ever be late while it stands still."""

    def __init__(self) -> None:
        self._now_s = self._wall_s = self._moved_wall_s = float("nan")

    def report(self, now_s: float, wall_s: float) -> StreamReport:
        """`now_s` of the clock at `wall_s` of a monotonic one; STALE when it has not moved for `STOOD_STILL_S`."""
        moved_s, passed_s = now_s - self._now_s, wall_s - self._wall_s
        if moved_s != 0.0:  # also the first time
            self._moved_wall_s = wall_s
        self._now_s, self._wall_s = now_s, wall_s
        stood_s = wall_s - self._moved_wall_s
        pace = moved_s / passed_s if passed_s > 0.0 else float("nan")
        values = {"now_s": f"{now_s:.3f}", "real_time_factor": f"{pace:.3f}", "stood_still_s": f"{stood_s:.1f}"}
        if stood_s > STOOD_STILL_S:
            return StreamReport("clock", Level.STALE, f"/clock has stood still for {stood_s:.0f} s", values)
        return StreamReport("clock", Level.OK, "runs", values)
