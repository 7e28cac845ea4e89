"""Puts together what belongs together by stamp: the parts of a frame, and the arm's state at its instant."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from builtin_interfaces.msg import Time
from sensor_msgs.msg import JointState

from vls_steering.core.types import CameraFrame
from vls_steering.nodes.conversions import stamp_seconds
from vls_steering.nodes.pictures import camera_frame_of

PARTS = ("color", "depth", "info", "pose")


class FrameAssembler:
    """Collects colour, depth, info and pose of one camera; a frame is whole when all four carry its stamp.

    Incomplete ones are dropped when a newer frame is whole, or when there are too many.
    """

    def __init__(self, camera: str, deliver: Callable[[CameraFrame], None], patience: int = 4) -> None:
        self._camera, self._deliver, self._patience = camera, deliver, patience
        self._partial: dict[tuple[int, int], dict[str, Any]] = {}

    def add(self, part: str, message: Any) -> None:
        """Raises ShapeError when the four are there but do not fit one another."""
        key = _key(message.header.stamp)
        parts = self._partial.setdefault(key, {})
        parts[part] = message
        if len(parts) == len(PARTS):
            self._partial = {other: partial for other, partial in self._partial.items() if other > key}
            self._deliver(camera_frame_of(self._camera, **parts))
        while len(self._partial) > self._patience:
            del self._partial[min(self._partial)]


class JointHistory:
    """The last second or so of joint states, to look one up by stamp."""

    def __init__(self, length: int = 128, gap_s: float = 0.05) -> None:
        self._messages: deque[tuple[float, JointState, bool]] = deque(maxlen=length)
        self._gap_s = gap_s

    def add(self, message: JointState, holds: bool) -> None:
        stamp_s = stamp_seconds(message.header.stamp)
        if self._messages and stamp_s < self._messages[-1][0]:
            self._messages.clear()  # the clock was set back
        self._messages.append((stamp_s, message, holds))

    def at(self, stamp_s: float) -> tuple[JointState, bool] | None:
        """The message nearest to `stamp_s` and whether the gripper held something then; None when none is near."""
        if not self._messages:
            return None
        nearest_s, message, holds = min(self._messages, key=lambda entry: abs(entry[0] - stamp_s))
        return (message, holds) if abs(nearest_s - stamp_s) <= self._gap_s else None


def _key(stamp: Time) -> tuple[int, int]:
    return stamp.sec, stamp.nanosec
