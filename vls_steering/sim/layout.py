"""What stands where: a layout is all that distinguishes one episode's world from another's."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vls_steering.core.types import GRIPPER_OPEN_M

HOME_TCP_M = (0.40, 0.0, 0.30)


@dataclass(frozen=True)
class ObjectPlacement:
    """An upright object."""

    name: str
    x_m: float
    y_m: float
    yaw_rad: float = 0.0
    surface_m: float = 0.0  # height over the table of what it stands on


@dataclass(frozen=True)
class BoxPlacement:
    """An axis-aligned box that stands on the table."""

    x_m: float
    y_m: float
    half_size_m: tuple[float, float, float] = (0.025, 0.025, 0.10)

    @property
    def centre_m(self) -> tuple[float, float, float]:
        return (self.x_m, self.y_m, self.half_size_m[2])


@dataclass(frozen=True)
class KeepOut:
    """An upright cylinder of any height that the fingertip point must not enter; nothing is to be seen there."""

    x_m: float
    y_m: float
    radius_m: float

    def contains(self, tcp: np.ndarray) -> bool:
        """`tcp` (3,) m, base frame."""
        return bool(np.hypot(tcp[0] - self.x_m, tcp[1] - self.y_m) < self.radius_m)


@dataclass(frozen=True)
class Exchange:
    """Two objects change places in the middle of an episode, as soon after `at_s` as the hand is clear of both."""

    first: str
    second: str
    at_s: float


@dataclass(frozen=True)
class SceneLayout:
    """Placements of one episode; everything not named is absent from the table."""

    scene: str
    seed: int
    objects: tuple[ObjectPlacement, ...]
    plate_xy_m: tuple[float, float] | None = None
    obstacle: BoxPlacement | None = None
    home_tcp_m: tuple[float, float, float] = HOME_TCP_M
    home_gripper_width_m: float = GRIPPER_OPEN_M
    support: BoxPlacement | None = None
    keep_out: KeepOut | None = None
    exchange: Exchange | None = None

    @property
    def object_names(self) -> tuple[str, ...]:
        return tuple(placement.name for placement in self.objects)

    def position_of(self, name: str) -> np.ndarray:
        """(2,) m position on the table of the named object; KeyError when it is absent."""
        placement = self.placement_of(name)
        return np.array([placement.x_m, placement.y_m])

    def placement_of(self, name: str) -> ObjectPlacement:
        """Where and on what the named object stands; KeyError when it is absent."""
        for placement in self.objects:
            if placement.name == name:
                return placement
        raise KeyError(name)

    @property
    def hinders(self) -> bool:
        """Something stands where the arm would like to go, and going there is a failure."""
        return self.obstacle is not None or self.keep_out is not None

    def exchanged(self, places: dict[str, np.ndarray]) -> SceneLayout:
        """After the exchange: the objects of `places` stand at these (2,) m positions, and no exchange is left."""
        objects = tuple(
            replace(o, x_m=float(places[o.name][0]), y_m=float(places[o.name][1])) if o.name in places else o
            for o in self.objects
        )
        return replace(self, objects=objects, exchange=None)
