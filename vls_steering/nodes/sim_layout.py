"""Which scene a simulated world holds, and its layout as text, so that the camera node knows what stands where.

Only the simulation's own nodes read it: nothing that decides about motion may.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from vls_steering.bench.suites import asked_for
from vls_steering.core.config import OneOf, Settings
from vls_steering.core.errors import ShapeError
from vls_steering.sim.layout import SceneLayout
from vls_steering.sim.objects import GRASPABLES
from vls_steering.sim.proven import proven_layout
from vls_steering.sim.scene_names import CAMERA_SCENES
from vls_steering.sim.world import World

_LAYOUT = TypeAdapter(SceneLayout)


class SceneSettings(Settings):
    """Parameters of every node that holds a simulated world."""

    scene: Annotated[str, OneOf("scene", CAMERA_SCENES)] = Field("play", description="scene whose layout is drawn")
    seed: int = Field(0, ge=0, description="seed of the layout")
    target: Annotated[str, OneOf("object", tuple(GRASPABLES))] = Field(
        "red cube", description="object that the scene is about: what stands in the way stands before it"
    )
    layout: str = Field("", description="a layout as sim/layout tells it, taken instead of one drawn; empty = draw")

    def draw(self, world: World | None = None) -> SceneLayout:
        """A layout in which the scripted arm has done what the scene is for; one that is given counts as proven.

        Takes seconds, and `world` for its trials.  Raises ConfigurationError when none is found.
        """
        if self.layout:
            return layout_of(self.layout)
        return proven_layout(self.scene, self.seed, asked_for(self.scene, self.target), world)


def layout_text(layout: SceneLayout) -> str:
    return _LAYOUT.dump_json(layout).decode()


def layout_of(text: str) -> SceneLayout:
    """Raises ShapeError when `text` is no layout."""
    try:
        return _LAYOUT.validate_json(text)
    except ValidationError as error:
        raise ShapeError(f"not a layout: {error}") from error
