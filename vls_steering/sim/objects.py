"""The things on the table: one row each, shared by the world, the cameras' scorer and the scripted oracle."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

import mujoco


@dataclass(frozen=True)
class Graspable:
    """A free object that the hand can hold by friction."""

    name: str
    shape: mujoco.mjtGeom
    half_size_m: tuple[float, float, float]  # MuJoCo geom size; a cylinder is (radius, half height, 0)
    rgba: tuple[float, float, float, float]
    mass_kg: float

    @property
    def half_height_m(self) -> float:
        """Height of the centre above the surface it stands on."""
        return self.half_size_m[1] if self.shape == mujoco.mjtGeom.mjGEOM_CYLINDER else self.half_size_m[2]

    @property
    def body(self) -> str:
        """Name of the MuJoCo body, joint and geom."""
        return self.name.replace(" ", "_")


GRASPABLES = MappingProxyType(
    {
        item.name: item
        for item in (
            Graspable("red cube", mujoco.mjtGeom.mjGEOM_BOX, (0.019, 0.019, 0.019), (0.85, 0.10, 0.08, 1), 0.05),
            Graspable("blue cube", mujoco.mjtGeom.mjGEOM_BOX, (0.019, 0.019, 0.019), (0.08, 0.20, 0.85, 1), 0.05),
            Graspable("green cylinder", mujoco.mjtGeom.mjGEOM_CYLINDER, (0.019, 0.025, 0), (0.10, 0.65, 0.15, 1), 0.05),
            Graspable("yellow brick", mujoco.mjtGeom.mjGEOM_BOX, (0.030, 0.018, 0.018), (0.95, 0.80, 0.10, 1), 0.06),
        )
    }
)

# Things that were never in training; small enough to reach over.
CLUTTER = MappingProxyType(
    {
        item.name: item
        for item in (
            Graspable(
                "orange cylinder", mujoco.mjtGeom.mjGEOM_CYLINDER, (0.024, 0.028, 0), (0.95, 0.42, 0.05, 1), 0.06
            ),
            Graspable("pink cube", mujoco.mjtGeom.mjGEOM_BOX, (0.022, 0.022, 0.022), (0.95, 0.25, 0.55, 1), 0.05),
            Graspable("cyan brick", mujoco.mjtGeom.mjGEOM_BOX, (0.034, 0.018, 0.020), (0.05, 0.70, 0.75, 1), 0.06),
            Graspable("black cube", mujoco.mjtGeom.mjGEOM_BOX, (0.018, 0.018, 0.018), (0.04, 0.04, 0.04, 1), 0.05),
        )
    }
)
LOOSE = MappingProxyType({**GRASPABLES, **CLUTTER})  # everything that can be moved

PLATE = "white plate"
PLATE_RADIUS_M = 0.085
PLATE_HEIGHT_M = 0.012
PLATE_RGBA = (0.93, 0.93, 0.93, 1.0)

OBSTACLE = "purple box"
OBSTACLE_RGBA = (0.45, 0.10, 0.60, 1.0)

SUPPORT = "grey box"
SUPPORT_RGBA = (0.50, 0.50, 0.52, 1.0)

TABLE_RGBA = (0.55, 0.47, 0.38, 1.0)
