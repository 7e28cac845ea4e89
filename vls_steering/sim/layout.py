"""What stands where: a layout is all that distinguishes one episode's world from another's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vls_steering.core.types import GRIPPER_OPEN_M

HOME_TCP_M = (0.40, 0.0, 0.30)


@dataclass(frozen=True)
class ObjectPlacement:
    """An upright object on the table."""

    name: str
    x_m: float
    y_m: float
    yaw_rad: float = 0.0


@dataclass(frozen=True)
class ObstaclePlacement:
    """An axis-aligned box that stands on the table."""

    x_m: float
    y_m: float
    half_size_m: tuple[float, float, float] = (0.025, 0.025, 0.10)

    @property
    def centre_m(self) -> tuple[float, float, float]:
        return (self.x_m, self.y_m, self.half_size_m[2])


@dataclass(frozen=True)
class SceneLayout:
    """Placements of one episode; everything not named is absent from the table."""

    scene: str
    seed: int
    objects: tuple[ObjectPlacement, ...]
    plate_xy_m: tuple[float, float] | None = None
    obstacle: ObstaclePlacement | None = None
    home_tcp_m: tuple[float, float, float] = HOME_TCP_M
    home_gripper_width_m: float = GRIPPER_OPEN_M

    @property
    def object_names(self) -> tuple[str, ...]:
        return tuple(placement.name for placement in self.objects)

    def position_of(self, name: str) -> np.ndarray:
        """(2,) m position on the table of the named object; KeyError when it is absent."""
        for placement in self.objects:
            if placement.name == name:
                return np.array([placement.x_m, placement.y_m])
        raise KeyError(name)
