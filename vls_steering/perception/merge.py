"""Joins what several cameras, or one camera on both sides of a finger, see of one object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vls_steering.core.arrays import FloatArray
from vls_steering.perception.detection import UNKNOWN_SHAPE, Detection


@dataclass(frozen=True)
class Sighting:
    """One object at one instant, by all cameras; the fields mean what they mean in a Detection."""

    colour: str
    shape: str
    lower: FloatArray  # (3,) m, base frame
    upper: FloatArray
    free: NDArray[np.bool_]  # (2, 2): [lower, upper] x [x, y]
    grounded: bool
    pixels: int

    @property
    def complete(self) -> bool:
        return bool(self.free.all())

    @property
    def centroid(self) -> FloatArray:
        return 0.5 * (self.lower + self.upper)

    @property
    def size(self) -> FloatArray:
        return self.upper - self.lower


def merge_views(detections: Sequence[Detection], gap_m: float) -> tuple[Sighting, ...]:
    """Group detections of one colour whose bounds are closer than `gap_m`, and fuse every group."""
    groups: list[list[Detection]] = []
    for detection in sorted(detections, key=lambda d: -len(d.points)):
        joined, apart = [detection], []
        for group in groups:
            if any(_same_object(detection, other, gap_m) for other in group):
                joined = group + joined
            else:
                apart.append(group)
        groups = [*apart, joined]
    return tuple(_fuse(group) for group in groups)


def _same_object(a: Detection, b: Detection, gap_m: float) -> bool:
    if a.colour != b.colour:
        return False
    gap = np.maximum(np.maximum(a.lower - b.upper, b.lower - a.upper)[:2], 0.0)
    if a.camera == b.camera:
        # Two whole things in one picture are two things, however close.
        return not (a.complete and b.complete) and float(np.linalg.norm(gap)) < gap_m
    return bool(np.linalg.norm(gap) < 0.5 * gap_m and np.linalg.norm((a.centroid - b.centroid)[:2]) < 2.0 * gap_m)


def _fuse(group: list[Detection]) -> Sighting:
    """Whole views are averaged by their pixels; partial views are put together."""
    whole = [d for d in group if d.complete]
    if whole:
        weights = np.array([len(d.points) for d in whole], dtype=float)
        lower = np.average([d.lower for d in whole], axis=0, weights=weights)
        upper = np.average([d.upper for d in whole], axis=0, weights=weights)
        free = np.ones((2, 2), dtype=bool)
    else:
        lower, lowest = np.min([d.lower for d in group], axis=0), np.argmin([d.lower[:2] for d in group], axis=0)
        upper, highest = np.max([d.upper for d in group], axis=0), np.argmax([d.upper[:2] for d in group], axis=0)
        axes = range(2)
        free = np.array([[group[lowest[i]].free[0, i] for i in axes], [group[highest[i]].free[1, i] for i in axes]])
    upright = [d for d in whole if d.grounded]
    if upright:
        lower[2] = np.mean([d.lower[2] for d in upright])
        upper[2] = np.mean([d.upper[2] for d in upright])
    named = [d for d in (upright or whole or group) if d.shape != UNKNOWN_SHAPE]
    best = max(named or group, key=lambda d: len(d.points))
    return Sighting(
        best.colour,
        best.shape,
        lower,
        upper,
        free=free,
        grounded=any(d.grounded for d in whole or group),
        pixels=sum(len(d.points) for d in group),
    )
