"""Names shapes by their proportions, and fits the discs that bounds describe badly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vls_steering.core.arrays import FloatArray
from vls_steering.perception.detection import UNKNOWN_SHAPE

# Fourth moment of an outline whose second moments are made equal: 0.6 for any rectangle, 0 for any ellipse.
_ROUND_BELOW, _OVAL_BELOW = 0.28, 0.36
_RECTANGLE, _DISC = 0.6, 0.0
_ARC_RESIDUAL = 0.05  # of the radius: a rim that fits a circle as well as this is an arc
FLAT_M = 0.025  # a plate is lower
PLATE = "plate"
_HAND_SIZED_M = 0.080  # as wide as the hand opens; larger things are boxes and plates
_SQUARE_RATIO, _BRICK_RATIO = 1.35, 2.6
_ROD_M = 0.022  # what is narrower than this and longer than a brick is no box
_SECTORS = 18
_RIM_M, _RIM_SHARE, _PLATE_RADIUS_M = 0.0015, 0.35, 0.15  # a rim that is an arc of a plate's


@dataclass(frozen=True)
class Footprint:
    """An outline on the plane as the rectangle, or the disc, with the same second moments."""

    length_m: float
    width_m: float
    squareness: float  # 0 for an ellipse, 0.6 for a rectangle

    @property
    def ratio(self) -> float:
        return self.length_m / self.width_m


def measure_footprint(spots: FloatArray, pixel_m: float) -> Footprint:
    """`spots` (N, 2) m are the centres of the pixels inside the outline.

    Moments use every pixel, so that those missing or mixed at the edge matter little; a hull has only those.
    """
    offsets = spots - spots.mean(axis=0)
    spread, axes = np.linalg.eigh(offsets.T @ offsets / len(offsets))
    spread = np.maximum(spread, (0.1 * pixel_m) ** 2)
    along = (offsets @ axes) / np.sqrt(spread)
    turned = along[:, 0] + 1j * along[:, 1]
    squareness = float(np.abs((turned**4).mean()) / (np.abs(turned) ** 2).mean() ** 2)
    # The variance of a uniform bar is its length squared over 12, of a disc its diameter squared over 16; Sheppard's
    # correction gives the half pixels at both ends back.
    scale = 16.0 if squareness < _ROUND_BELOW else 12.0
    width, length = np.sqrt(scale * spread + pixel_m**2)
    return Footprint(float(length), float(width), squareness)


def name_shape(footprint: Footprint, height_m: float) -> str:
    """One word, or UNKNOWN_SHAPE when the proportions fit none."""
    length, ratio = footprint.length_m, footprint.ratio
    square = ratio < _SQUARE_RATIO
    if height_m < FLAT_M and length > _HAND_SIZED_M:
        return PLATE if square else UNKNOWN_SHAPE
    if ratio > _BRICK_RATIO and footprint.width_m < _ROD_M:
        return UNKNOWN_SHAPE
    if footprint.squareness < (_ROUND_BELOW if square else _OVAL_BELOW):
        return "cylinder" if square else UNKNOWN_SHAPE
    if max(length, height_m) > _HAND_SIZED_M:
        return "box"
    if square and height_m < 1.5 * length and length < 1.6 * height_m:
        return "cube"
    return "brick" if ratio < _BRICK_RATIO else UNKNOWN_SHAPE


def rim_squareness(open_rim: FloatArray) -> float:
    """Squareness as far as the rim (N, 2) m that nothing covers tells; the moments of a bitten outline mislead."""
    disc = fit_circle(open_rim)
    return _DISC if disc.residual_m < _ARC_RESIDUAL * disc.radius else _RECTANGLE


@dataclass(frozen=True)
class Disc:
    """A circle through points of a rim, of which some may be hidden."""

    centre: FloatArray  # (2,) m
    radius: float
    residual_m: float  # median distance of the points from the circle
    share: float  # of the directions from the centre in which there are points

    @property
    def is_plate(self) -> bool:
        """The points alone say so, however little of the disc is seen."""
        round_rim = self.residual_m < _RIM_M and self.share > _RIM_SHARE
        return round_rim and 0.5 * _HAND_SIZED_M < self.radius < _PLATE_RADIUS_M


def fit_circle(rim: FloatArray) -> Disc:
    """The circle through rim points (N >= 3, 2) m, trimmed once; Kasa's linear fit."""
    kept = rim
    for _ in range(2):
        design = np.column_stack([2.0 * kept, np.ones(len(kept))])
        x, y, c = np.linalg.lstsq(design, (kept**2).sum(axis=1), rcond=None)[0]
        centre, radius = np.array([x, y]), float(np.sqrt(max(c + x * x + y * y, 1e-12)))
        error = np.abs(np.linalg.norm(rim - centre, axis=1) - radius)
        closest = rim[error <= max(np.median(error) * 2.5, 1e-4)]
        if len(closest) < 8:
            break
        kept = closest
    angles = np.arctan2(rim[:, 1] - y, rim[:, 0] - x)
    sectors = np.unique(np.floor((angles + np.pi) / (2.0 * np.pi) * _SECTORS).astype(int) % _SECTORS)
    return Disc(centre, radius, float(np.median(error)), len(sectors) / _SECTORS)
