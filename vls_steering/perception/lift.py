"""Lifts an RGB-D picture into the base frame, one point per pixel."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vls_steering.core.types import CameraFrame

PointImage = NDArray[np.float32]
MaskImage = NDArray[np.bool_]


@dataclass(frozen=True)
class LiftedFrame:
    """A frame and where each of its pixels lies."""

    frame: CameraFrame
    origin: PointImage = field(repr=False)  # (3,) m, optical centre in the base frame
    rays: PointImage = field(repr=False)  # (H, W, 3) base-frame direction of each pixel, per metre of depth
    points: PointImage = field(repr=False)  # (H, W, 3) m, base frame; means nothing where not valid
    valid: MaskImage = field(repr=False)  # (H, W) the pixel has a depth


def lift(frame: CameraFrame) -> LiftedFrame:
    """Back-project every pixel of an undistorted pinhole picture."""
    height, width = frame.depth.shape
    rotation = frame.base_from_camera[:3, :3].astype(np.float32)
    origin = frame.base_from_camera[:3, 3].astype(np.float32)
    focal_x, focal_y = frame.intrinsics[0, 0], frame.intrinsics[1, 1]
    right = ((np.arange(width) - frame.intrinsics[0, 2]) / focal_x).astype(np.float32)
    down = ((np.arange(height) - frame.intrinsics[1, 2]) / focal_y).astype(np.float32)
    rays = right[None, :, None] * rotation[:, 0] + (down[:, None, None] * rotation[:, 1] + rotation[:, 2])
    depth = frame.depth.astype(np.float32, copy=False)
    valid = np.isfinite(depth) & (depth > 0.0)
    points = origin + rays * np.where(valid, depth, np.float32(0.0))[..., None]
    return LiftedFrame(frame, origin, rays, points, valid)
