"""Two things are never in one place: fingers that move through where an unseen object was have pushed it on."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from vls_steering.core.arrays import FloatArray
from vls_steering.core.types import RobotState

FINGER_RADIUS_M = 0.011
_FINGER_LENGTH_M = 0.045
_FINGER_CENTRE_M = 0.008  # of a finger's thickness, outwards from its inner face


def pushed_by_fingers(position: FloatArray, size: FloatArray, before: RobotState, after: RobotState) -> FloatArray:
    """(3,) m: how far the object at `position` (3,) of `size` (3,) m has been pushed along the hand's level motion.

    The object is its axis-aligned box and only slides; it never moves farther than the hand.
    """
    motion = (after.tcp_position - before.tcp_position)[:2]
    travel_m = float(np.linalg.norm(motion))
    if travel_m < 1e-4:
        return np.zeros(3)
    along = motion / travel_m
    reach = 0.5 * size[:2] + FINGER_RADIUS_M
    shift_m = 0.0
    for tip, root in _fingers(after):
        low, high = sorted((tip[2], root[2]))
        if low > position[2] + 0.5 * size[2] or high < position[2] - 0.5 * size[2]:
            continue
        offset = tip[:2] - position[:2]
        if (np.abs(offset) >= reach).any():
            continue
        with np.errstate(divide="ignore"):
            way_out = (offset + np.copysign(reach, along)) / along
        shift_m = max(shift_m, float(np.nanmin(np.where(np.abs(along) > 1e-3, way_out, np.inf))))
    return np.array([*(min(shift_m, travel_m) * along), 0.0])


def _fingers(robot: RobotState) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]:
    """Tip and root (3,) m of the middle line of each finger, base frame."""
    half = 0.5 * robot.gripper_width_m + _FINGER_CENTRE_M
    ends = np.array([[0, half, 0], [0, half, -_FINGER_LENGTH_M], [0, -half, 0], [0, -half, -_FINGER_LENGTH_M]])
    placed = robot.tcp_position + Rotation.from_quat(robot.tcp_quat_xyzw).apply(ends)
    return (placed[0], placed[1]), (placed[2], placed[3])
