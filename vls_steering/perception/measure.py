"""Measures one connected component: what object it is a view of, and where that object begins and ends.

Visible points lie on the near surface, so their mean is not the object's centre.  The top face is what a camera above
the table sees without distortion: its outline, intersected with the plane at its height, bounds the object sideways,
and the object reaches from there down to what it stands on.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from vls_steering.core.arrays import FloatArray
from vls_steering.perception.colour import CHROMATIC
from vls_steering.perception.detection import Detection
from vls_steering.perception.lift import LiftedFrame, MaskImage, PointImage
from vls_steering.perception.plane import SupportPlane
from vls_steering.perception.regions import Component
from vls_steering.perception.settings import SegmentSettings
from vls_steering.perception.shape import FLAT_M, PLATE, fit_circle, measure_footprint, name_shape, rim_squareness

_RING = 2  # pixels outside an outline that are searched for what hides it
_STEEP = 0.87  # sine of the elevation from which the sides of things are too foreshortened to measure
_EDGE_PIXELS = 2.0  # width of the strip that counts as the edge of a side
_EDGE_HIDDEN = 0.35  # a side with more of its edge hidden is not known to end there
_DISC_SHARE = 0.40  # share of a rim that determines the whole disc
_RIM_PIXELS = 12  # of a rim to which a disc can be fitted
_BITTEN = 0.05  # share of a rim beside something nearer from which a top face counts as covered in part
_GROUND_PIXELS = 20  # around an object that say what it stands on
_KERNEL = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class _TopFace:
    """The highest visible layer of a component."""

    spots: FloatArray  # (N, 2) m, base frame, free of depth noise
    whole: FloatArray  # (M, 2) m, the same with what is missing inside their convex hull, where something covers it
    bitten: bool  # something covers part of it
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
    top = _top_face(view, plane, window, rays, depth[seen], top_m, in_band, seen, covered)
    bottom_m = float(np.percentile(heights, 2.0))
    grounded = bottom_m < max(2.5 * settings.clearance_m, 0.15 * top_m)
    if grounded:
        bottom_m = 0.0
    elif _looks_down(rays):
        # Seen from above the sides hide behind the top: things stand on what surrounds them.
        bottom_m = _ground_around(view, plane, component, top_m, settings)
    lower, upper, free = _sides(top)
    if free.all() and not top.bitten:
        # Extremes are single pixels; the mean of a whole face has the noise of none of them.
        shift = top.spots.mean(axis=0) - 0.5 * (lower + upper)
        lower, upper = lower + shift, upper + shift
    if top_m - bottom_m > 2.0 * settings.top_band_m:
        lower, upper = _without_side(lower, upper, rays, settings.top_band_m)
    open_rim = top.spots[top.rim & ~top.covered]
    footprint = measure_footprint(top.whole, float(np.sqrt(top.pixel_m.prod())))
    if top.bitten and len(open_rim) >= _RIM_PIXELS:
        footprint = replace(footprint, squareness=rim_squareness(open_rim))
    shape = name_shape(footprint, top_m - bottom_m)
    if top_m - bottom_m < FLAT_M and len(open_rim) >= _RIM_PIXELS:
        disc = fit_circle(open_rim)
        if shape == PLATE or disc.is_plate:
            shape = PLATE
            lower, upper = disc.centre - disc.radius - 0.5 * top.pixel_m, disc.centre + disc.radius + 0.5 * top.pixel_m
            free = free | (disc.share > _DISC_SHARE)
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
        face=top.spots,
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
    window: tuple[slice, slice],
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
    spots = _onto_level(view, plane, rays[in_band], top_m)
    bitten = bool(rim.any() and covered[rim].mean() > _BITTEN)
    whole = _onto_level(view, plane, view.rays[window][_hull(face)], top_m) if bitten else spots
    return _TopFace(spots, whole, bitten, rim[face], covered[face], pixel)


def _hull(face: MaskImage) -> MaskImage:
    """(h, w) `face` and all that lies between its pixels: a top is convex, whatever stands on it or before it."""
    columns_rows = cv2.findNonZero(face.view(np.uint8))
    filled = np.zeros(face.shape, np.uint8)
    cv2.fillConvexPoly(filled, cv2.convexHull(columns_rows), 1)
    hull: MaskImage = filled.astype(bool)
    return hull


def _ground_around(
    view: LiftedFrame, plane: SupportPlane, component: Component, top_m: float, settings: SegmentSettings
) -> float:
    """Height m of what a component seen from above stands on: most of what surrounds it below its top."""
    window = (component.rows, component.columns)
    near = cv2.dilate(component.mask.view(np.uint8), _KERNEL, iterations=_RING + 1).astype(bool)
    around = near & ~component.mask & view.valid[window]
    heights = plane.height_of(view.points[window][around])
    heights = heights[heights < top_m - settings.object_min_m]
    ground = float(np.median(heights)) if len(heights) >= _GROUND_PIXELS else 0.0
    return ground if ground > 2.5 * settings.clearance_m else 0.0


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


def _without_side(
    lower: FloatArray, upper: FloatArray, rays: PointImage, band_m: float
) -> tuple[FloatArray, FloatArray]:
    """Bounds (2,) m less the strip of the side facing the camera that lies within the top layer's thickness."""
    direction = rays.mean(axis=0, dtype=np.float64)
    strip = band_m * direction[:2] / abs(direction[2])
    return lower + np.maximum(strip, 0.0), upper + np.minimum(strip, 0.0)


def _looks_down(rays: PointImage) -> bool:
    """True when the view is too steep to see the sides of things."""
    direction = rays.mean(axis=0)
    return bool(abs(direction[2]) > _STEEP * np.linalg.norm(direction))
