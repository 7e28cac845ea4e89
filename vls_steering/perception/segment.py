"""The segmenter that needs no weights: what stands above the support plane, split by colour, named by proportions."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vls_steering.core.arrays import FloatArray
from vls_steering.perception.colour import (
    ACHROMATIC,
    CHROMATIC,
    COLOURS,
    ColourImage,
    classify_colours,
    colour_index,
    is_chromatic,
)
from vls_steering.perception.detection import Detection
from vls_steering.perception.lift import LiftedFrame, MaskImage, PointImage
from vls_steering.perception.plane import SupportPlane
from vls_steering.perception.settings import SegmentSettings, WorkspaceSettings
from vls_steering.perception.shape import fit_circle, measure_footprint, name_shape

_RING = 2  # pixels outside an outline that are searched for what hides it
_STEEP = 0.87  # sine of the elevation from which the sides of things are too foreshortened to measure
_KERNEL = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class _Crop:
    """The part of a picture around one component."""

    rows: slice
    columns: slice
    mask: MaskImage  # (h, w) the component


class GeometricSegmenter:
    """Support-plane removal, connected components per colour, proportions."""

    def __init__(self, settings: SegmentSettings, workspace: WorkspaceSettings) -> None:
        self._settings = settings
        self._workspace = workspace

    def segment(self, view: LiftedFrame, plane: SupportPlane, robot: MaskImage) -> tuple[Detection, ...]:
        classes = classify_colours(view.frame.color)
        height = plane.height_of(view.points)
        foreground = self._foreground(view, height, classes) & ~robot
        present = np.bincount(classes[foreground], minlength=len(COLOURS))
        detections = []
        for colour in COLOURS:
            if not present[colour_index(colour)]:
                continue
            mask = foreground & (classes == colour_index(colour))
            if colour in ACHROMATIC:
                mask = cv2.morphologyEx(mask.view(np.uint8), cv2.MORPH_OPEN, _KERNEL).view(bool)
            for crop in self._components(mask, colour):
                detection = self._measure(view, plane, height, crop, colour)
                if detection is not None:
                    detections.append(detection)
        return tuple(detections)

    def _foreground(self, view: LiftedFrame, height: PointImage, classes: ColourImage) -> MaskImage:
        box, points = self._workspace, view.points
        above = (
            view.valid
            & (height > self._settings.clearance_m)
            & (height < box.height_m)
            & (points[..., 0] > box.x_min_m)
            & (points[..., 0] < box.x_max_m)
            & (points[..., 1] > box.y_min_m)
            & (points[..., 1] < box.y_max_m)
        )
        # Depth cameras lose pixels at edges; colour keeps them, next to a pixel that has depth.
        nearby = cv2.dilate(above.astype(np.uint8), _KERNEL).astype(bool)
        foreground: MaskImage = above | (nearby & ~view.valid & is_chromatic(classes))
        return foreground

    def _components(self, mask: MaskImage, colour: str) -> list[_Crop]:
        least = self._settings.grey_pixels_min if colour in ACHROMATIC else self._settings.pixels_min
        left, top, wide, tall = cv2.boundingRect(mask.view(np.uint8))
        if wide * tall < least:
            return []
        # Labelling only where the colour occurs saves most of the time of a picture.
        part = np.ascontiguousarray(mask[top : top + tall, left : left + wide])
        count, labels, stats, _ = cv2.connectedComponentsWithStats(part.view(np.uint8), connectivity=8)
        crops = []
        for label in range(1, count):
            x, y, width, height, area = stats[label]
            if area < least:
                continue
            u, v = left + x, top + y
            rows = slice(max(0, v - _RING - 1), min(mask.shape[0], v + height + _RING + 1))
            columns = slice(max(0, u - _RING - 1), min(mask.shape[1], u + width + _RING + 1))
            own = np.zeros((rows.stop - rows.start, columns.stop - columns.start), dtype=bool)
            inner = own[v - rows.start :, u - columns.start :][:height, :width]
            inner[:] = labels[y : y + height, x : x + width] == label
            crops.append(_Crop(rows, columns, own))
        return crops

    def _measure(
        self, view: LiftedFrame, plane: SupportPlane, height: PointImage, crop: _Crop, colour: str
    ) -> Detection | None:
        window = (crop.rows, crop.columns)
        depth = _filled_depth(view.frame.depth[window], view.valid[window] & crop.mask, crop.mask)
        seen = crop.mask & (depth > 0.0)
        if np.count_nonzero(seen) < self._settings.pixels_min:
            return None
        rays = view.rays[window][seen]
        points = view.origin + rays * depth[seen][:, None]
        heights = plane.height_of(points)
        near_top = heights > np.percentile(heights, 97.0) - 2.0 * self._settings.top_band_m
        top_m = float(np.median(heights[near_top]))
        in_band = np.abs(heights - top_m) < self._settings.top_band_m
        top_m = float(np.median(heights[in_band])) if in_band.any() else top_m
        floor = self._settings.object_min_m if colour in CHROMATIC else self._settings.grey_min_m
        if top_m < floor:
            return None
        top_face = np.zeros_like(crop.mask)
        top_face[seen] = in_band
        hidden, free_rim = self._outline(view, crop, depth, top_face)
        bottom_m = float(np.percentile(heights, 2.0))
        grounded = bottom_m < max(2.5 * self._settings.clearance_m, 0.15 * top_m)
        if not grounded and _looks_down(rays):
            # The sides hide behind the top: nothing says where it ends, and things stand on the table.
            bottom_m = 0.0
        lower, upper, outline, pixel_m = _bounds(view, plane, points, rays, in_band, top_m)
        footprint = measure_footprint(outline, pixel_m)
        shape = name_shape(footprint, top_m if grounded else top_m - bottom_m)
        complete = bool(hidden < self._settings.occluded_share) and not _touches_border(crop, view)
        if shape == "plate" and np.count_nonzero(free_rim) >= 12:
            rim = _onto_level(view, plane, view.rays[window][free_rim], top_m)
            centre, radius = fit_circle(rim)
            lower[:2], upper[:2] = centre - radius - 0.5 * pixel_m, centre + radius + 0.5 * pixel_m
        middle = 0.5 * (lower + upper)
        level = plane.z_at(float(middle[0]), float(middle[1]))
        lower[2] = level + (0.0 if grounded else bottom_m)
        upper[2] = level + top_m
        full = np.zeros(view.valid.shape, dtype=bool)
        full[window] = crop.mask
        return Detection(
            colour, shape, view.frame.camera, full, points.astype(np.float32), lower, upper, complete, grounded
        )

    def _outline(
        self, view: LiftedFrame, crop: _Crop, depth: NDArray[np.float32], top_face: MaskImage
    ) -> tuple[float, MaskImage]:
        """Share of the outline along which something nearer hides the object; the top's outline that is free."""
        window = (crop.rows, crop.columns)
        inside = crop.mask.astype(np.uint8)
        around = cv2.dilate(inside, _KERNEL, iterations=_RING).astype(bool) & ~crop.mask & view.valid[window]
        reach = cv2.dilate(depth, _KERNEL, iterations=_RING)
        nearer = around & (view.frame.depth[window] < reach - self._settings.occluder_m)
        hidden = float(np.count_nonzero(nearer)) / max(1, int(np.count_nonzero(around)))
        face = cv2.morphologyEx(top_face.astype(np.uint8), cv2.MORPH_CLOSE, _KERNEL)
        rim = top_face & ~cv2.erode(face, _KERNEL, borderValue=1).astype(bool)
        covered = cv2.dilate(nearer.astype(np.uint8), _KERNEL, iterations=_RING).astype(bool)
        return hidden, rim & ~covered


def _filled_depth(depth: NDArray[np.float32], valid: MaskImage, mask: MaskImage) -> NDArray[np.float32]:
    """Depth inside `mask`, lost pixels filled by the mean of their valid neighbours; 0 elsewhere."""
    known = np.where(valid, depth, np.float32(0.0)).astype(np.float32)
    weight = cv2.blur(valid.astype(np.float32), (3, 3), borderType=cv2.BORDER_CONSTANT)
    mean = cv2.blur(known, (3, 3), borderType=cv2.BORDER_CONSTANT) / np.maximum(weight, 1e-6)
    filled: NDArray[np.float32] = np.where(valid, known, np.where(mask & (weight > 0.05), mean, 0.0)).astype(np.float32)
    return filled


def _onto_level(view: LiftedFrame, plane: SupportPlane, rays: PointImage, height_m: float) -> FloatArray:
    """(N, 2) m where the rays meet the plane `height_m` above the support: free of depth noise."""
    slope = np.array([plane.slope_x, plane.slope_y])
    start = view.origin.astype(np.float64)
    direction = rays.astype(np.float64)
    rise = plane.z_at(start[0], start[1]) + height_m - start[2]
    depth = rise / (direction[:, 2] - direction[:, :2] @ slope)
    landed: FloatArray = start[:2] + direction[:, :2] * depth[:, None]
    return landed


def _bounds(
    view: LiftedFrame, plane: SupportPlane, points: PointImage, rays: PointImage, in_band: MaskImage, top_m: float
) -> tuple[FloatArray, FloatArray, FloatArray, float]:
    """Lower and upper (3,) bounds (z still open), the top's outline (N, 2) and the size of a pixel on it in metres."""
    outline = _onto_level(view, plane, rays[in_band], top_m)
    distance = float(
        np.median(points @ view.frame.base_from_camera[:3, 2] - view.origin @ view.frame.base_from_camera[:3, 2])
    )
    across = distance / view.frame.intrinsics[0, 0]
    steepness = abs(float(np.mean(rays[:, 2] / np.linalg.norm(rays, axis=1))))
    along = across / max(steepness, 0.3)
    lower, upper = np.zeros(3), np.zeros(3)
    forward = np.abs(np.mean(rays[:, :2], axis=0))
    forward = forward / max(float(np.linalg.norm(forward)), 1e-9)
    pad = 0.5 * (across + (along - across) * forward)
    lower[:2] = np.percentile(outline, 1.0, axis=0) - pad
    upper[:2] = np.percentile(outline, 99.0, axis=0) + pad
    return lower, upper, outline, float(np.sqrt(across * along))


def _looks_down(rays: PointImage) -> bool:
    """True when the view is too steep to see the sides of things."""
    direction = np.mean(rays, axis=0)
    return bool(abs(direction[2]) > _STEEP * np.linalg.norm(direction))


def _touches_border(crop: _Crop, view: LiftedFrame) -> bool:
    height, width = view.valid.shape
    rows, columns = np.nonzero(crop.mask)
    top, left = crop.rows.start + rows.min(), crop.columns.start + columns.min()
    bottom, right = crop.rows.start + rows.max(), crop.columns.start + columns.max()
    return bool(top <= 0 or left <= 0 or bottom >= height - 1 or right >= width - 1)
