"""Named scenes: each draws layouts from a seed; what cannot be solved by the scripted oracle is never returned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vls_steering.core.errors import ConfigurationError
from vls_steering.sim.layout import ObjectPlacement, ObstaclePlacement, SceneLayout
from vls_steering.sim.objects import GRASPABLES, PLATE_RADIUS_M

TABLE_X_M, TABLE_Y_M = (0.38, 0.62), (-0.27, 0.27)
OBJECT_GAP_M = 0.115
PLATE_GAP_M = PLATE_RADIUS_M + 0.075
YAW_RAD = 0.4
_ATTEMPTS = 10_000


OBSTACLE_HALF_HEIGHT_M = 0.12
OBSTACLE_HALF_WIDTH_M = 0.022
OBSTACLE_GAP_M = 0.075  # to every object but the target, which the detour needs more room for


def draw_training_layout(seed: int) -> SceneLayout:
    """Two to four objects and usually a plate: the distribution of the demonstrations."""
    rng = np.random.default_rng(seed)
    count = int(rng.choice([2, 3, 4], p=[0.1, 0.2, 0.7]))
    names = tuple(str(name) for name in rng.permutation(list(GRASPABLES))[:count])
    return draw_table(rng, "training", seed, names, with_plate=rng.random() < 0.9)


def draw_play_layout(seed: int) -> SceneLayout:
    """All four objects and the plate, no obstacle: inside the training distribution."""
    rng = np.random.default_rng([seed, 1])
    return draw_table(rng, "play", seed, tuple(GRASPABLES), with_plate=True)


def draw_table(
    rng: np.random.Generator, scene: str, seed: int, names: tuple[str, ...], with_plate: bool
) -> SceneLayout:
    """Objects and plate at least a finger's width apart, within comfortable reach."""
    for _ in range(_ATTEMPTS):
        plate = (rng.uniform(0.42, 0.60), rng.uniform(-0.22, 0.22)) if with_plate else None
        spots = [(rng.uniform(*TABLE_X_M), rng.uniform(*TABLE_Y_M)) for _ in names]
        if _apart(spots, plate):
            placements = tuple(
                ObjectPlacement(name, x, y, rng.uniform(-YAW_RAD, YAW_RAD))
                for name, (x, y) in zip(names, spots, strict=True)
            )
            home = (0.40 + rng.uniform(-0.03, 0.03), rng.uniform(-0.04, 0.04), 0.30 + rng.uniform(-0.03, 0.03))
            return SceneLayout(scene, seed, placements, plate, home_tcp_m=home)
    raise ConfigurationError(f"no room for {len(names)} objects in scene {scene!r}", "Place fewer objects")


def _apart(spots: list[tuple[float, float]], plate: tuple[float, float] | None) -> bool:
    points = np.array(spots)
    gaps = np.linalg.norm(points[:, None] - points[None], axis=-1) + np.eye(len(points))
    if gaps.min() < OBJECT_GAP_M:
        return False
    return plate is None or bool(np.linalg.norm(points - np.array(plate), axis=1).min() > PLATE_GAP_M)


def draw_obstacle_layout(seed: int, target: str) -> SceneLayout:
    """The play table with a post across the straight way from the hand to `target`: outside the training data."""
    rng = np.random.default_rng([seed, 2])
    for _ in range(_ATTEMPTS):
        table = draw_table(rng, "obstacle", seed, tuple(GRASPABLES), with_plate=True)
        home, goal = np.array(table.home_tcp_m[:2]), table.position_of(target)
        distance = float(np.linalg.norm(goal - home))
        if distance < 0.24:
            continue
        spot = home + rng.uniform(0.38, 0.50) * (goal - home)
        others = [table.position_of(name) for name in table.object_names if name != target]
        clear_of_objects = min(float(np.linalg.norm(spot - other)) for other in others) > OBSTACLE_GAP_M
        assert table.plate_xy_m is not None
        clear_of_plate = float(np.linalg.norm(spot - np.array(table.plate_xy_m))) > PLATE_GAP_M - 0.02
        if clear_of_objects and clear_of_plate:
            half_size = (OBSTACLE_HALF_WIDTH_M, OBSTACLE_HALF_WIDTH_M, OBSTACLE_HALF_HEIGHT_M)
            return replace(table, obstacle=ObstaclePlacement(float(spot[0]), float(spot[1]), half_size))
    raise ConfigurationError(f"no layout puts an obstacle before the {target}")


SCENES = ("training", "play", "obstacle")


def draw_layout(scene: str, seed: int, target: str = "red cube") -> SceneLayout:
    """The layout that `seed` names in `scene`; `target` is the object that an obstacle stands before.

    Obstacle layouts may be unsolvable: `sim.oracle.draw_solvable` returns only proven ones.
    Raises ConfigurationError for an unknown scene or target.
    """
    if target not in GRASPABLES:
        raise ConfigurationError(f"there is no object {target!r}", f"Choose one of: {', '.join(GRASPABLES)}")
    if scene == "training":
        return draw_training_layout(seed)
    if scene == "play":
        return draw_play_layout(seed)
    if scene == "obstacle":
        return draw_obstacle_layout(seed, target)
    raise ConfigurationError(f"there is no scene {scene!r}", f"Choose one of: {', '.join(SCENES)}")
