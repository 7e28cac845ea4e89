"""Splits the foreground into regions that are each one object's: one colour, however it is lit.

Hue is classified pixel by pixel, which tears surfaces apart where their hue lies near a boundary, where a side is in
shade, or where two colours mix in one pixel.  Neighbouring pieces are therefore put together again by what holds for
whole pieces: their mean hue, how far shade can darken a side, and that slivers are not objects.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vls_steering.perception.colour import ColourImage, grey_name, hue_deg, hue_name
from vls_steering.perception.lift import LiftedFrame, MaskImage, PointImage
from vls_steering.perception.pieces import Pieces, count_contacts, find_pieces
from vls_steering.perception.surface import behind_an_edge, find_surface

OUTSIDE = 3  # pixels around a component that its window includes
_SAME_HUE_DEG = 12.0  # mean hues of one object's pieces
_SHADE = 4.5  # an object's side is at most this much darker than its top
_CONTACT_PIXELS = 4  # pairs of neighbours that make two pieces touch
_WITHIN_M = 0.008  # a side in shade reaches no farther than the lit faces by more than this
_GLOSS_SHARE = 0.3  # a highlight covers less of the lit faces than this
_HUE_SHARE = 0.35  # an object has a hue when this share of its pixels has one
_AROUND = 12  # pixels around an object in which the table's light is measured, and the least number of pixels
_MID_TONE = 140.0  # brightest channel of a table that no pixel shows
_TOP_M = 0.008  # the layer whose brightness names a colourless object: it lies in the light as the table does


@dataclass(frozen=True)
class Component:
    """Pixels of one object, within a window of the picture."""

    rows: slice
    columns: slice
    mask: MaskImage  # (h, w) of the window


@dataclass(frozen=True)
class Region:
    """A component and its colour."""

    colour: str
    component: Component


def find_regions(
    view: LiftedFrame,
    color: NDArray[np.uint8],
    classes: ColourImage,
    height: PointImage,
    foreground: MaskImage,
    table: MaskImage,
    pixels_min: int,
) -> tuple[Region, ...]:
    """Regions of at least `pixels_min`.

    `color` (H, W, 3), its `classes` (H, W) and the `height` (H, W) above the plane may be smoothed.

    `foreground` (H, W) is to be split; `table` (H, W) marks the bare support plane, whose light is the reference.
    """
    surface = find_surface(view)
    pieces = find_pieces(view, color, classes, foreground & ~behind_an_edge(surface))
    owner = np.arange(len(pieces.area))
    touching = count_contacts(pieces.labels, surface)
    _absorb_slivers(pieces, owner, touching)
    _join(pieces, owner, touching)
    return _regions(pieces, owner, color.max(axis=2), height, table, pixels_min)


def _absorb_slivers(pieces: Pieces, owner: NDArray[np.int64], touching: dict[tuple[int, int], int]) -> None:
    """Mixed pixels along an edge go to the piece they touch most; colourless ones between objects to the table."""
    best: dict[int, tuple[int, int]] = {}
    for (a, b), count in touching.items():
        for sliver, host in ((a, b), (b, a)):
            if not pieces.sliver[sliver] or pieces.sliver[host]:
                continue
            colourless_halo = not (pieces.chromatic[sliver] or pieces.dark[sliver]) and pieces.chromatic[host]
            if not colourless_halo and (sliver not in best or count > best[sliver][0]):
                best[sliver] = (count, host)
    for sliver, (_, host) in best.items():
        owner[sliver] = host


def _join(pieces: Pieces, owner: NDArray[np.int64], touching: dict[tuple[int, int], int]) -> None:
    for (a, b), count in touching.items():
        one, other = _root(owner, a), _root(owner, b)
        if one == other or pieces.sliver[a] or pieces.sliver[b] or count < _CONTACT_PIXELS:
            continue
        if _one_object(pieces, a, b):
            big, small = (one, other) if pieces.area[one] >= pieces.area[other] else (other, one)
            owner[small] = big


def _one_object(pieces: Pieces, a: int, b: int) -> bool:
    if pieces.chromatic[a] and pieces.chromatic[b]:
        turn = abs(float(pieces.hue[a] - pieces.hue[b])) % 360.0
        return min(turn, 360.0 - turn) < _SAME_HUE_DEG
    if not pieces.chromatic[a] and not pieces.chromatic[b]:
        levels = sorted((float(pieces.rgb[a].max()), float(pieces.rgb[b].max())))
        return levels[1] < _SHADE * max(levels[0], 1.0)
    lit, drab = (a, b) if pieces.chromatic[a] else (b, a)
    within = (pieces.lower[drab, :2] > pieces.lower[lit, :2] - _WITHIN_M).all() and (
        pieces.upper[drab] < pieces.upper[lit] + _WITHIN_M
    ).all()
    # A side in shade has lost its hue; a highlight, too.
    return bool(within and (pieces.dark[drab] or pieces.area[drab] < _GLOSS_SHARE * pieces.area[lit]))


def _root(owner: NDArray[np.int64], piece: int) -> int:
    while owner[piece] != piece:
        piece = int(owner[piece])
    return piece


def _regions(
    pieces: Pieces,
    owner: NDArray[np.int64],
    brightness: NDArray[np.uint8],
    height: PointImage,
    table: MaskImage,
    pixels_min: int,
) -> tuple[Region, ...]:
    roots = np.array([_root(owner, piece) for piece in range(len(owner))])
    labels = roots.astype(np.int32)[pieces.labels]
    tall, wide = labels.shape
    rows, columns = np.nonzero(labels)
    if not len(rows):
        return ()
    order = np.argsort(labels[rows, columns], kind="stable")
    rows, columns = rows[order], columns[order]
    present, starts = np.unique(labels[rows, columns], return_index=True)
    regions = []
    for root, start, end in zip(present, starts, [*starts[1:], len(rows)], strict=True):
        if end - start < pixels_min:
            continue
        down, along = rows[start:end], columns[start:end]
        members = np.nonzero(roots == root)[0]
        window = (
            slice(max(0, int(down.min()) - OUTSIDE), min(tall, int(down.max()) + 1 + OUTSIDE)),
            slice(max(0, int(along.min()) - OUTSIDE), min(wide, int(along.max()) + 1 + OUTSIDE)),
        )
        heights = height[down, along]
        top = heights > np.percentile(heights, 95.0) - _TOP_M
        colour = _colour(pieces, members, brightness[down, along][top], _table_level(brightness, table, window))
        regions.append(Region(colour, Component(*window, mask=labels[window] == root)))
    return tuple(regions)


def _table_level(brightness: NDArray[np.uint8], table: MaskImage, window: tuple[slice, slice]) -> float:
    """Brightest channel of the table around `window`: a shadow dims the table as it dims what stands there."""
    rows, columns = (slice(max(0, part.start - _AROUND), part.stop + _AROUND) for part in window)
    for near in ((rows, columns), (slice(None), slice(None))):
        if np.count_nonzero(table[near]) >= _AROUND:
            return float(np.median(brightness[near][table[near]]))
    return _MID_TONE


def _colour(pieces: Pieces, members: NDArray[np.int64], top: NDArray[np.uint8], table_level: float) -> str:
    hued = members[pieces.chromatic[members] & ~pieces.sliver[members]]
    if pieces.area[hued].sum() > _HUE_SHARE * pieces.area[members].sum():
        mean = np.average(pieces.rgb[hued], axis=0, weights=pieces.area[hued])
        return hue_name(float(hue_deg(mean[None])[0]))
    return grey_name(float(np.median(top)), table_level)
