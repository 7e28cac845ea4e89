"""Joins what several cameras, or one camera on both sides of a finger, see of one object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vls_steering.core.arrays import FloatArray
from vls_steering.perception.detection import Detection
from vls_steering.perception.shape import measure_footprint, name_shape

_MARGIN_M = 0.012  # a view reaches this much out of the object it is of
_TOP_M = 0.015  # two views of one top differ by less
_INSIDE = 0.6  # a part lies within a whole with this share of its bounds
_CELL_M = 0.0025  # of the raster in which several views' top faces are put together


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
    """Group the detections that are views of one object, and fuse every group.

    Whole views come first: two of them are one object when they are of different cameras and in the same place.  A part
    then belongs to the whole that contains it, else to a part whose hidden side, at most `gap_m` away, it continues.
    """
    groups: list[list[Detection]] = []
    for view in sorted(detections, key=lambda d: (not d.complete, -len(d.points))):
        fitting = [(_fit(view, group, gap_m), i) for i, group in enumerate(groups)]
        best = max(fitting, default=(0.0, -1))
        if best[0] > 0.0:
            groups[best[1]].append(view)
        else:
            groups.append([view])
    return tuple(_fuse(group) for group in groups)


def _fit(view: Detection, group: list[Detection], gap_m: float) -> float:
    """How well `view` fits to a group, 0 .. 1; 0: it is another object."""
    if view.colour != group[0].colour:
        return 0.0
    whole = group[0].complete
    if whole and view.complete:
        same = all(view.camera != other.camera for other in group)
        return _overlap(view, group[0]) if same and _overlap(view, group[0]) > 0.5 else 0.0
    if whole:
        lower_than_whole = view.upper[2] < group[0].upper[2] + _TOP_M
        return _overlap(view, group[0]) if lower_than_whole and _overlap(view, group[0]) > _INSIDE else 0.0
    return max(_continuation(view, other, gap_m) for other in group)


def _overlap(view: Detection, other: Detection) -> float:
    """Share of the bounds of `view` on the plane that lies within those of `other`, widened by the margin."""
    lower = np.maximum(view.lower[:2], other.lower[:2] - _MARGIN_M)
    upper = np.minimum(view.upper[:2], other.upper[:2] + _MARGIN_M)
    share = np.maximum(upper - lower, 0.0).prod() / max(float((view.upper - view.lower)[:2].prod()), 1e-9)
    return float(min(share, 1.0))


def _continuation(a: Detection, b: Detection, gap_m: float) -> float:
    """Parts of one object overlap, or both are hidden on the sides that face each other."""
    gap = np.maximum(a.lower - b.upper, b.lower - a.upper)[:2]
    apart = float(np.linalg.norm(np.maximum(gap, 0.0)))
    if apart > gap_m:
        return 0.0
    for axis in range(2):
        if gap[axis] <= _MARGIN_M:
            continue
        a_first = bool(a.upper[axis] < b.lower[axis])
        if a.free[int(a_first), axis] or b.free[int(not a_first), axis]:
            return 0.0
    return 1.0 - 0.9 * apart / gap_m


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
    return Sighting(
        group[0].colour,
        _shape(whole or group, float(upper[2] - lower[2])),
        lower,
        upper,
        free=free,
        grounded=any(d.grounded for d in whole or group),
        pixels=sum(len(d.points) for d in group),
    )


def _shape(views: list[Detection], height_m: float) -> str:
    """From the view that shows most of the top; parts are put together first."""
    if len(views) > 1 and not views[0].complete:
        top_m = max(d.upper[2] for d in views)
        faces = [d.face for d in views if d.upper[2] > top_m - _TOP_M and len(d.face)]
        if faces:
            cells = np.unique(np.round(np.concatenate(faces) / _CELL_M), axis=0)
            return name_shape(measure_footprint(cells * _CELL_M, _CELL_M), height_m)
    return max(views, key=lambda d: len(d.face)).shape
