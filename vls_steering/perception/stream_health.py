"""What is to be thought of a camera's stream as a whole: its last good picture, its losses, and what is wrong now.

Whoever moves an arm by these pictures needs one number, the stamp of the newest picture that could be used, and one
sentence for when that becomes too old.  Every fault (stopped, frozen, resized, corrupted, black, late) is judged by the
same rule: its pictures do not count, and a glitch shorter than the arm's patience stops nothing.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from vls_steering.core.types import CameraFrame
from vls_steering.perception.frame_health import FrameFault, FrameHealth, FrameHealthSettings, FrameReport

WINDOW = 50  # pictures over which losses are counted
GAP = 1.5  # periods between two stamps from which a picture is missing


@dataclass(frozen=True)
class StreamHealth:
    """One camera at one instant."""

    camera: str
    healthy_s: float  # stamp of the newest picture that could be used; -inf before the first
    fault: FrameFault | None = None  # what is wrong since
    reason: str = ""  # the same in words, with the camera's name
    received: int = 0  # pictures since the start, whatever was wrong with them
    faulty: int = 0  # of those, the ones that could not be used
    dropped: int = 0  # pictures that are missing between the stamps of those received
    warning: str = ""  # what does not keep the pictures from being used


class CameraStream:
    """Watches one camera; `rate_hz` is what it promised, 0 when it promised nothing."""

    def __init__(self, camera: str, settings: FrameHealthSettings, rate_hz: float) -> None:
        self._camera, self._settings, self._rate_hz = camera, settings, rate_hz
        self._frames = FrameHealth(camera, settings)
        self._healthy_s = self._newest_s = self._alive_s = -math.inf
        self._fault: FrameFault | None = None
        self._reason = ""
        self._received = self._faulty = self._dropped = 0
        self._gaps: deque[int] = deque(maxlen=WINDOW)

    def receive(self, frame: CameraFrame, now_s: float) -> FrameReport:
        """Judge a whole picture that arrived at `now_s`."""
        report = self._frames.check(frame, now_s)
        if frame.stamp_s > self._newest_s:
            self._count_lost(frame.stamp_s)
            self._newest_s = frame.stamp_s
        if report.healthy:
            self._healthy_s = frame.stamp_s
        self._note(report, frame.stamp_s if report.healthy else now_s)
        return report

    def refuse(self, fault: FrameFault, reason: str, now_s: float) -> FrameReport:
        """Something arrived at `now_s` that is no whole picture."""
        report = FrameReport(self._camera, now_s, fault, f"camera {self._camera!r}: {reason}")
        self._note(report, now_s)
        return report

    def health(self, now_s: float) -> StreamHealth:
        """The verdict at `now_s`, on the clock of the stamps."""
        fault, reason = self._fault, self._reason
        if (age_s := now_s - self._alive_s) > self._settings.silence_s:
            fault = FrameFault.STOPPED
            lack = "no picture yet" if math.isinf(age_s) else f"stopped, no picture for {age_s:.2f} s"
            reason = f"camera {self._camera!r}: {lack}"
        counts = (self._received, self._faulty, self._dropped)
        return StreamHealth(self._camera, self._healthy_s, fault, reason, *counts, self._warning())

    def _note(self, report: FrameReport, alive_s: float) -> None:
        """A picture that cannot be used still shows that something comes, whatever its stamp."""
        self._alive_s = alive_s
        self._received += 1
        self._faulty += not report.healthy
        self._fault, self._reason = report.fault, report.reason

    def _count_lost(self, stamp_s: float) -> None:
        if self._rate_hz <= 0 or math.isinf(self._newest_s):
            return
        periods = (stamp_s - self._newest_s) * self._rate_hz
        lost = round(periods) - 1 if periods > GAP else 0
        self._dropped += lost
        self._gaps.append(lost)

    def _warning(self) -> str:
        lost = sum(self._gaps)
        if lost <= self._settings.dropped_share_max * (lost + len(self._gaps)):
            return ""
        return f"{lost} of the last {lost + len(self._gaps)} pictures were dropped"
