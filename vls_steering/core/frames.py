"""Rigid transforms as 4x4 matrices, by SciPy's Rotation."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.transform import Rotation

from vls_steering.core.arrays import FloatArray


def pose_matrix(position: ArrayLike, quat_xyzw: ArrayLike) -> FloatArray:
    """(4, 4) matrix that maps points of the moved frame into the parent frame."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_quat(np.asarray(quat_xyzw, dtype=np.float64)).as_matrix()
    matrix[:3, 3] = position
    return matrix


def transform_points(matrix: FloatArray, points: FloatArray) -> FloatArray:
    """Map (N, 3) points through a (4, 4) pose."""
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def quat_from_matrix(matrix: FloatArray) -> FloatArray:
    """(x, y, z, w) of a (4, 4) or (3, 3) matrix."""
    return np.asarray(Rotation.from_matrix(np.asarray(matrix)[:3, :3]).as_quat())


def angle_between(quat_a_xyzw: ArrayLike, quat_b_xyzw: ArrayLike) -> float:
    """Rotation angle in radians that takes one orientation to the other."""
    first, second = Rotation.from_quat(np.asarray(quat_a_xyzw)), Rotation.from_quat(np.asarray(quat_b_xyzw))
    return float((first.inv() * second).magnitude())
