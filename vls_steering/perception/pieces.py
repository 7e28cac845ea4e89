"""Connected pixels of one colour class: what regions are put together from."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vls_steering.core.arrays import FloatArray
from vls_steering.perception.colour import ColourImage, colour_index, hue_deg, is_chromatic
from vls_steering.perception.lift import LiftedFrame, MaskImage
from vls_steering.perception.surface import STEP_M, Surface


@dataclass(frozen=True)
class Pieces:
    """Connected pixels of one colour class; every tuple of arrays has one row a piece, row 0 is the background."""

    labels: NDArray[np.int32]  # (H, W)
    area: FloatArray  # pixels
    rgb: FloatArray  # (N, 3) mean
    hue: FloatArray  # degrees
    chromatic: NDArray[np.bool_]
    dark: NDArray[np.bool_]  # of the class black
    sliver: NDArray[np.bool_]  # nowhere three pixels wide
    lower: FloatArray  # (N, 3) m, bounds in the base frame
    upper: FloatArray


def find_pieces(view: LiftedFrame, color: NDArray[np.uint8], classes: ColourImage, foreground: MaskImage) -> Pieces:
    # White and grey differ by their light alone: they are told apart when the whole object is known.
    plain = np.where(classes == colour_index("white"), np.uint8(colour_index("grey")), classes)
    labels = np.zeros(classes.shape, np.int32)
    kinds = [-1]
    for kind in np.unique(plain[foreground]):
        mask = (foreground & (plain == kind)).view(np.uint8)
        left, top, width, height = cv2.boundingRect(mask)
        window = (slice(top, top + height), slice(left, left + width))
        count, part = cv2.connectedComponents(np.ascontiguousarray(mask[window]), connectivity=4)
        labels[window] += np.where(part > 0, part + np.int32(len(kinds) - 1), np.int32(0))
        kinds.extend([int(kind)] * (count - 1))
    number = len(kinds)
    area = np.bincount(labels.ravel(), minlength=number).astype(float)
    sums = [np.bincount(labels.ravel(), color[..., channel].ravel(), number) for channel in range(3)]
    rgb: FloatArray = np.stack(sums, axis=1) / np.maximum(area, 1.0)[:, None]
    core = labels[_cores(labels)]
    lower, upper = _bounds(labels, view, number)
    kind_of = np.array(kinds)
    return Pieces(
        labels,
        area,
        rgb,
        hue_deg(rgb),
        chromatic=is_chromatic(kind_of.astype(np.uint8)),
        dark=kind_of == colour_index("black"),
        sliver=np.bincount(core, minlength=number) == 0,
        lower=lower,
        upper=upper,
    )


def _cores(labels: NDArray[np.int32]) -> MaskImage:
    """(H, W) pixels whose eight neighbours belong to the same piece."""
    same = np.ones(labels.shape, dtype=bool)
    same[[0, -1]] = same[:, [0, -1]] = False
    inner = labels[1:-1, 1:-1]
    height, width = labels.shape
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            shifted = labels[1 + down : height - 1 + down, 1 + right : width - 1 + right]
            same[1:-1, 1:-1] &= shifted == inner
    return same & (labels > 0)


def _bounds(labels: NDArray[np.int32], view: LiftedFrame, number: int) -> tuple[FloatArray, FloatArray]:
    chosen = (labels > 0) & view.valid
    which = labels[chosen]
    order = np.argsort(which, kind="stable")
    points = view.points[chosen][order].astype(float)
    present, starts = np.unique(which[order], return_index=True)
    lower, upper = np.full((number, 3), np.inf), np.full((number, 3), -np.inf)
    if len(present):
        lower[present] = np.minimum.reduceat(points, starts)
        upper[present] = np.maximum.reduceat(points, starts)
    return lower, upper


def count_contacts(labels: NDArray[np.int32], surface: Surface) -> dict[tuple[int, int], int]:
    """Pairs of pieces with the number of neighbouring pixels across which the surface continues."""
    number = int(labels.max()) + 1
    codes = []
    for a, b, step in ((labels[:, 1:], labels[:, :-1], surface.along), (labels[1:], labels[:-1], surface.down)):
        near = (a != b) & (a > 0) & (b > 0) & (step < STEP_M)
        low, high = np.minimum(a[near], b[near]), np.maximum(a[near], b[near])
        codes.append(low.astype(np.int64) * number + high)
    pairs, counts = np.unique(np.concatenate(codes), return_counts=True)
    return {(int(p) // number, int(p) % number): int(c) for p, c in zip(pairs, counts, strict=True)}
