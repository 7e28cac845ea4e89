"""Compares keypoints with the simulator's truth: which thing was named what, how far off, and what was made up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from vls_steering.core.types import Keypoint
from vls_steering.perception.detection import UNKNOWN_SHAPE
from vls_steering.sim.props import Prop

REACH_M = 0.06  # a keypoint farther from a thing than this is not about it
_FAR = 1e3


@dataclass(frozen=True)
class ObjectResult:
    """What became of one thing that has a name."""

    name: str
    position_m: tuple[float, float, float]
    seen: bool  # enough of it is visible to a camera: it counts
    pixels: int  # in the camera that sees most of it
    share: float  # of its silhouette that is not hidden, there
    raised: bool  # it stands on something
    called: str  # "" when nothing was found of it
    error_m: float  # of its centre; nan when nothing was found

    @property
    def named(self) -> bool:
        return self.called == self.name


@dataclass(frozen=True)
class FalseName:
    """A name for something that does not have it: clutter, a piece of a thing, or nothing at all."""

    name: str
    position_m: tuple[float, float, float]
    on_clutter: bool


def stem(label: str) -> str:
    """The name without its number: "red cube 2" -> "red cube"."""
    return label.rstrip(" 0123456789")


def match(objects: Sequence[Prop], keypoints: Sequence[Keypoint]) -> dict[int, int]:
    """Index of an object -> index of the keypoint that is about it; same names first, then the same colour."""
    pairs: dict[int, int] = {}
    for agree in (
        lambda prop, point: prop.name == stem(point.name),
        lambda prop, point: prop.name.split()[0] == point.name.split()[0],
        lambda _prop, _point: True,
    ):
        left = [i for i in range(len(objects)) if i not in pairs]
        free = [j for j in range(len(keypoints)) if j not in pairs.values()]
        pairs.update(_assign(objects, keypoints, left, free, agree))
    return pairs


def false_names(keypoints: Sequence[Keypoint], about: dict[int, int], clutter: Sequence[Prop]) -> tuple[FalseName, ...]:
    """Named keypoints that are about no object; a nameless "thing" claims nothing."""
    made_up = []
    for index, point in enumerate(keypoints):
        if index in about.values() or stem(point.name).endswith(UNKNOWN_SHAPE):
            continue
        x, y, z = (float(value) for value in point.position)
        on_clutter = any(np.hypot(x - p.position_m[0], y - p.position_m[1]) < p.reach_m + 0.01 for p in clutter)
        made_up.append(FalseName(point.name, (x, y, z), on_clutter))
    return tuple(made_up)


def _assign(
    objects: Sequence[Prop],
    keypoints: Sequence[Keypoint],
    left: list[int],
    free: list[int],
    agree: Callable[[Prop, Keypoint], bool],
) -> dict[int, int]:
    cost = np.full((len(left), len(free)), _FAR)
    for row, i in enumerate(left):
        for column, j in enumerate(free):
            distance = float(np.linalg.norm(keypoints[j].position - np.array(objects[i].position_m)))
            if agree(objects[i], keypoints[j]) and distance < REACH_M:
                cost[row, column] = distance
    rows, columns = linear_sum_assignment(cost)
    return {left[r]: free[c] for r, c in zip(rows, columns, strict=True) if cost[r, c] < _FAR}
