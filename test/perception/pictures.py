"""Pictures of boxes on a plane by exact ray casting: no renderer, no noise unless asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vls_steering.core.types import DOWN_QUAT_XYZW, CameraFrame, RobotState

RED, BLUE, GREY, TABLE = (200, 25, 20), (20, 50, 210), (120, 120, 120), (140, 120, 97)
EYE, TARGET = np.array([1.02, 0.0, 0.72]), np.array([0.46, 0.0, 0.03])
INTRINSICS = np.array([[297.0, 0, 159.5], [0, 297.0, 119.5], [0, 0, 1.0]])


@dataclass(frozen=True)
class Box:
    """An axis-aligned box in the base frame."""

    lower: tuple[float, float, float]
    upper: tuple[float, float, float]
    rgb: tuple[int, int, int]


def standing(x: float, y: float, size: tuple[float, float, float], rgb: tuple[int, int, int], z: float = 0.0) -> Box:
    """A box whose lower face lies at height `z`."""
    half = (size[0] / 2, size[1] / 2)
    return Box((x - half[0], y - half[1], z), (x + half[0], y + half[1], z + size[2]), rgb)


def picture(
    boxes: Sequence[Box], table_z_m: float = 0.0, slope_y: float = 0.0, stamp_s: float = 0.0, seed: int | None = None
) -> CameraFrame:
    """The front camera's view; the table is z = table_z_m + slope_y * y.  A seed adds the noise of a depth camera."""
    pose = _look_at(EYE, TARGET)
    columns, rows = np.meshgrid(np.arange(320), np.arange(240))
    local = np.stack([(columns - 159.5) / 297.0, (rows - 119.5) / 297.0, np.ones(columns.shape)], axis=-1)
    rays = local @ pose[:3, :3].T
    depth = (table_z_m + slope_y * EYE[1] - EYE[2]) / (rays[..., 2] - slope_y * rays[..., 1])
    depth = np.where(depth > 0, depth, 0.0)
    color = np.broadcast_to(np.array(TABLE, dtype=float), rays.shape).copy()
    for box in boxes:
        near, far, face = _slabs(rays, np.array(box.lower), np.array(box.upper))
        hit = (near < far) & (near > 0) & ((near < depth) | (depth == 0))
        depth = np.where(hit, near, depth)
        # Faces are shaded differently, as under a lamp from above.
        shade = np.where(face == 2, 1.0, 0.6)[..., None]
        color = np.where(hit[..., None], np.array(box.rgb) * shade, color)
    if seed is not None:
        rng = np.random.default_rng(seed)
        depth = depth + 0.002 * rng.standard_normal(depth.shape)
        depth[rng.random(depth.shape) < 0.01] = 0.0
        color = color + 4.0 * rng.standard_normal(color.shape)
    return CameraFrame(
        stamp_s, "front", np.clip(color, 0, 255).astype(np.uint8), depth.astype(np.float32), INTRINSICS, pose
    )


def robot_far_away(
    tcp: tuple[float, float, float] = (0.30, 0.0, 0.60),
    width_m: float = 0.08,
    holds: bool = False,
    stamp_s: float = 0.0,
) -> RobotState:
    """A measured state; by default the hand is out of the picture."""
    posture = np.array([0.0, -0.6, 0.0, -2.35, 0.0, 1.75, 0.785])
    return RobotState(stamp_s, posture, np.zeros(7), np.array(tcp), np.array(DOWN_QUAT_XYZW), width_m, holds)


def _slabs(rays: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = (lower - EYE) / rays, (upper - EYE) / rays
    enter, leave = np.minimum(a, b), np.maximum(a, b)
    return enter.max(axis=-1), leave.min(axis=-1), enter.argmax(axis=-1)


def _look_at(eye: np.ndarray, target: np.ndarray) -> np.ndarray:
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = eye
    return pose
