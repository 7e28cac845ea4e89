"""Judges whether a camera's pictures can be trusted; pure, so that nodes only publish the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
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


class FrameHealthSettings(Settings):
    """What a healthy stream looks like."""

    width: int = Field(320, ge=1, le=10000, description="expected picture width, pixels")
    height: int = Field(240, ge=1, le=10000, description="expected picture height, pixels")
    age_max_s: float = Field(0.35, gt=0.0, le=10.0, description="oldest acquisition stamp that is still used")
    black_level: float = Field(4.0, ge=0.0, le=255.0, description="mean grey level below which a picture is black")
    depth_share_min: float = Field(0.3, ge=0.0, le=1.0, description="least share of pixels that must have a depth")
    identical_max: int = Field(2, ge=1, le=100, description="identical pictures in a row after which it is frozen")


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
        self._last: NDArray[np.uint8] | None = None
        self._last_stamp_s = -np.inf
        self._repeats = 0

    def check(self, frame: CameraFrame, now_s: float) -> FrameReport:
        """Judge `frame`, which arrived at `now_s` on the clock of its stamp; faults that explain others come first."""
        settings = self._settings
        expected = (settings.height, settings.width)
        if frame.color.shape[:2] != expected:
            found = f"{frame.color.shape[1]}x{frame.color.shape[0]}"
            return self._bad(frame, FrameFault.WRONG_SIZE, f"{found} pixels, expected {expected[1]}x{expected[0]}")
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
        if self._repeats >= settings.identical_max:
            return self._bad(frame, FrameFault.FROZEN, f"{self._repeats + 1} identical pictures in a row")
        if (age_s := now_s - frame.stamp_s) > settings.age_max_s:
            return self._bad(frame, FrameFault.LATE, f"{1000 * age_s:.0f} ms old")
        return FrameReport(self._camera, frame.stamp_s)

    def _count_repeats(self, frame: CameraFrame) -> None:
        same = self._last is not None and np.array_equal(frame.color, self._last)
        self._repeats = self._repeats + 1 if same else 0
        self._last = frame.color

    def _bad(self, frame: CameraFrame, fault: FrameFault, reason: str) -> FrameReport:
        return FrameReport(self._camera, frame.stamp_s, fault, f"camera {self._camera!r}: {reason}")
