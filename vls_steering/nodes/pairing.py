"""Puts together what belongs together by stamp: the parts of a frame, and the arm's state at its instant."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import CameraInfo, Image, JointState

from vls_steering.core.arrays import FloatArray
from vls_steering.core.types import CameraFrame
from vls_steering.nodes.conversions import matrix_message, stamp_seconds
from vls_steering.nodes.pictures import APART_S, camera_frame_of

PARTS = ("color", "depth", "info", "pose")
Locate = Callable[[str, float], FloatArray]


class FrameAssembler:
    """Puts colour and depth of one instant together with the newest calibration and the camera's pose.

    `locate(frame_id, stamp_s)` tells the pose of the optical frame in the base frame; without it a pose of the very
    stamp is a part of the frame, as the camera node publishes it.  Incomplete frames are dropped when a newer one is
    whole, or when there are too many.
    """

    def __init__(
        self, camera: str, deliver: Callable[[CameraFrame], None], locate: Locate | None = None, patience: int = 10
    ) -> None:
        self._camera, self._deliver, self._locate, self._patience = camera, deliver, locate, patience
        self._needed = {"color", "depth"} if locate is not None else {"color", "depth", "pose"}
        self._partial: dict[float, dict[str, Any]] = {}
        self._info: CameraInfo | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """What it has to be given."""
        return PARTS if self._locate is None else PARTS[:3]

    def add(self, part: str, message: Any) -> None:
        """Raises ShapeError when the parts do not fit one another, StreamFault when nobody knows the pose."""
        if part == "info":
            self._info = message
        else:
            stamp_s = stamp_seconds(message.header.stamp)
            near_s = min(self._partial, key=lambda other_s: abs(other_s - stamp_s), default=stamp_s)
            self._partial.setdefault(near_s if abs(near_s - stamp_s) <= APART_S else stamp_s, {})[part] = message
        whole = [stamp_s for stamp_s, parts in self._partial.items() if parts.keys() >= self._needed]
        if whole and self._info is not None:
            newest_s = max(whole)
            parts = self._partial[newest_s]
            self._partial = {stamp_s: other for stamp_s, other in self._partial.items() if stamp_s > newest_s}
            self._put_together(self._info, **parts)
        while len(self._partial) > self._patience:
            del self._partial[min(self._partial)]

    def _put_together(self, info: CameraInfo, color: Image, depth: Image, pose: PoseStamped | None = None) -> None:
        if pose is None and self._locate is not None:
            stamp_s = stamp_seconds(color.header.stamp)
            pose = matrix_message(stamp_s, self._locate(color.header.frame_id, stamp_s))
        self._deliver(camera_frame_of(self._camera, color, depth, info, pose))


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
