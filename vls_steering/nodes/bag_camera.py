"""A recorded camera: frames of a ROS 2 bag (MCAP or sqlite) at the pace they were taken.

The stamps are moved to the present all by the same amount, so that intervals, gaps and jitter stay as recorded.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field

from vls_steering.core.arrays import FloatArray
from vls_steering.core.config import Settings
from vls_steering.core.errors import ConfigurationError, MissingExtra
from vls_steering.core.types import CameraFrame
from vls_steering.nodes.pairing import FrameAssembler
from vls_steering.perception.sources.base import Now

LATE_S = 1.0  # a reader that falls behind by more than this starts a new present


class BagSettings(Settings):
    path: str = Field("", description="an .mcap or .db3 file, or the folder of a bag")
    color_topic: str = Field("/camera/color/image_raw", description="rgb8, bgr8, rgba8 or bgra8")
    depth_topic: str = Field("/camera/depth/image_rect_raw", description="16UC1 or 32FC1, aligned to colour")
    info_topic: str = Field("/camera/camera_info", description="calibration of the colour camera")


class BagCamera:
    """FrameSource; raises ConfigurationError when the bag cannot be read or lacks a topic."""

    def __init__(self, camera: str, settings: BagSettings, base_from_camera: FloatArray, now: Now) -> None:
        try:
            from rosbags.highlevel import AnyReader, AnyReaderError
        except ImportError as error:
            raise MissingExtra("rosbags", "sim") from error
        path = Path(settings.path).expanduser()
        if not settings.path or not path.exists():
            raise ConfigurationError(f"there is no bag {settings.path!r}", "Set bag.path")
        self._topics = {settings.color_topic: "color", settings.depth_topic: "depth", settings.info_topic: "info"}
        self._now = now
        self._whole: deque[CameraFrame] = deque()
        self._assembler = FrameAssembler(camera, self._whole.append, lambda _frame, _stamp_s: base_from_camera)
        self._reader = AnyReader([path])
        try:
            self._reader.open()
        except AnyReaderError as error:
            raise ConfigurationError(f"{path} is no bag that can be read: {error}") from error
        recorded = {connection.topic for connection in self._reader.connections}
        lacking = [topic for topic in self._topics if topic not in recorded]
        if lacking:
            self._reader.close()
            has = ", ".join(sorted(recorded))
            raise ConfigurationError(f"{path} has no topic {', '.join(lacking)}", f"It has: {has}")
        self._messages = self._read_messages()
        self._shift_s: float | None = None

    def read(self) -> CameraFrame | None:
        while not self._whole:
            part = next(self._messages, None)
            if part is None:
                return None
            self._assembler.add(*part)
        frame = self._whole.popleft()
        if self._shift_s is None or self._now() - (frame.stamp_s + self._shift_s) > LATE_S:
            self._shift_s = self._now() - frame.stamp_s
        stamp_s = frame.stamp_s + self._shift_s
        time.sleep(max(0.0, stamp_s - self._now()))
        return replace(frame, stamp_s=stamp_s)

    def close(self) -> None:
        self._reader.close()

    def _read_messages(self) -> Iterator[tuple[str, Any]]:
        wanted = [connection for connection in self._reader.connections if connection.topic in self._topics]
        for connection, _, data in self._reader.messages(connections=wanted):
            yield self._topics[connection.topic], self._reader.deserialize(data, connection.msgtype)
