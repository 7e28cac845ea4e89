"""A scene's layout as text, so that the bridge can tell the camera node what stands where.

Only the simulation's own nodes read it: nothing that decides about motion may.
"""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError

from vls_steering.core.errors import ShapeError
from vls_steering.sim.layout import SceneLayout

_LAYOUT = TypeAdapter(SceneLayout)


def layout_text(layout: SceneLayout) -> str:
    return _LAYOUT.dump_json(layout).decode()


def layout_of(text: str) -> SceneLayout:
    """Raises ShapeError when `text` is no layout."""
    try:
        return _LAYOUT.validate_json(text)
    except ValidationError as error:
        raise ShapeError(f"not a layout: {error}") from error
