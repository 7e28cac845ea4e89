"""Rigid motion between two sets of matched points, some of them matched wrongly: RANSAC and Kabsch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vls_steering.core.arrays import FloatArray

MIN_POINTS = 3
_THIN = 0.15  # points whose second extent is less than this share of the first lie on a line: their roll is unknown


@dataclass(frozen=True)
class RigidMotion:
    """after = rotation @ before + translation, and how well the points agree on it."""

    rotation: FloatArray  # (3, 3)
    translation: FloatArray  # (3,) m
    inliers: NDArray[np.bool_]  # (N,)
    residual_m: float  # root mean square distance of the inliers, per axis
    centre: FloatArray  # (3,) m, mean of the inliers before
    spread_m: float  # root mean square distance of the inliers from their centre

    @classmethod
    def none(cls, points: FloatArray) -> RigidMotion:
        """Standing still, as all of the points (N, 3) m say."""
        everyone = np.ones(len(points), dtype=bool)
        return cls(np.eye(3), np.zeros(3), everyone, 0.0, *_centre_and_spread(points))

    def apply(self, points: FloatArray) -> FloatArray:
        """(..., 3) -> (..., 3) m."""
        moved: FloatArray = points @ self.rotation.T + self.translation
        return moved

    def variance_at(self, point: FloatArray) -> float:
        """m² per axis of `apply(point)`: noise of the mean, and of the rotation times the lever from it."""
        lever = float(np.linalg.norm(point - self.centre)) / max(self.spread_m, 1e-6)
        return self.residual_m**2 / float(self.inliers.sum()) * (1.0 + lever**2)


def kabsch(before: FloatArray, after: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Rotation (3, 3) and translation (3,) of least squares between matched points (N, 3), N >= 1.

    Kabsch, "A solution for the best rotation to relate two sets of vectors", 1976.  Points on a line (or fewer than
    three) do not determine a rotation: then it is the identity.
    """
    middle, goal = before.mean(axis=0), after.mean(axis=0)
    offsets = before - middle
    extents = np.linalg.svd(offsets, compute_uv=False)
    if len(before) < MIN_POINTS or extents[1] < _THIN * extents[0]:
        return np.eye(3), goal - middle
    u, _, vt = np.linalg.svd(offsets.T @ (after - goal))
    turn = vt.T @ np.diag([1.0, 1.0, np.sign(np.linalg.det(vt.T @ u.T))]) @ u.T
    return turn, goal - turn @ middle


def fit_rigid(
    before: FloatArray, after: FloatArray, inlier_m: float, hypotheses: int, rng: np.random.Generator
) -> RigidMotion | None:
    """The motion that most pairs (N, 3) agree on within `inlier_m`; None when fewer than half of them do, or N < 3."""
    count = len(before)
    if count < MIN_POINTS:
        return None
    chosen = rng.random((hypotheses, count)).argsort(axis=1)[:, :MIN_POINTS]
    rotations = _frames(after[chosen]) @ _frames(before[chosen]).transpose(0, 2, 1)
    # A small object mostly shifts within one frame: each hypothesis is tried with its turn and without.
    rotations = np.concatenate([rotations, np.broadcast_to(np.eye(3), rotations.shape)])
    middles, goals = (np.tile(points[chosen].mean(axis=1), (2, 1)) for points in (before, after))
    shifts = goals - np.einsum("hij,hj->hi", rotations, middles)
    errors = np.linalg.norm(np.einsum("hij,nj->hni", rotations, before) + shifts[:, None] - after, axis=2)
    # Truncated squares (MSAC): among equal counts the closer fit wins.
    best = (np.minimum(errors, inlier_m) ** 2).sum(axis=1).argmin()
    inliers = errors[best] < inlier_m
    for _ in range(2):
        if inliers.sum() < max(MIN_POINTS, 0.5 * count):
            return None
        turn, shift = kabsch(before[inliers], after[inliers])
        error = np.linalg.norm(before @ turn.T + shift - after, axis=1)
        inliers = error < inlier_m
    if inliers.sum() < max(MIN_POINTS, 0.5 * count):
        return None
    residual_m = float(np.sqrt((error[inliers] ** 2).mean() / 3.0))
    return RigidMotion(turn, shift, inliers, residual_m, *_centre_and_spread(before[inliers]))


def _centre_and_spread(points: FloatArray) -> tuple[FloatArray, float]:
    centre = points.mean(axis=0)
    return centre, float(np.sqrt(((points - centre) ** 2).sum(axis=1).mean()))


def _frames(corners: FloatArray) -> FloatArray:
    """(H, 3, 3) right-handed frames whose first axis is one side of each triangle (H, 3 points, 3)."""
    first = _unit(corners[:, 1] - corners[:, 0])
    third = _unit(np.cross(first, corners[:, 2] - corners[:, 0]))
    return np.stack([first, np.cross(third, first), third], axis=2)


def _unit(vectors: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: FloatArray = vectors / np.maximum(lengths, 1e-12)
    return unit
