"""Finds the robot's own pixels: points without colour inside a simple volume around the arm.

Coloured points are never taken for the robot, because an object between the fingers lies inside that volume.
A white or grey object that touches the hand is lost here; the tracker carries it on by the grip.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vls_steering.core.arrays import FloatArray
from vls_steering.core.frames import pose_matrix, transform_points
from vls_steering.core.types import RobotState
from vls_steering.perception.lift import LiftedFrame, MaskImage, PointImage

# Craig's DH table of the FR3 and the Panda, (a m, d m, alpha rad) per joint (Franka Control Interface documentation).
_DH = (
    (0.0, 0.333, 0.0),
    (0.0, 0.0, -np.pi / 2),
    (0.0, 0.316, np.pi / 2),
    (0.0825, 0.0, np.pi / 2),
    (-0.0825, 0.384, -np.pi / 2),
    (0.0, 0.0, np.pi / 2),
    (0.088, 0.0, np.pi / 2),
)
_FLANGE_M = 0.107
_STRIDE = 2  # every second pixel is tested; its neighbours follow it


@dataclass(frozen=True)
class Capsule:
    """All points within `radius_m` of a segment."""

    start: FloatArray  # (3,) m, base frame
    end: FloatArray
    radius_m: float

    def contains(self, points: PointImage) -> MaskImage:
        """(N, 3) -> (N,)."""
        axis = (self.end - self.start).astype(np.float32)
        offset = points - self.start.astype(np.float32)
        along = np.clip(offset @ axis / max(float(axis @ axis), 1e-12), 0.0, 1.0)
        distance = offset - along[:, None] * axis
        inside: MaskImage = np.einsum("ij,ij->i", distance, distance) < self.radius_m**2
        return inside


def robot_capsules(robot: RobotState) -> tuple[Capsule, ...]:
    """Arm, hand and fingers as capsules in the base frame."""
    frames = _joint_frames(robot.joint_positions)
    shoulder, elbow, forearm, wrist, last = (frames[i][:3, 3] for i in (0, 2, 3, 4, 6))
    flange = (frames[6] @ np.array([0.0, 0.0, _FLANGE_M, 1.0]))[:3]
    arm = (
        Capsule(np.zeros(3), shoulder, 0.12),
        Capsule(shoulder, elbow, 0.11),
        Capsule(elbow, forearm, 0.12),
        Capsule(forearm, wrist, 0.11),
        Capsule(wrist, last, 0.10),
        Capsule(last, flange, 0.08),
    )
    tool = pose_matrix(robot.tcp_position, robot.tcp_quat_xyzw)
    half = 0.5 * robot.gripper_width_m + 0.008
    ends = np.array(
        [[0, -0.085, -0.07], [0, 0.085, -0.07], [0, half, -0.05], [0, half, 0.0], [0, -half, -0.05], [0, -half, 0.0]]
    )
    left, right, *fingers = transform_points(tool, ends)
    hand = (
        Capsule(left, right, 0.045),
        Capsule(0.5 * (left + right), flange, 0.07),
        Capsule(fingers[0], fingers[1], 0.014),
        Capsule(fingers[2], fingers[3], 0.014),
    )
    return arm + hand


def robot_mask(view: LiftedFrame, candidates: MaskImage, robot: RobotState, margin_m: float) -> MaskImage:
    """Those `candidates` (H, W), pixels without colour, that belong to the robot."""
    rows, columns = np.nonzero((candidates & view.valid)[::_STRIDE, ::_STRIDE])
    points = view.points[::_STRIDE, ::_STRIDE][rows, columns]
    inside = np.zeros(len(points), dtype=bool)
    for capsule in robot_capsules(robot):
        inside |= Capsule(capsule.start, capsule.end, capsule.radius_m + margin_m).contains(points)
    coarse = np.zeros(candidates.shape, np.uint8)
    coarse[_STRIDE * rows[inside], _STRIDE * columns[inside]] = 1
    grown: MaskImage = cv2.dilate(coarse, np.ones((2 * _STRIDE - 1, 2 * _STRIDE - 1), np.uint8)).astype(bool)
    mask: MaskImage = grown & candidates
    return mask


def _joint_frames(joint_positions: FloatArray) -> list[FloatArray]:
    """Pose of each joint's frame in the base frame."""
    frames, pose = [], np.eye(4)
    for (a, d, alpha), theta in zip(_DH, joint_positions, strict=True):
        ca, sa, ct, st = np.cos(alpha), np.sin(alpha), np.cos(theta), np.sin(theta)
        pose = pose @ np.array(
            [[ct, -st, 0, a], [st * ca, ct * ca, -sa, -d * sa], [st * sa, ct * sa, ca, d * ca], [0, 0, 0, 1.0]]
        )
        frames.append(pose)
    return frames
