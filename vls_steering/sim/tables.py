"""Tables as training knew them: objects and plate drawn at random within comfortable reach."""

from __future__ import annotations

import numpy as np

from vls_steering.core.errors import ConfigurationError
from vls_steering.sim.layout import ObjectPlacement, SceneLayout
from vls_steering.sim.objects import GRASPABLES, PLATE_RADIUS_M

TABLE_X_M, TABLE_Y_M = (0.38, 0.62), (-0.27, 0.27)
PLATE_X_M, PLATE_Y_M = (0.42, 0.60), (-0.22, 0.22)
OBJECT_GAP_M = 0.115
PLATE_GAP_M = PLATE_RADIUS_M + 0.075
YAW_RAD = 0.4
ATTEMPTS = 10_000


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
    for _ in range(ATTEMPTS):
        plate = (rng.uniform(*PLATE_X_M), rng.uniform(*PLATE_Y_M)) if with_plate else None
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
