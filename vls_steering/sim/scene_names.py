"""The names of the scenes, for those who only offer them: help and settings load no simulator."""

from __future__ import annotations

from vls_steering.core.errors import ConfigurationError

# For everything that sees by cameras and is told by a sentence: the demo, the nodes, the protocol arm.
CAMERA_SCENES = ("play", "training", "obstacle", "raised", "clutter", "moved_goal", "swapped")
# What must be kept clear of there is marked nowhere: only the benchmark can tell the program of it, no sentence can.
SCENE_NAMES = (*CAMERA_SCENES, "keep_out")


def check_scene(scene: str) -> None:
    """Raises ConfigurationError unless `scene` is one for cameras and sentences."""
    if scene not in CAMERA_SCENES:
        raise ConfigurationError(f"there is no scene {scene!r}", f"Choose one of: {', '.join(CAMERA_SCENES)}")
