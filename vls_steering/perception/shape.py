"""Names shapes by their proportions, and fits the discs that bounds describe badly."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from vls_steering.core.arrays import FloatArray
from vls_steering.perception.detection import UNKNOWN_SHAPE

# A rectangle fills all of its smallest enclosing rectangle, a disc pi / 4 = 0.785 of it; both lose some to pixels.
_ROUND_FILL = 0.875
_FLAT_M, _PLATE_MIN_M = 0.025, 0.08
_HAND_SIZED_M = 0.075
_SQUARE_RATIO, _BRICK_RATIO = 1.30, 2.6
_SECTORS = 18


@dataclass(frozen=True)
class Footprint:
    """The smallest rectangle around an outline on the plane."""

    length_m: float
    width_m: float
    fill: float  # share of the rectangle that the outline's convex hull covers


def measure_footprint(outline: FloatArray, pixel_m: float) -> Footprint:
    """`outline` (N, 2) m of pixel centres; half a pixel is added on every side."""
    # Millimetres: OpenCV works in single precision and treats tiny areas as empty.
    hull = cv2.convexHull((1000.0 * outline).astype(np.float32))
    _, (a, b), _ = cv2.minAreaRect(hull)
    area, around = cv2.contourArea(hull), cv2.arcLength(hull, True)
    pixel = 1000.0 * pixel_m
    a, b = a + pixel, b + pixel
    # Minkowski sum of the hull and a disc of half a pixel.
    grown = area + 0.5 * pixel * around + np.pi * (0.5 * pixel) ** 2
    return Footprint(max(a, b) / 1000.0, min(a, b) / 1000.0, float(grown / (a * b)))


def name_shape(footprint: Footprint, height_m: float) -> str:
    """One word, or UNKNOWN_SHAPE when the proportions fit none."""
    length, width = footprint.length_m, footprint.width_m
    round_top = footprint.fill < _ROUND_FILL
    if height_m < _FLAT_M and length > _PLATE_MIN_M:
        return "plate" if length < _SQUARE_RATIO * width else UNKNOWN_SHAPE
    if length > _HAND_SIZED_M or height_m > _HAND_SIZED_M:
        if round_top and length < _SQUARE_RATIO * width:
            return "cylinder"
        return "box"
    if round_top and length < _SQUARE_RATIO * width:
        return "cylinder"
    if length < _SQUARE_RATIO * width and height_m < 1.5 * length and length < 1.6 * height_m:
        return "cube"
    if length < _BRICK_RATIO * width:
        return "brick"
    return UNKNOWN_SHAPE


def fit_circle(rim: FloatArray) -> tuple[FloatArray, float]:
    """Centre (2,) and radius of the circle through rim points (N >= 3, 2), trimmed once; Kasa's linear fit."""
    kept = rim
    for _ in range(2):
        design = np.column_stack([2.0 * kept, np.ones(len(kept))])
        x, y, c = np.linalg.lstsq(design, (kept**2).sum(axis=1), rcond=None)[0]
        radius = float(np.sqrt(max(c + x * x + y * y, 1e-12)))
        error = np.abs(np.linalg.norm(rim - [x, y], axis=1) - radius)
        closest = rim[error <= max(np.median(error) * 2.5, 1e-4)]
        if len(closest) < 8:
            break
        kept = closest
    return np.array([x, y]), radius


def disc_share(rim: FloatArray, centre: FloatArray) -> float:
    """Share of the directions from `centre` (2,) in which there are rim points (N, 2)."""
    angles = np.arctan2(rim[:, 1] - centre[1], rim[:, 0] - centre[0])
    sectors = np.unique(np.floor((angles + np.pi) / (2.0 * np.pi) * _SECTORS).astype(int) % _SECTORS)
    return len(sectors) / _SECTORS
