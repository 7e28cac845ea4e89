"""Rate and age of a stream of messages; knows neither ROS nor wall clocks."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import IntEnum


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
    """Counts arrivals on a monotonic clock and judges them against the expected rate.

    `expected_hz = 0` means that the stream has no rate of its own (a latched topic, a service): it never goes stale.
    """

    def __init__(self, name: str, expected_hz: float = 0.0, window: int = 50) -> None:
        self.name = name
        self.expected_hz = expected_hz
        self.count = 0
        self._arrivals_s: deque[float] = deque(maxlen=window)
        self._delay_s = 0.0

    def seen(self, now_s: float, delay_s: float = 0.0) -> None:
        """A message arrived at `now_s` (monotonic); `delay_s` is its age by its own stamp."""
        self.count += 1
        self._arrivals_s.append(now_s)
        self._delay_s = delay_s

    def age_s(self, now_s: float) -> float:
        """Seconds since the last arrival; infinite before the first."""
        return now_s - self._arrivals_s[-1] if self._arrivals_s else float("inf")

    def rate_hz(self) -> float:
        """Mean rate over the window; 0 before the second arrival."""
        if len(self._arrivals_s) < 2:
            return 0.0
        return (len(self._arrivals_s) - 1) / max(self._arrivals_s[-1] - self._arrivals_s[0], 1e-9)

    def report(self, now_s: float) -> StreamReport:
        """STALE after three missed periods, WARN below 70 % of the expected rate."""
        age_s, rate_hz = self.age_s(now_s), self.rate_hz()
        values = {
            "count": str(self.count),
            "rate_hz": f"{rate_hz:.2f}",
            "expected_hz": f"{self.expected_hz:g}",
            "age_s": f"{age_s:.3f}",
            "delay_s": f"{self._delay_s:.3f}",
        }
        if self.expected_hz <= 0:
            return StreamReport(self.name, Level.OK, f"{self.count} messages", values)
        if age_s > 3 / self.expected_hz:
            never = "nothing received yet" if self.count == 0 else f"silent for {age_s:.2f} s"
            return StreamReport(self.name, Level.STALE, never, values)
        if self.count > 2 and rate_hz < 0.7 * self.expected_hz:
            slow = f"{rate_hz:.1f} Hz, expected {self.expected_hz:g} Hz"
            return StreamReport(self.name, Level.WARN, slow, values)
        return StreamReport(self.name, Level.OK, f"{rate_hz:.1f} Hz", values)
