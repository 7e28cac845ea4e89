"""Keypoints straight from the simulator: for training data checks and explicitly marked privileged runs only."""

from __future__ import annotations

import numpy as np

from vls_steering.core.types import Keypoint, Keypoints
from vls_steering.sim.layout import SceneLayout
from vls_steering.sim.objects import LOOSE, OBSTACLE, PLATE, PLATE_HEIGHT_M, PLATE_RADIUS_M, SUPPORT
from vls_steering.sim.world import SceneTruth


def true_keypoints(truth: SceneTruth) -> Keypoints:
    """Exact positions and sizes of everything present."""
    points = tuple(
        Keypoint(name, position + _centre_offset(name), np.array(_size(name, truth.layout)))
        for name, position in truth.positions.items()
    )
    return Keypoints(truth.stamp_s, points)


def _centre_offset(name: str) -> np.ndarray:
    return np.array([0.0, 0.0, PLATE_HEIGHT_M / 2 if name == PLATE else 0.0])


def _size(name: str, layout: SceneLayout) -> tuple[float, float, float]:
    if name == PLATE:
        return (2 * PLATE_RADIUS_M, 2 * PLATE_RADIUS_M, PLATE_HEIGHT_M)
    box = {OBSTACLE: layout.obstacle, SUPPORT: layout.support}.get(name)
    if box is not None:
        x, y, z = box.half_size_m
        return (2 * x, 2 * y, 2 * z)
    item = LOOSE[name]
    width = 2 * item.half_size_m[0]
    depth = width if item.half_size_m[2] == 0 else 2 * item.half_size_m[1]
    return (width, depth, 2 * item.half_height_m)
