"""An object between the fingers moves as they do."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.spatial.transform import Rotation

from vls_steering.core.arrays import FloatArray
from vls_steering.core.types import RobotState
from vls_steering.perception.settings import TrackSettings


@dataclass(frozen=True)
class Grip:
    """One object in the grasp."""

    key: int  # of its track
    offset: FloatArray  # (3,) m of its centre, in the TCP's frame
    width_m: float  # of the gripper when it closed
    gripped_s: float  # when the gripper reported it last

    def position(self, robot: RobotState) -> FloatArray:
        """(3,) m, base frame."""
        return out_of_tool(robot, self.offset)

    def released(self, robot: RobotState, stamp_s: float, settings: TrackSettings) -> bool:
        """The fingers opened, closed on nothing, or have reported nothing for a while."""
        changed = abs(robot.gripper_width_m - self.width_m) > settings.release_opening_m
        return changed or stamp_s - self.gripped_s > settings.release_s


def into_tool(robot: RobotState, point: FloatArray) -> FloatArray:
    """(3,) m of a point of the base frame, in the TCP's."""
    offset: FloatArray = Rotation.from_quat(robot.tcp_quat_xyzw).inv().apply(point - robot.tcp_position)
    return offset


def out_of_tool(robot: RobotState, offset: FloatArray) -> FloatArray:
    """Inverse of `into_tool`."""
    point: FloatArray = robot.tcp_position + Rotation.from_quat(robot.tcp_quat_xyzw).apply(offset)
    return point


def fits(robot: RobotState, size: FloatArray, settings: TrackSettings) -> bool:
    """Fingers that stall on a corner while pushing do not hold an object of `size` (3,) m."""
    return robot.gripper_width_m > settings.grip_width_share * float(size[:2].min())
