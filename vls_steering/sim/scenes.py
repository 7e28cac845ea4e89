"""Named scenes: each draws layouts from a seed; a new one is a line here and its name in `scene_names`."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

from vls_steering.core.errors import ConfigurationError
from vls_steering.sim.layout import SceneLayout
from vls_steering.sim.objects import GRASPABLES
from vls_steering.sim.shifts import (
    draw_clutter_layout,
    draw_keep_out_layout,
    draw_moved_goal_layout,
    draw_obstacle_layout,
    draw_raised_layout,
    draw_swapped_layout,
)
from vls_steering.sim.tables import draw_play_layout, draw_training_layout

SCENES: MappingProxyType[str, Callable[[int, str], SceneLayout]] = MappingProxyType(
    {
        "training": lambda seed, _target: draw_training_layout(seed),
        "play": lambda seed, _target: draw_play_layout(seed),
        "obstacle": draw_obstacle_layout,
        "keep_out": draw_keep_out_layout,
        "raised": draw_raised_layout,
        "clutter": draw_clutter_layout,
        "moved_goal": draw_moved_goal_layout,
        "swapped": draw_swapped_layout,
    }
)


def draw_layout(scene: str, seed: int, target: str = "red cube") -> SceneLayout:
    """The layout that `seed` names in `scene`; `target` is the object that a shift is about.

    Layouts may be unsolvable: `sim.oracle.Oracle.draw_solvable` returns only proven ones.
    Raises ConfigurationError for an unknown scene or target.
    """
    if target not in GRASPABLES:
        raise ConfigurationError(f"there is no object {target!r}", f"Choose one of: {', '.join(GRASPABLES)}")
    if scene not in SCENES:
        raise ConfigurationError(f"there is no scene {scene!r}", f"Choose one of: {', '.join(SCENES)}")
    return SCENES[scene](seed, target)
