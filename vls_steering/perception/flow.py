"""Follows points of known objects from one picture of a camera to its next: pyramidal Lucas-Kanade, lifted by depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vls_steering.core.arrays import FloatArray
from vls_steering.core.types import CameraFrame
from vls_steering.perception.lift import MaskImage
from vls_steering.perception.self_mask import Capsule
from vls_steering.perception.settings import FlowSettings

_PATCH = 2  # pixels around a point whose depths are its own
_WINDOW = (11, 11)
_LEVELS = 3
_NEAR_PERCENTILE = 25.0  # an object is nearer than what its outline borders on


@dataclass(frozen=True)
class PointPairs:
    """Where points of one object were and are."""

    before: FloatArray  # (N, 3) m, base frame
    after: FloatArray  # (N, 3) m, base frame
    shift_px: FloatArray  # (N,) distance in the picture of a camera at rest, else infinite


@dataclass(frozen=True)
class Seed:
    """An object to be followed: its pixels, and the box in space that its points must lie in."""

    mask: MaskImage  # (H, W)
    position: FloatArray  # (3,) m, base frame
    size: FloatArray  # (3,) m


class PointFlow:
    """One camera's points.  Deterministic; not thread-safe."""

    def __init__(self, settings: FlowSettings) -> None:
        self._settings = settings
        self.reset()

    def reset(self) -> None:
        """Forget picture and points."""
        self._forget_points()

    def seed(self, frame: CameraFrame, seeds: Mapping[int, Seed], robot: Sequence[Capsule]) -> None:
        """Choose corners of each object, named by its key, outside of the `robot`; replaces all points."""
        self._forget_points()
        self._show(frame)
        settings = self._settings
        for key, seed in seeds.items():
            # The corners of a plain object lie on its outline, and those of the outline just outside of it.
            around = cv2.dilate(seed.mask.view(np.uint8), np.ones((3, 3), np.uint8))
            corners = cv2.goodFeaturesToTrack(
                self._grey, settings.points, settings.quality, settings.spacing_px, mask=around
            )
            if corners is None:
                continue
            pixels = np.asarray(corners, np.float32).reshape(-1, 2)
            points, known = _lift(frame, pixels)
            # Where something hides part of the object, the corners between them are that thing's.
            known &= (np.abs(points - seed.position) < 0.5 * seed.size + settings.margin_m).all(axis=1)
            known &= ~_inside(robot, points)
            self._keep(
                np.concatenate([self._pixels, pixels[known]]),
                np.concatenate([self._points, points[known]]),
                np.concatenate([self._owners, np.full(np.count_nonzero(known), key)]),
            )

    def follow(self, frame: CameraFrame, robot: Sequence[Capsule]) -> dict[int, PointPairs]:
        """Each object's points that can be found in `frame` outside of the `robot`, and back where they came from."""
        if not len(self._pixels) or frame.color.shape[:2] != self._grey.shape:
            self._forget_points()
            return {}
        before, at_rest = self._grey, np.array_equal(frame.base_from_camera, self._base_from_camera)
        self._show(frame)
        there, back = _lucas_kanade(before, self._grey, self._pixels)
        height, width = self._grey.shape
        kept = np.linalg.norm(back - self._pixels, axis=1) < self._settings.return_px
        kept &= (there >= _PATCH).all(axis=1) & (there < [width - 1 - _PATCH, height - 1 - _PATCH]).all(axis=1)
        there, old_pixels, old, owners = there[kept], self._pixels[kept], self._points[kept], self._owners[kept]
        points, known = _lift(frame, there)
        # What is suddenly much nearer or farther is an occluder, or what the object stood before.
        known &= (np.linalg.norm(points - old, axis=1) < self._settings.step_m) & ~_inside(robot, points)
        self._keep(there[known], points[known], owners[known])
        shift_px = np.linalg.norm(there - old_pixels, axis=1) if at_rest else np.full(len(there), np.inf)
        return {
            int(key): PointPairs(old[own], points[own], shift_px[own])
            for key in np.unique(owners[known])
            for own in [known & (owners == key)]
        }

    def _show(self, frame: CameraFrame) -> None:
        self._grey: NDArray[np.uint8] = np.asarray(cv2.cvtColor(frame.color, cv2.COLOR_RGB2GRAY), np.uint8)
        self._base_from_camera = frame.base_from_camera

    def _keep(self, pixels: NDArray[np.float32], points: FloatArray, owners: NDArray[np.int_]) -> None:
        self._pixels, self._points, self._owners = pixels, points, owners

    def _forget_points(self) -> None:
        self._keep(np.zeros((0, 2), np.float32), np.zeros((0, 3)), np.zeros(0, int))


def _lucas_kanade(
    before: NDArray[np.uint8], after: NDArray[np.uint8], pixels: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Where each pixel (N, 2) is now, and where tracking that backwards leads; lost ones are infinitely far away."""
    there, found = _track(before, after, pixels)
    back, returned = _track(after, before, there)
    back[~(found & returned)] = np.inf
    return there, back


def _track(
    old: NDArray[np.uint8], new: NDArray[np.uint8], pixels: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Where each pixel (N, 2) of `old` is in `new`, and which of them (N,) were found (Bouguet's pyramidal version)."""
    there, found, _ = cv2.calcOpticalFlowPyrLK(old, new, pixels, pixels.copy(), winSize=_WINDOW, maxLevel=_LEVELS)
    return np.asarray(there, np.float32), np.asarray(found).ravel() > 0


def _inside(robot: Sequence[Capsule], points: FloatArray) -> NDArray[np.bool_]:
    """(N,) of points (N, 3): what lies in the robot's volume goes where the robot goes."""
    inside = np.zeros(len(points), dtype=bool)
    for capsule in robot:
        inside |= capsule.contains(points.astype(np.float32))
    return inside


def _lift(frame: CameraFrame, pixels: NDArray[np.float32]) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Points (N, 3) m of `pixels` (N, 2) in the base frame, and which of them (N,) have a depth."""
    height, width = frame.depth.shape
    around = np.arange(-_PATCH, _PATCH + 1)
    nearest = np.round(pixels).astype(int)
    rows = np.clip(nearest[:, 1, None, None] + around[:, None], 0, height - 1)
    columns = np.clip(nearest[:, 0, None, None] + around, 0, width - 1)
    depths = frame.depth[rows, columns].reshape(len(pixels), around.size**2)
    valid = np.isfinite(depths) & (depths > 0.0)
    known = valid.sum(axis=1) > len(around)
    # Sorting puts the lost ones last; the percentile is then an index among the valid ones.
    ordered = np.sort(np.where(valid, depths, np.inf), axis=1)
    rank = (valid.sum(axis=1) * _NEAR_PERCENTILE / 100.0).astype(int)
    near = ordered[np.arange(len(pixels)), np.minimum(rank, ordered.shape[1] - 1)]
    same = valid & (np.abs(depths - near[:, None]) < 0.01)
    depth = np.where(same, depths, 0.0).sum(axis=1) / np.maximum(same.sum(axis=1), 1)
    focal, centre = frame.intrinsics[[0, 1], [0, 1]], frame.intrinsics[:2, 2]
    local = np.column_stack([(pixels - centre) / focal, np.ones(len(pixels))]) * depth[:, None]
    points: FloatArray = local @ frame.base_from_camera[:3, :3].T + frame.base_from_camera[:3, 3]
    return points, known
