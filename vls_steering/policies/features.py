"""Observation history -> feature vector, and the augmentation that stands for perception noise.

One step is 24 numbers: objects relative to the TCP (5 x 3 m, zeros when absent), presence (5), TCP
position in the base frame (3 m), gripper width (1 m).  A feature vector is two steps, older first.
Object positions relative to the hand are what makes a small policy generalise over the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vls_steering.core.errors import ShapeError
from vls_steering.core.types import Observation

OBJECT_SLOTS = ("red cube", "blue cube", "green cylinder", "yellow brick", "white plate")
HISTORY = 2
RELATIVE_SIZE = 3 * len(OBJECT_SLOTS)
STEP_SIZE = RELATIVE_SIZE + len(OBJECT_SLOTS) + 3 + 1
FEATURE_SIZE = HISTORY * STEP_SIZE


def step_features(tcp: Tensor, gripper_width: Tensor, objects: Tensor, present: Tensor) -> Tensor:
    """TCP (..., 3) m, width (...) m, objects (..., 5, 3) m, present (..., 5) bool -> (..., 24), not normalised."""
    relative = torch.where(present.unsqueeze(-1), objects - tcp.unsqueeze(-2), torch.zeros_like(objects))
    return torch.cat([relative.flatten(-2), present.to(tcp), tcp, gripper_width.unsqueeze(-1)], dim=-1)


def observation_features(observations: Sequence[Observation], step_s: float) -> Tensor:
    """Observations oldest first -> (1, 48) float32, not normalised; a lone observation is repeated."""
    before = _arrays(previous_observation(observations, step_s))
    current = _arrays(observations[-1])
    tcp, width, objects, present = (torch.stack(pair) for pair in zip(before, current, strict=True))
    return step_features(tcp, width, objects, present).flatten().unsqueeze(0)


def previous_observation(observations: Sequence[Observation], step_s: float) -> Observation:
    """The observation nearest to `step_s` before the last one, by stamp.

    The last one itself when nothing is within half a step of that moment: a gap in the stream must not
    look like a fast motion.
    """
    if not observations:
        raise ShapeError("a policy needs at least one observation")
    wanted_s = observations[-1].stamp_s - step_s
    nearest = min(observations, key=lambda observation: abs(observation.stamp_s - wanted_s))
    return nearest if abs(nearest.stamp_s - wanted_s) <= 0.5 * step_s else observations[-1]


def _arrays(observation: Observation) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    objects = np.zeros((len(OBJECT_SLOTS), 3), dtype=np.float32)
    present = np.zeros(len(OBJECT_SLOTS), dtype=np.bool_)
    for slot, name in enumerate(OBJECT_SLOTS):
        point = observation.keypoints.find(name)
        if point is not None:
            objects[slot], present[slot] = point.position, True
    robot = observation.robot
    return (
        torch.tensor(robot.tcp_position, dtype=torch.float32),
        torch.tensor(robot.gripper_width_m, dtype=torch.float32),
        torch.from_numpy(objects),
        torch.from_numpy(present),
    )


@dataclass(frozen=True)
class FeatureNormaliser:
    """`(feature - mean) / scale` for one step, the same for every step of the history."""

    mean: tuple[float, ...]  # (24,)
    scale: tuple[float, ...]  # (24,)

    def __post_init__(self) -> None:
        if len(self.mean) != STEP_SIZE or len(self.scale) != STEP_SIZE or min(self.scale) <= 0.0:
            raise ShapeError(f"a normaliser needs {STEP_SIZE} means and {STEP_SIZE} positive scales")

    def apply(self, features: Tensor) -> Tensor:
        """(..., 48) -> (..., 48)."""
        mean = torch.tensor(self.mean, dtype=features.dtype, device=features.device).repeat(HISTORY)
        scale = torch.tensor(self.scale, dtype=features.dtype, device=features.device).repeat(HISTORY)
        return (features - mean) / scale


def fit_normaliser(steps: Tensor, present: Tensor) -> FeatureNormaliser:
    """From step features (N, 24) and presence (N, 5).

    Relative positions keep mean 0 and share one scale, so that zero stays "the hand is at the object"
    in every direction, and presence stays 0 or 1.
    """
    mean, scale = torch.zeros(STEP_SIZE), torch.ones(STEP_SIZE)
    seen = steps[:, :RELATIVE_SIZE][present.repeat_interleave(3, dim=1)]
    scale[:RELATIVE_SIZE] = seen.square().mean().sqrt() if len(seen) else 1.0
    robot = steps[:, -4:]
    mean[-4:], scale[-4:] = robot.mean(dim=0), robot.std(dim=0, correction=0)
    return FeatureNormaliser(tuple(mean.tolist()), tuple(scale.clamp_min(1e-3).tolist()))


@dataclass(frozen=True)
class SensorNoise:
    """Standard deviations in metres of what perception and encoders get wrong."""

    object_window_m: float = 0.004  # constant over a history window: a biased centroid
    object_step_m: float = 0.0015  # new at every observation
    tcp_m: float = 0.001

    def apply(self, tcp: Tensor, objects: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """TCP (B, T, 3), objects (B, T, 5, 3) of B windows of T steps -> noisy copies."""
        bias = torch.randn(objects[:, :1].shape, generator=generator, device=objects.device) * self.object_window_m
        jitter = torch.randn(objects.shape, generator=generator, device=objects.device) * self.object_step_m
        shake = torch.randn(tcp.shape, generator=generator, device=tcp.device) * self.tcp_m
        return tcp + shake, objects + bias + jitter
