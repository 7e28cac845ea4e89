"""Judges whether a camera's pictures can be trusted; pure, so that nodes only publish the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from pydantic import Field

from vls_steering.core.config import Settings
from vls_steering.core.types import CameraFrame


class FrameFault(Enum):
    """Why a picture is not used."""

    WRONG_SIZE = "wrong_size"
    BLACK = "black"
    NO_DEPTH = "no_depth"
    FROZEN = "frozen"
    OUT_OF_ORDER = "out_of_order"
    LATE = "late"
    CORRUPTED = "corrupted"  # what came makes no picture
    UNLOCATED = "unlocated"  # nobody knows where the camera stood
    STOPPED = "stopped"  # nothing came


class FrameHealthSettings(Settings):
    """What a healthy stream looks like."""

    width: int = Field(0, ge=0, le=10000, description="expected picture width, pixels; 0 = the first picture's")
    height: int = Field(0, ge=0, le=10000, description="expected picture height, pixels; 0 = the first picture's")
    age_max_s: float = Field(0.35, gt=0.0, le=10.0, description="oldest acquisition stamp that is still used")
    black_level: float = Field(4.0, ge=0.0, le=255.0, description="mean grey level below which a picture is black")
    depth_share_min: float = Field(0.3, ge=0.0, le=1.0, description="least share of pixels that must have a depth")
    repeats_max: int = Field(0, ge=0, le=100, description="exact repeats of a picture that still count as alive")
    silence_s: float = Field(
        0.16, gt=0.0, le=10.0, description="age of the newest picture from which the stream counts as stopped"
    )
    dropped_share_max: float = Field(
        0.1, ge=0.0, le=1.0, description="share of lost pictures from which the stream is warned about"
    )


@dataclass(frozen=True)
class FrameReport:
    """The verdict on one picture."""

    camera: str
    stamp_s: float
    fault: FrameFault | None = None
    reason: str = ""

    @property
    def healthy(self) -> bool:
        return self.fault is None


class FrameHealth:
    """Watches one camera.  Sensor noise makes every picture different, so an exact repeat is a frozen stream."""

    def __init__(self, camera: str, settings: FrameHealthSettings) -> None:
        self._camera = camera
        self._settings = settings
        self._size = (settings.height, settings.width)
        self._last: CameraFrame | None = None
        self._last_stamp_s = -np.inf
        self._depth_lives = False
        self._repeats = 0

    def check(self, frame: CameraFrame, now_s: float) -> FrameReport:
        """Judge `frame`, which arrived at `now_s` on the clock of its stamp; faults that explain others come first."""
        settings = self._settings
        height, width = frame.color.shape[:2]
        self._size = (self._size[0] or height, self._size[1] or width)
        if (height, width) != self._size:
            expected = f"{self._size[1]}x{self._size[0]}"
            return self._bad(frame, FrameFault.WRONG_SIZE, f"{width}x{height} pixels, expected {expected}")
        self._count_repeats(frame)
        if frame.stamp_s <= self._last_stamp_s:
            return self._bad(
                frame, FrameFault.OUT_OF_ORDER, f"stamp {frame.stamp_s:.3f} s is not after {self._last_stamp_s:.3f} s"
            )
        self._last_stamp_s = frame.stamp_s
        if (brightness := float(frame.color[::4, ::4].mean())) < settings.black_level:
            return self._bad(frame, FrameFault.BLACK, f"mean grey level {brightness:.1f}")
        sampled = frame.depth[::4, ::4]
        if (share := float((np.isfinite(sampled) & (sampled > 0.0)).mean())) < settings.depth_share_min:
            return self._bad(frame, FrameFault.NO_DEPTH, f"only {100 * share:.0f} % of the pixels have a depth")
        if self._repeats > settings.repeats_max:
            return self._bad(frame, FrameFault.FROZEN, f"{self._repeats + 1} identical pictures in a row")
        if (age_s := now_s - frame.stamp_s) > settings.age_max_s:
            return self._bad(frame, FrameFault.LATE, f"{1000 * age_s:.0f} ms old")
        return FrameReport(self._camera, frame.stamp_s)

    def _count_repeats(self, frame: CameraFrame) -> None:
        """Colour and depth freeze one by one; a depth that never changes is computed, not measured."""
        last, self._last = self._last, frame
        if last is None:
            return
        same_depth = np.array_equal(frame.depth, last.depth, equal_nan=True)
        self._depth_lives |= not same_depth
        frozen = np.array_equal(frame.color, last.color) or (same_depth and self._depth_lives)
        self._repeats = self._repeats + 1 if frozen else 0

    def _bad(self, frame: CameraFrame, fault: FrameFault, reason: str) -> FrameReport:
        return FrameReport(self._camera, frame.stamp_s, fault, f"camera {self._camera!r}: {reason}")
