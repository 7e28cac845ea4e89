"""Where a surface ends and something behind it begins, which colours alone do not tell."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vls_steering.perception.lift import LiftedFrame, MaskImage

STEP_M = 0.010  # a surface continues from a pixel to the next when it goes sideways by less; faces may be vertical
_KERNEL = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class Surface:
    """Depth without noise or holes, and the horizontal distance m from each pixel's point to the next one's."""

    depth: NDArray[np.float32]  # (H, W) m
    along: NDArray[np.float32]  # (H, W - 1)
    down: NDArray[np.float32]  # (H - 1, W)


def find_surface(view: LiftedFrame) -> Surface:
    """A lost pixel counts as the nearest of its neighbours, so that it continues what is in front."""
    far = np.float32(1e3)
    known = np.where(view.valid, view.frame.depth, far).astype(np.float32)
    near = cv2.erode(known, _KERNEL)
    near[near == far] = 0.0
    depth = cv2.medianBlur(np.where(view.valid, known, near), 3).astype(np.float32, copy=False)
    x = view.origin[0] + view.rays[..., 0] * depth
    y = view.origin[1] + view.rays[..., 1] * depth
    along = np.hypot(np.diff(x, axis=1), np.diff(y, axis=1))
    return Surface(depth, along, np.hypot(np.diff(x, axis=0), np.diff(y, axis=0)))


def behind_an_edge(surface: Surface) -> MaskImage:
    """(H, W) Pixels whose neighbour belongs to something else in front: without them the two hang together no more."""
    depth = surface.depth
    behind = np.zeros(depth.shape, dtype=bool)
    along, down = surface.along > STEP_M, surface.down > STEP_M
    behind[:, 1:] |= along & (depth[:, 1:] > depth[:, :-1])
    behind[:, :-1] |= along & (depth[:, 1:] < depth[:, :-1])
    behind[1:] |= down & (depth[1:] > depth[:-1])
    behind[:-1] |= down & (depth[1:] < depth[:-1])
    return behind
