"""Where a camera stands when nobody publishes its pose: from a calibration file, or from tf."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from pydantic import Field

from vls_steering.core.arrays import FloatArray
from vls_steering.core.config import Settings
from vls_steering.core.errors import ConfigurationError, StreamFault
from vls_steering.core.frames import pose_matrix
from vls_steering.core.types import BASE_FRAME, RobotState
from vls_steering.nodes.base import RoomNode
from vls_steering.nodes.frames import listen
from vls_steering.nodes.pairing import Locate
from vls_steering.perception import Mount, load_mounts

RobotAt = Callable[[float], RobotState | None]


class ExtrinsicsSettings(Settings):
    source: Literal["topic", "file", "tf"] = Field(
        "topic", description="who knows the cameras' poses: the camera node's pose topic, a calibration file, or tf"
    )
    file: str = Field("", description="hand-eye results, a YAML mapping from camera to parent, position_m, quat_xyzw")
    base_frame: str = Field(BASE_FRAME, min_length=1, description="name of the robot base in tf")


def make_locate(
    node: RoomNode, settings: ExtrinsicsSettings, cameras: tuple[str, ...], robot_at: RobotAt
) -> dict[str, Locate | None]:
    """For each camera who tells its pose; None where a topic does.  Raises ConfigurationError when nobody can."""
    if settings.source == "topic":
        return dict.fromkeys(cameras)
    if settings.source == "tf":
        return dict.fromkeys(cameras, _from_tf(node, settings.base_frame))
    if not settings.file:
        raise ConfigurationError("extrinsics.source is file, but extrinsics.file is empty", "Name the calibration")
    mounts = load_mounts(Path(settings.file).expanduser())
    lacking = [camera for camera in cameras if camera not in mounts]
    if lacking:
        known = ", ".join(mounts) or "none"
        raise ConfigurationError(f"{settings.file} has no camera {lacking[0]!r}; it has: {known}", "Calibrate it")
    return {camera: _from_mount(camera, mounts[camera], robot_at) for camera in cameras}


def _from_mount(camera: str, mount: Mount, robot_at: RobotAt) -> Locate:
    parent_from_camera = mount.parent_from_camera

    def locate(_frame_id: str, stamp_s: float) -> FloatArray:
        if not mount.is_on_hand:
            return parent_from_camera
        robot = robot_at(stamp_s)
        if robot is None:
            raise StreamFault(f"{camera} is on the hand, and there is no joint state near {stamp_s:.3f} s")
        return pose_matrix(robot.tcp_position, robot.tcp_quat_xyzw) @ parent_from_camera

    return locate


def _from_tf(node: RoomNode, base_frame: str) -> Locate:
    tree = listen(node)

    def locate(frame_id: str, stamp_s: float) -> FloatArray:
        return tree.look_up(base_frame, frame_id, stamp_s)

    return locate
