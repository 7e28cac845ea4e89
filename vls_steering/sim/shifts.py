"""Tables that training never knew: each function draws one kind of shift for the object that the instruction names.

What is drawn may be unsolvable; `sim.oracle` returns only layouts that a script has solved.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vls_steering.core.errors import ConfigurationError
from vls_steering.sim.layout import BoxPlacement, Exchange, KeepOut, ObjectPlacement, SceneLayout
from vls_steering.sim.objects import CLUTTER, GRASPABLES
from vls_steering.sim.tables import ATTEMPTS, OBJECT_GAP_M, PLATE_GAP_M, YAW_RAD, draw_table

OBSTACLE_HALF_HEIGHT_M = 0.12
OBSTACLE_HALF_WIDTH_M = 0.022
OBSTACLE_GAP_M = 0.075  # to every object but the target, which the detour needs more room for
DETOUR_FROM_M = 0.24  # a nearer target leaves no room for something between it and the hand
KEEP_OUT_RADIUS_M = 0.05
SUPPORT_HALF_WIDTH_M = 0.05
SUPPORT_HEIGHT_M = (0.05, 0.09)
SUPPORT_GAP_M = OBJECT_GAP_M + 0.04
CLUTTER_X_M, CLUTTER_Y_M = (0.36, 0.66), (-0.32, 0.32)
CLUTTER_GAP_M = 0.085
# Training's plates lie within 22 cm of the middle line; these do not.
MOVED_PLATE_X_M, MOVED_PLATE_Y_M = (0.40, 0.58), (0.28, 0.36)
EXCHANGE_AT_S = (0.6, 1.2)


def draw_obstacle_layout(seed: int, target: str) -> SceneLayout:
    """A post stands across the straight way from the hand to the target; to touch it is to fail."""
    rng = np.random.default_rng([seed, 2])
    for _ in range(ATTEMPTS):
        table = _full_table(rng, "obstacle", seed)
        spot = _in_the_way(rng, table, target)
        if spot is None:
            continue
        others = [table.position_of(name) for name in table.object_names if name != target]
        clear_of_objects = min(float(np.linalg.norm(spot - other)) for other in others) > OBSTACLE_GAP_M
        assert table.plate_xy_m is not None
        clear_of_plate = float(np.linalg.norm(spot - np.array(table.plate_xy_m))) > PLATE_GAP_M - 0.02
        if clear_of_objects and clear_of_plate:
            half_size = (OBSTACLE_HALF_WIDTH_M, OBSTACLE_HALF_WIDTH_M, OBSTACLE_HALF_HEIGHT_M)
            return replace(table, obstacle=BoxPlacement(float(spot[0]), float(spot[1]), half_size))
    raise ConfigurationError(f"no layout puts an obstacle before the {target}")


def draw_keep_out_layout(seed: int, target: str) -> SceneLayout:
    """An invisible column stands across the straight way; only the reward program knows of it.

    It has no top, so that only the ways around it are left.  To enter it with the fingertips is to fail.
    """
    rng = np.random.default_rng([seed, 3])
    for _ in range(ATTEMPTS):
        table = _full_table(rng, "keep_out", seed)
        spot = _in_the_way(rng, table, target)
        if spot is not None:
            return replace(table, keep_out=KeepOut(float(spot[0]), float(spot[1]), KEEP_OUT_RADIUS_M))
    raise ConfigurationError(f"no layout puts a keep-out before the {target}")


def draw_raised_layout(seed: int, target: str) -> SceneLayout:
    """The target stands on a block of 5 to 9 cm; in training everything stood on the table."""
    rng = np.random.default_rng([seed, 4])
    height = rng.uniform(*SUPPORT_HEIGHT_M)
    for _ in range(ATTEMPTS):
        table = _full_table(rng, "raised", seed)
        spot = table.position_of(target)
        others = [table.position_of(name) for name in table.object_names if name != target]
        assert table.plate_xy_m is not None
        clear_of_plate = np.linalg.norm(spot - np.array(table.plate_xy_m)) > PLATE_GAP_M + SUPPORT_HALF_WIDTH_M
        if clear_of_plate and min(float(np.linalg.norm(spot - other)) for other in others) > SUPPORT_GAP_M:
            half_size = (SUPPORT_HALF_WIDTH_M, SUPPORT_HALF_WIDTH_M, height / 2)
            objects = tuple(replace(o, surface_m=height) if o.name == target else o for o in table.objects)
            return replace(table, objects=objects, support=BoxPlacement(float(spot[0]), float(spot[1]), half_size))
    raise ConfigurationError(f"no layout has room for a support under the {target}")


def draw_clutter_layout(seed: int, _target: str) -> SceneLayout:
    """Four more things, of shapes and colours that training never showed, stand among the objects."""
    rng = np.random.default_rng([seed, 5])
    table = _full_table(rng, "clutter", seed)
    assert table.plate_xy_m is not None
    taken = [table.position_of(name) for name in table.object_names]
    things: list[ObjectPlacement] = []
    for _ in range(ATTEMPTS):
        spot = np.array([rng.uniform(*CLUTTER_X_M), rng.uniform(*CLUTTER_Y_M)])
        clear_of_plate = np.linalg.norm(spot - np.array(table.plate_xy_m)) > PLATE_GAP_M - 0.02
        if clear_of_plate and min(float(np.linalg.norm(spot - other)) for other in taken) > CLUTTER_GAP_M:
            taken.append(spot)
            name, yaw = list(CLUTTER)[len(things)], rng.uniform(-YAW_RAD, YAW_RAD)
            things.append(ObjectPlacement(name, float(spot[0]), float(spot[1]), yaw))
        if len(things) == len(CLUTTER):
            return replace(table, objects=(*table.objects, *things))
    raise ConfigurationError("no room for the clutter", "Choose another seed")


def draw_moved_goal_layout(seed: int, _target: str) -> SceneLayout:
    """The plate lies 28 to 36 cm to one side, where it never was in training (at most 22)."""
    rng = np.random.default_rng([seed, 6])
    for _ in range(ATTEMPTS):
        table = draw_table(rng, "moved_goal", seed, tuple(GRASPABLES), with_plate=False)
        side = 1.0 if rng.random() < 0.5 else -1.0
        plate = (rng.uniform(*MOVED_PLATE_X_M), side * rng.uniform(*MOVED_PLATE_Y_M))
        spots = [table.position_of(name) for name in table.object_names]
        if min(float(np.linalg.norm(spot - np.array(plate))) for spot in spots) > PLATE_GAP_M:
            return replace(table, plate_xy_m=plate)
    raise ConfigurationError("no layout has room for a moved plate")


def draw_swapped_layout(seed: int, target: str) -> SceneLayout:
    """The target and another object change places while the hand is on its way to where the target was.

    In training nothing moved by itself, and a warm start repeats a plan that has become wrong.
    """
    rng = np.random.default_rng([seed, 7])
    table = _full_table(rng, "swapped", seed)
    others = [name for name in table.object_names if name != target]
    other = others[rng.integers(len(others))]
    return replace(table, exchange=Exchange(target, other, float(rng.uniform(*EXCHANGE_AT_S))))


def _full_table(rng: np.random.Generator, scene: str, seed: int) -> SceneLayout:
    return draw_table(rng, scene, seed, tuple(GRASPABLES), with_plate=True)


def _in_the_way(rng: np.random.Generator, table: SceneLayout, target: str) -> np.ndarray | None:
    """(2,) m: a spot about half-way from the hand to the target; None when they are too close together."""
    home, goal = np.array(table.home_tcp_m[:2]), table.position_of(target)
    if float(np.linalg.norm(goal - home)) < DETOUR_FROM_M:
        return None
    spot: np.ndarray = home + rng.uniform(0.38, 0.50) * (goal - home)
    return spot
