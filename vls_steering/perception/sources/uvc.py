"""A UVC camera, a video file or a stream, through OpenCV.

Such a camera measures no depth, and positions need one.  What can be had without is a known table: every pixel is then
taken to lie on it.  That puts an object where it touches the table as long as the camera looks down steeply, makes it
flat, and hides whatever the geometric segmenter goes by; use it with the open-vocabulary segmenter only.
"""

from __future__ import annotations

import math
import time
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from vls_steering.core.arrays import FloatArray
from vls_steering.core.config import Settings
from vls_steering.core.errors import ConfigurationError, StreamFault
from vls_steering.core.types import CameraFrame
from vls_steering.perception.sources.base import Now
from vls_steering.perception.sources.calibration import Calibration


class UvcSettings(Settings):
    device: str = Field("0", min_length=1, description="index, device path, URL or video file")
    camera_info_url: str = Field("", description="calibration: a path, file:// or package://; required")
    rate_hz: float = Field(30.0, gt=0.0, le=240.0, description="rate asked of the device, and of a file's playback")
    latency_s: float = Field(0.0, ge=0.0, le=1.0, description="from exposure to arrival; taken off the stamps")
    depth: Literal["none", "table"] = Field("none", description="none: refuse to start; table: from the known table")
    table_height_m: float = Field(0.0, ge=-1.0, le=1.0, description="height of the table in the base frame")


class UvcSource:
    """Raises ConfigurationError when there is no depth to be had, StreamFault when the device does not open."""

    def __init__(
        self, camera: str, settings: UvcSettings, calibration: Calibration, base_from_camera: FloatArray, now: Now
    ) -> None:
        if settings.depth == "none":
            raise ConfigurationError(
                f"{settings.device!r} is a UVC camera and measures no depth",
                "Use an RGB-D camera, or set uvc.depth: table and the open-vocabulary segmenter",
            )
        self._camera, self._settings, self._calibration, self._now = camera, settings, calibration, now
        self._pose = base_from_camera
        self._depth = table_depth(calibration, base_from_camera, settings.table_height_m)
        device = settings.device
        self._capture = cv2.VideoCapture(int(device) if device.isdecimal() else device)
        if not self._capture.isOpened():
            raise StreamFault(f"no camera or video {device!r} can be opened", "List them with v4l2-ctl --list-devices")
        self._capture.set(cv2.CAP_PROP_FRAME_WIDTH, calibration.width)
        self._capture.set(cv2.CAP_PROP_FRAME_HEIGHT, calibration.height)
        self._capture.set(cv2.CAP_PROP_FPS, settings.rate_hz)
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest picture, where the back end can
        # Only recordings know how long they are; a device sets the pace itself.
        length = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self._left = length if length > 0 else math.inf
        self._due_s = time.monotonic()

    def read(self) -> CameraFrame | None:
        if self._left <= 0:
            return None
        if math.isfinite(self._left):
            self._left -= 1
            self._due_s = max(self._due_s + 1.0 / self._settings.rate_hz, time.monotonic())
            time.sleep(max(0.0, self._due_s - time.monotonic()))
        arrived = self._capture.grab()
        stamp_s = self._now() - self._settings.latency_s  # before decoding, which takes milliseconds
        _, picture = self._capture.retrieve() if arrived else (False, None)
        if picture is None:
            raise StreamFault(f"{self._settings.device!r} delivers no picture", "Look at its cable")
        color = self._calibration.rectify(np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), dtype=np.uint8))
        return CameraFrame(stamp_s, self._camera, color, self._depth, self._calibration.pinhole, self._pose)

    def close(self) -> None:
        self._capture.release()


def table_depth(calibration: Calibration, base_from_camera: FloatArray, height_m: float) -> NDArray[np.float32]:
    """(H, W) m along the optical axis to the plane z = height_m of the base frame; 0 where a ray misses it."""
    columns, rows = np.meshgrid(np.arange(calibration.width), np.arange(calibration.height))
    pixels = np.stack([columns, rows, np.ones_like(rows)], axis=-1).astype(np.float64)
    rays = pixels @ np.linalg.inv(calibration.pinhole).T @ base_from_camera[:3, :3].T
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = (height_m - base_from_camera[2, 3]) / rays[..., 2]
    return np.where(np.isfinite(depth) & (depth > 0), depth, 0.0).astype(np.float32)
