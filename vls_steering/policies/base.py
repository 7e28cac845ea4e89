"""What steering may ask of a frozen policy: encode once per tick, predict the clean chunk at any noise level."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor

from vls_steering.core.errors import ShapeError
from vls_steering.core.types import DOWN_QUAT_XYZW, GRIPPER_OPEN_M, Keypoint, Keypoints, Observation, RobotState

# Opaque to everybody but the policy that made it; the embedded policies use a (1, C) condition vector.
Encoding: TypeAlias = Tensor

# A gripper guess at +-1 almost never flips once re-noised (log-odds grow with the magnitude), so the
# policies here are trained with it scaled down, as RTI-DP (arXiv 2508.05396) recommends.
GRIPPER_MAGNITUDE = 1.0 / 3.0


class NoiseSchedule(Protocol):
    """`x = alpha(level) * clean + sigma(level) * noise`, level 0 = clean .. 1 = noise, continuous and batched."""

    @property
    def name(self) -> str: ...

    @property
    def alpha_floor(self) -> float:
        """Alpha at level 1: small, never 0, so that `noise -> clean` stays invertible."""
        ...

    def alpha(self, level: Tensor) -> Tensor: ...

    def sigma(self, level: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class CosineSchedule:
    """Variance preserving, `alpha = cos(angle)`, `sigma = sin(angle)`, angle linear in the level.

    The schedule of Nichol & Dhariwal 2021 in continuous time, without the offset that only discrete
    steps need.
    """

    alpha_floor: float = 0.01
    name: str = "vp_cosine"

    def alpha(self, level: Tensor) -> Tensor:
        return torch.cos(level * math.acos(self.alpha_floor))

    def sigma(self, level: Tensor) -> Tensor:
        return torch.sin(level * math.acos(self.alpha_floor))


@dataclass(frozen=True)
class FlowSchedule:
    """Flow matching's straight path (pi0 orientation: level 1 is noise): `alpha = 1 - level`, `sigma = level`."""

    alpha_floor: float = 0.01
    name: str = "flow"

    def alpha(self, level: Tensor) -> Tensor:
        return 1.0 - level * (1.0 - self.alpha_floor)

    def sigma(self, level: Tensor) -> Tensor:
        return level


@dataclass(frozen=True)
class ActionSpace:
    """Normalised chunk (K, H, 4) <-> TCP positions and gripper widths, differentiable both ways.

    Step h is the target `step_s * (h + 1)` after the observation.  Positions are offsets from the TCP
    measured at the observation (the anchor) divided by `position_scale_m[h]`; the gripper is
    +-GRIPPER_MAGNITUDE, open positive.
    """

    position_scale_m: tuple[float, ...]  # (H,)
    step_s: float = 0.1
    dims: tuple[str, ...] = ("x", "y", "z", "gripper")

    def __post_init__(self) -> None:
        if not self.position_scale_m or min(self.position_scale_m) <= 0.0:
            raise ShapeError(f"position scales must be positive, one per step; got {self.position_scale_m}")

    @property
    def horizon(self) -> int:
        return len(self.position_scale_m)

    @property
    def size(self) -> int:
        """A, the number of action dimensions."""
        return len(self.dims)

    def scale(self, like: Tensor) -> Tensor:
        """(H, 1) m, on the device and in the dtype of `like`."""
        return _column(self.position_scale_m, like.dtype, like.device)

    def decode(self, chunk: Tensor, anchor: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised (K, H, 4), anchor (3,) m -> TCP (K, H, 3) m in the base frame, gripper width (K, H) m.

        The width is clamped in value to [0, GRIPPER_OPEN_M]; its gradient passes straight through the
        clamp, else a saturated gripper could never be steered back.
        """
        self._check(chunk)
        tcp = anchor.to(chunk)[..., None, :] + chunk[..., :3] * self.scale(chunk)
        width = (chunk[..., 3] / GRIPPER_MAGNITUDE + 1.0) * (0.5 * GRIPPER_OPEN_M)
        return tcp, width + (width.clamp(0.0, GRIPPER_OPEN_M) - width).detach()

    def encode(self, tcp: Tensor, gripper_width: Tensor, anchor: Tensor) -> Tensor:
        """Inverse of `decode`: TCP (K, H, 3) m, width (K, H) m, anchor (3,) m -> normalised (K, H, 4)."""
        position = (tcp - anchor.to(tcp)[..., None, :]) / self.scale(tcp)
        gripper = (gripper_width / (0.5 * GRIPPER_OPEN_M) - 1.0) * GRIPPER_MAGNITUDE
        chunk = torch.cat([position, gripper.unsqueeze(-1)], dim=-1)
        self._check(chunk)
        return chunk

    def _check(self, chunk: Tensor) -> None:
        if chunk.shape[-2:] != (self.horizon, self.size):
            raise ShapeError(f"chunk has shape {tuple(chunk.shape)}, expected (..., {self.horizon}, {self.size})")


@lru_cache(maxsize=16)
def _column(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """(N, 1) read-only: uploaded once, not in every decoding."""
    return torch.tensor(values, dtype=dtype, device=device).unsqueeze(-1)


class FrozenPolicy(Protocol):
    """A generative policy whose weights never change here.

    `encode` runs once per tick; `predict_clean` is batched over particles with a level each and is
    differentiable in `x` (the caller decides between autograd and inference mode).
    """

    @property
    def name(self) -> str: ...

    @property
    def sha256(self) -> str:
        """Of the weights, for reports."""
        ...

    @property
    def action_space(self) -> ActionSpace: ...

    @property
    def schedule(self) -> NoiseSchedule: ...

    def encode(self, observations: Sequence[Observation]) -> Encoding:
        """Observations oldest first, the last one current; a policy picks what it needs by their stamps."""
        ...

    def predict_clean(self, encoding: Encoding, x: Tensor, level: Tensor) -> Tensor:
        """Noisy (K, H, A) at level (K,) in [0, 1] -> estimate of the clean chunk, (K, H, A)."""
        ...


def make_example_observation(stamp_s: float = 0.0) -> Observation:
    """A plausible tabletop scene at the home pose, for tests, warm-up and documentation."""
    robot = RobotState(
        stamp_s=stamp_s,
        joint_positions=np.array([0.0, -0.6, 0.0, -2.4, 0.0, 1.8, 0.785]),
        joint_velocities=np.zeros(7),
        tcp_position=np.array([0.40, 0.0, 0.30]),
        tcp_quat_xyzw=np.array(DOWN_QUAT_XYZW),
        gripper_width_m=GRIPPER_OPEN_M,
    )
    cube = np.full(3, 0.038)
    points = (
        Keypoint("red cube", np.array([0.50, 0.10, 0.019]), cube),
        Keypoint("blue cube", np.array([0.45, -0.12, 0.019]), cube),
        Keypoint("white plate", np.array([0.60, -0.05, 0.006]), np.array([0.17, 0.17, 0.012])),
    )
    return Observation(robot, Keypoints(stamp_s, points))
