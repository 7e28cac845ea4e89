"""Measures one connected component: what object it is a view of, and where that object begins and ends.

Visible points lie on the near surface, so their mean is not the object's centre.  The top face is what a camera above
the table sees without distortion: its outline, intersected with the plane at its height, bounds the object sideways,
and the object reaches from there down to what it stands on.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vls_steering.core.arrays import FloatArray
from vls_steering.perception.colour import CHROMATIC
from vls_steering.perception.detection import Detection
from vls_steering.perception.lift import LiftedFrame, MaskImage, PointImage
from vls_steering.perception.plane import SupportPlane
from vls_steering.perception.settings import SegmentSettings
from vls_steering.perception.shape import disc_share, fit_circle, measure_footprint, name_shape

_RING = 2  # pixels outside an outline that are searched for what hides it
OUTSIDE = _RING + 1  # pixels around a component that a crop should include
_STEEP = 0.87  # sine of the elevation from which the sides of things are too foreshortened to measure
_EDGE_PIXELS = 2.0  # width of the strip that counts as the edge of a side
_EDGE_HIDDEN = 0.35  # a side with more of its edge hidden is not known to end there
_DISC_SHARE = 0.55  # share of a rim that determines the whole disc
_KERNEL = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class Component:
    """Pixels of one colour that hang together, within a window of the picture."""

    rows: slice
    columns: slice
    mask: MaskImage  # (h, w) of the window


@dataclass(frozen=True)
class _TopFace:
    """The highest visible layer of a component."""

    spots: FloatArray  # (N, 2) m, base frame, free of depth noise
    rim: MaskImage  # (N,) on the outline
    covered: MaskImage  # (N,) next to something that hides the object, or to the picture's border
    pixel_m: FloatArray  # (2,) extent of a pixel along x and y


def measure_component(
    view: LiftedFrame, plane: SupportPlane, component: Component, colour: str, settings: SegmentSettings
) -> Detection | None:
    """None when the component is too low or too small to be an object."""
    window = (component.rows, component.columns)
    depth = _filled_depth(view.frame.depth[window], view.valid[window] & component.mask, component.mask)
    seen = component.mask & (depth > 0.0)
    if np.count_nonzero(seen) < settings.pixels_min:
        return None
    rays = view.rays[window][seen]
    points = view.origin + rays * depth[seen][:, None]
    heights = plane.height_of(points)
    top_m, in_band = _top_layer(heights, settings.top_band_m)
    if top_m < (settings.object_min_m if colour in CHROMATIC else settings.grey_min_m):
        return None
    covered = _covered(view, component, depth, settings.occluder_m)
    top = _top_face(view, plane, rays, depth[seen], top_m, in_band, seen, covered)
    bottom_m = float(np.percentile(heights, 2.0))
    grounded = bottom_m < max(2.5 * settings.clearance_m, 0.15 * top_m)
    if grounded or _looks_down(rays):
        # Seen from above the sides hide behind the top: nothing says where it ends, and things stand on the table.
        bottom_m = 0.0
    lower, upper, free = _sides(top)
    shape = name_shape(measure_footprint(top.spots, float(np.sqrt(top.pixel_m.prod()))), top_m - bottom_m)
    open_rim = top.spots[top.rim & ~top.covered]
    if shape == "plate" and len(open_rim) >= 12:
        centre, radius = fit_circle(open_rim)
        lower, upper = centre - radius - 0.5 * top.pixel_m, centre + radius + 0.5 * top.pixel_m
        free = free | (disc_share(open_rim, centre) > _DISC_SHARE)
    middle = 0.5 * (lower + upper)
    level = plane.z_at(float(middle[0]), float(middle[1]))
    full = np.zeros(view.valid.shape, dtype=bool)
    full[window] = component.mask
    return Detection(
        colour,
        shape,
        view.frame.camera,
        mask=full,
        points=points.astype(np.float32),
        lower=np.array([*lower, level + bottom_m]),
        upper=np.array([*upper, level + top_m]),
        free=free,
        grounded=bool(grounded),
    )


def _filled_depth(depth: NDArray[np.float32], valid: MaskImage, mask: MaskImage) -> NDArray[np.float32]:
    """Depth inside `mask`, lost pixels filled by the mean of their valid neighbours; 0 elsewhere."""
    known = np.where(valid, depth, np.float32(0.0)).astype(np.float32)
    weight = cv2.blur(valid.astype(np.float32), (3, 3), borderType=cv2.BORDER_CONSTANT)
    mean = cv2.blur(known, (3, 3), borderType=cv2.BORDER_CONSTANT) / np.maximum(weight, 1e-6)
    filled: NDArray[np.float32] = np.where(valid, known, np.where(mask & (weight > 0.05), mean, 0.0)).astype(np.float32)
    return filled


def _top_layer(heights: PointImage, band_m: float) -> tuple[float, MaskImage]:
    """Height of the top face, and which points (N,) lie on it."""
    near_top = heights > np.percentile(heights, 97.0) - 2.0 * band_m
    top_m = float(np.median(heights[near_top]))
    in_band = np.abs(heights - top_m) < band_m
    if in_band.any():
        top_m = float(np.median(heights[in_band]))
    return top_m, np.abs(heights - top_m) < band_m if in_band.any() else near_top


def _covered(view: LiftedFrame, component: Component, depth: NDArray[np.float32], occluder_m: float) -> MaskImage:
    """(h, w) Pixels next to something nearer than the component, or to the border of the picture."""
    window = (component.rows, component.columns)
    inside = component.mask.view(np.uint8)
    around = cv2.dilate(inside, _KERNEL, iterations=_RING).astype(bool) & ~component.mask & view.valid[window]
    reach = cv2.dilate(depth, _KERNEL, iterations=_RING)
    nearer = around & (view.frame.depth[window] < reach - occluder_m)
    covered: MaskImage = cv2.dilate(nearer.view(np.uint8), _KERNEL, iterations=_RING).astype(bool)
    height, width = view.valid.shape
    rows = np.arange(component.rows.start, component.rows.stop)
    columns = np.arange(component.columns.start, component.columns.stop)
    covered[(rows < 2) | (rows >= height - 2), :] = True
    covered[:, (columns < 2) | (columns >= width - 2)] = True
    return covered


def _top_face(
    view: LiftedFrame,
    plane: SupportPlane,
    rays: PointImage,
    depth: PointImage,
    top_m: float,
    in_band: MaskImage,
    seen: MaskImage,
    covered: MaskImage,
) -> _TopFace:
    face = np.zeros_like(seen)
    face[seen] = in_band
    closed = cv2.morphologyEx(face.view(np.uint8), cv2.MORPH_CLOSE, _KERNEL)
    rim = face & ~cv2.erode(closed, _KERNEL, borderValue=0).astype(bool)
    across = float(np.median(depth)) / view.frame.intrinsics[0, 0]
    direction = rays.mean(axis=0, dtype=np.float64)
    level = float(np.linalg.norm(direction[:2]))
    steepness = abs(float(direction[2])) / float(np.linalg.norm(direction))
    # A pixel covers more of a level surface along the line of sight than across it.
    stretch = across * (1.0 / max(steepness, 0.3) - 1.0)
    pixel = across + stretch * np.abs(direction[:2]) / max(level, 1e-9)
    return _TopFace(_onto_level(view, plane, rays[in_band], top_m), rim[face], covered[face], pixel)


def _onto_level(view: LiftedFrame, plane: SupportPlane, rays: PointImage, height_m: float) -> FloatArray:
    """(N, 2) m where the rays meet the plane `height_m` above the support."""
    slope = np.array([plane.slope_x, plane.slope_y])
    start, direction = view.origin.astype(np.float64), rays.astype(np.float64)
    rise = plane.z_at(start[0], start[1]) + height_m - start[2]
    depth = rise / (direction[:, 2] - direction[:, :2] @ slope)
    landed: FloatArray = start[:2] + direction[:, :2] * depth[:, None]
    return landed


def _sides(top: _TopFace) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
    """Lower and upper bounds (2,) m of the top face, and whether the object is known to end there (lower/upper, xy)."""
    lower, upper = np.percentile(top.spots, [1.0, 99.0], axis=0)
    edge = _EDGE_PIXELS * top.pixel_m
    free = np.zeros((2, 2), dtype=bool)
    for axis in range(2):
        for side, near in enumerate(
            (top.spots[:, axis] < lower[axis] + edge[axis], top.spots[:, axis] > upper[axis] - edge[axis])
        ):
            free[side, axis] = top.covered[near].mean() < _EDGE_HIDDEN
    return lower - 0.5 * top.pixel_m, upper + 0.5 * top.pixel_m, free


def _looks_down(rays: PointImage) -> bool:
    """True when the view is too steep to see the sides of things."""
    direction = rays.mean(axis=0)
    return bool(abs(direction[2]) > _STEEP * np.linalg.norm(direction))
