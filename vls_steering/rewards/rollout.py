"""What a reward program looks at: a predicted motion and the scene it happens in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from vls_steering.core.arrays import FloatArray
from vls_steering.core.errors import ShapeError
from vls_steering.core.types import GRIPPER_OPEN_M, Keypoint, Observation

# An object is in the hand when its centre is this near the TCP ...
HOLD_RADIUS_M = 0.04
# ... and the gripper says so, or stopped at a width that fits the object.
HOLD_WIDTH_TOLERANCE_M = 0.006
HOLD_MIN_WIDTH_M = 0.008
# What is taller stands there as an obstacle and is not picked up.
GRASPABLE_HEIGHT_M = 0.12


@dataclass(frozen=True)
class Rollout:
    """K predicted chunks of H steps; differentiable."""

    tcp: Tensor  # (K, H, 3) m, base frame
    gripper_width: Tensor  # (K, H) m, commanded
    times_s: Tensor  # (H,) s from now
    approach: Tensor | None = None  # (K, H, 3) unit vector out of the hand; None: it points straight down throughout
    joints: Tensor | None = None  # (K, H, 7) rad; None: not predicted
    at_rest: bool = False  # the present itself, one step long

    def __post_init__(self) -> None:
        particles, horizon = self.tcp.shape[:2]
        shapes = (tuple(self.tcp.shape), tuple(self.gripper_width.shape), tuple(self.times_s.shape))
        if shapes != ((particles, horizon, 3), (particles, horizon), (horizon,)):
            raise ShapeError(f"a rollout needs (K, H, 3), (K, H) and (H,), got {shapes}")
        for name, value, size in (("approach", self.approach, 3), ("joints", self.joints, 7)):
            if value is not None and tuple(value.shape) != (particles, horizon, size):
                raise ShapeError(f"{name} of a rollout is (K, H, {size}), got {tuple(value.shape)}")


@dataclass(frozen=True)
class Scene:
    """The measured present: where things are, and what the hand holds."""

    names: tuple[str, ...]
    positions: Tensor  # (N, 3) m, base frame
    sizes: Tensor  # (N, 3) m, axis-aligned extents
    tcp: Tensor  # (3,) m
    gripper_width: float  # m, measured
    held: str | None  # the object in the hand; it moves with the TCP along a rollout
    approach: Tensor | None = None  # (3,) unit vector out of the hand, measured; None: straight down
    joints: Tensor | None = None  # (7,) rad, measured
    velocity: Tensor | None = None  # (3,) m/s of the TCP; None: unknown, and at rest taken for zero

    @classmethod
    def from_observation(
        cls,
        observation: Observation,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Scene:
        """Read positions and decide what the hand holds."""
        points = observation.keypoints.points

        def tensor(rows: list[FloatArray]) -> Tensor:
            flat = [row.tolist() for row in rows]
            return torch.tensor(flat, dtype=dtype, device=device).reshape(-1, 3)

        return cls(
            names=observation.keypoints.names,
            positions=tensor([point.position for point in points]),
            sizes=tensor([point.size for point in points]),
            tcp=tensor([observation.robot.tcp_position])[0],
            gripper_width=observation.robot.gripper_width_m,
            held=held_object(observation),
            approach=tensor([_approach(observation.robot.tcp_quat_xyzw)])[0],
            joints=torch.tensor(observation.robot.joint_positions.tolist(), dtype=dtype, device=device),
        )

    def position(self, name: str) -> Tensor:
        """(1, 1, 3) m: the measured centre of an object."""
        return self._positions[self.index[name]]

    def size(self, name: str) -> Tensor:
        """(3,) m: axis-aligned extents of an object."""
        return self._sizes[self.index[name]]

    def narrowest(self, name: str) -> float:
        """The lesser horizontal extent of an object, m."""
        return self._narrowest[self.index[name]]

    @cached_property
    def index(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    @cached_property
    def _positions(self) -> tuple[Tensor, ...]:
        return self.positions.reshape(-1, 1, 1, 3).unbind(0)

    @cached_property
    def _sizes(self) -> tuple[Tensor, ...]:
        return self.sizes.unbind(0)

    @cached_property
    def _narrowest(self) -> list[float]:
        narrowest: list[float] = self.sizes[:, :2].amin(-1).tolist() if self.names else []
        return narrowest

    @cached_property
    def graspable(self) -> frozenset[str]:
        """Names of the objects that fit between the fingers and are not posts."""
        fits = (self.sizes[:, :2].amin(-1) < GRIPPER_OPEN_M) & (self.sizes[:, 2] <= GRASPABLE_HEIGHT_M)
        return frozenset(name for name, yes in zip(self.names, fits.tolist(), strict=True) if yes)

    def at_rest(self) -> Rollout:
        """The rollout that stays where the hand is now: one particle, one step, at the present."""
        width = self.tcp.new_full((1, 1), self.gripper_width)
        approach = None if self.approach is None else self.approach.reshape(1, 1, 3)
        joints = None if self.joints is None else self.joints.reshape(1, 1, 7)
        return Rollout(self.tcp.reshape(1, 1, 3), width, self.tcp.new_zeros(1), approach, joints, at_rest=True)


def _approach(quat_xyzw: FloatArray) -> FloatArray:
    """(3,) the z axis of the hand, out of the palm, in the base frame."""
    x, y, z, w = (float(value) for value in quat_xyzw / np.linalg.norm(quat_xyzw))
    return np.array([2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)])


def held_object(observation: Observation) -> str | None:
    """Name of the object in the hand, by gripper report or by width, near the TCP; None with empty hands."""
    robot = observation.robot

    def distance(point: Keypoint) -> float:
        return float(((point.position - robot.tcp_position) ** 2).sum() ** 0.5)

    near = [p for p in observation.keypoints.points if distance(p) <= HOLD_RADIUS_M and graspable(p)]
    if not near:
        return None
    nearest = min(near, key=distance)
    return nearest.name if robot.gripper_holds or _width_fits(robot.gripper_width_m, nearest) else None


def graspable(point: Keypoint) -> bool:
    """The object fits between the fingers and is no post."""
    return float(point.size[:2].min()) < GRIPPER_OPEN_M and float(point.size[2]) <= GRASPABLE_HEIGHT_M


def _width_fits(width_m: float, point: Keypoint) -> bool:
    """The fingers stopped on something as wide as this object; a turned object measures wider than it is."""
    narrow, wide = float(point.size[:2].min()), float(point.size[:2].max())
    low = max(HOLD_MIN_WIDTH_M, 0.7 * narrow - HOLD_WIDTH_TOLERANCE_M)
    high = min(wide + HOLD_WIDTH_TOLERANCE_M, GRIPPER_OPEN_M - 0.01)
    return low <= width_m <= high
