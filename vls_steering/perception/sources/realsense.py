"""An Intel RealSense without ROS, through its SDK (`pip install 'vls_steering[realsense]'`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import Field

from vls_steering.core.arrays import FloatArray
from vls_steering.core.config import Settings
from vls_steering.core.errors import MissingExtra, StreamFault
from vls_steering.core.types import CameraFrame
from vls_steering.perception.sources.base import Now


class RealSenseSettings(Settings):
    serial: str = Field("", description="serial number; empty = the only one there is")
    width: int = Field(640, ge=160, le=1920, description="pixels, colour and depth")
    height: int = Field(480, ge=120, le=1080, description="pixels, colour and depth")
    rate_hz: int = Field(30, ge=6, le=90, description="pictures a second; a mode of the device")
    wait_s: float = Field(1.0, gt=0.0, le=10.0, description="longest wait for a picture")


class RealSenseSource:
    """Depth aligned to colour; raises MissingExtra without the SDK and StreamFault without the device."""

    def __init__(self, camera: str, settings: RealSenseSettings, base_from_camera: FloatArray, now: Now) -> None:
        try:
            import pyrealsense2 as sdk
        except ImportError as error:
            raise MissingExtra("pyrealsense2, the RealSense SDK,", "realsense") from error
        self._camera, self._settings, self._now, self._pose = camera, settings, now, base_from_camera
        self._hardware_clock = sdk.timestamp_domain.hardware_clock
        wanted = sdk.config()
        if settings.serial:
            wanted.enable_device(settings.serial)
        size = (settings.width, settings.height)
        wanted.enable_stream(sdk.stream.color, *size, sdk.format.rgb8, settings.rate_hz)
        wanted.enable_stream(sdk.stream.depth, *size, sdk.format.z16, settings.rate_hz)
        self._pipeline: Any = sdk.pipeline()
        try:
            profile = self._pipeline.start(wanted)
        except RuntimeError as error:
            which = settings.serial or "any"
            raise StreamFault(f"RealSense {which} does not start: {error}", "See rs-enumerate-devices") from error
        self._align = sdk.align(sdk.stream.color)
        self._metres = float(profile.get_device().first_depth_sensor().get_depth_scale())
        lens = profile.get_stream(sdk.stream.color).as_video_stream_profile().get_intrinsics()
        self._intrinsics = np.array([[lens.fx, 0.0, lens.ppx], [0.0, lens.fy, lens.ppy], [0.0, 0.0, 1.0]])

    def read(self) -> CameraFrame | None:
        try:
            frames = self._pipeline.wait_for_frames(round(1e3 * self._settings.wait_s))
        except RuntimeError as error:
            raise StreamFault(f"the RealSense delivers no picture: {error}", "Look at its USB port") from error
        now_s = self._now()
        frames = self._align.process(frames)
        color, depth = frames.get_color_frame(), frames.get_depth_frame()
        return CameraFrame(
            self._stamp_s(color, now_s),
            self._camera,
            np.array(color.get_data(), dtype=np.uint8),
            np.asarray(depth.get_data()).astype(np.float32) * np.float32(self._metres),
            self._intrinsics,
            self._pose,
        )

    def close(self) -> None:
        self._pipeline.stop()

    def _stamp_s(self, frame: Any, now_s: float) -> float:
        """Of the exposure, where the SDK maps the device's clock to the host's; else of the arrival."""
        if frame.get_frame_timestamp_domain() == self._hardware_clock:
            return now_s
        return min(float(frame.get_timestamp()) * 1e-3, now_s)
