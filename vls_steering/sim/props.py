"""Things that only cameras see: drawn beside the world's own bodies, without contacts and without recompiling it."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

_ANGLES = np.linspace(0.0, 2.0 * np.pi, 24, endpoint=False)
_RING = np.column_stack([np.cos(_ANGLES), np.sin(_ANGLES)])
_SPHERE = np.concatenate(
    [np.column_stack([np.cos(tilt) * _RING, np.full(len(_RING), np.sin(tilt))]) for tilt in np.linspace(-1.57, 1.57, 9)]
)


@dataclass(frozen=True)
class Prop:
    """A rigid geometric body at rest.

    `half_size_m` is MuJoCo's: half extents of a box, half axes of an ellipsoid, (radius, half height, 0) of a
    cylinder or a capsule.
    """

    name: str
    shape: mujoco.mjtGeom
    half_size_m: tuple[float, float, float]
    position_m: tuple[float, float, float]  # of the centre, base frame
    rgba: tuple[float, float, float, float]
    yaw_rad: float = 0.0
    lying: bool = False  # a cylinder or capsule whose axis is level, along the yaw

    @property
    def rotation(self) -> np.ndarray:
        """(3, 3) base frame from the prop's own."""
        cos, sin = np.cos(self.yaw_rad), np.sin(self.yaw_rad)
        upright = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        if not self.lying:
            return upright
        tipped: np.ndarray = upright @ np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [-1.0, 0.0, 0.0]])
        return tipped

    @property
    def corners(self) -> np.ndarray:
        """(N, 3) m, base frame: points whose convex hull is the prop, round ones approximated."""
        x, y, z = self.half_size_m
        if self.shape == mujoco.mjtGeom.mjGEOM_BOX:
            local = np.array([[i * x, j * y, k * z] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])
        elif self.shape == mujoco.mjtGeom.mjGEOM_CYLINDER:
            ring = x * _RING
            local = np.concatenate([np.column_stack([ring, np.full(len(ring), end)]) for end in (-y, y)])
        elif self.shape == mujoco.mjtGeom.mjGEOM_CAPSULE:
            local = np.concatenate([x * _SPHERE + [0.0, 0.0, end] for end in (-y, y)])
        else:
            local = _SPHERE * np.array(self.half_size_m if z else (x, x, x))
        corners: np.ndarray = local @ self.rotation.T + np.array(self.position_m)
        return corners

    @property
    def half_height_m(self) -> float:
        """Of the axis-aligned bounds."""
        if self.shape in (mujoco.mjtGeom.mjGEOM_CYLINDER, mujoco.mjtGeom.mjGEOM_CAPSULE):
            round_end = self.half_size_m[0] if self.shape == mujoco.mjtGeom.mjGEOM_CAPSULE else 0.0
            return self.half_size_m[0] if self.lying else self.half_size_m[1] + round_end
        return self.half_size_m[2]

    @property
    def reach_m(self) -> float:
        """Radius of the upright cylinder around the centre that contains the prop."""
        if self.shape == mujoco.mjtGeom.mjGEOM_BOX:
            return float(np.hypot(*self.half_size_m[:2]))
        if self.lying:
            return self.half_size_m[0] + self.half_size_m[1]
        return max(self.half_size_m[0], 0.0 if self.half_size_m[2] == 0.0 else self.half_size_m[1])


def add_prop(scene: mujoco.MjvScene, prop: Prop) -> int:
    """Append `prop` to what the next picture shows; returns its identity in a rendering of identities."""
    geom = scene.geoms[scene.ngeom]
    size, place = np.array(prop.half_size_m), np.array(prop.position_m)
    mujoco.mjv_initGeom(geom, prop.shape, size, place, prop.rotation.ravel(), np.array(prop.rgba))
    # As bodies of the model have it, so that pictures of identities and shadows know the prop.
    geom.category = mujoco.mjtCatBit.mjCAT_DYNAMIC
    geom.segid = scene.ngeom
    geom.specular, geom.shininess, geom.reflectance = 0.0, 0.0, 0.0
    scene.ngeom += 1
    return int(geom.segid) + 1
