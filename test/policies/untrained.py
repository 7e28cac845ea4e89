"""Checkpoints of the right shape that have learned nothing: they move the arm, without sense."""

from __future__ import annotations

from pathlib import Path

import torch

from vls_steering.policies import ActionSpace
from vls_steering.policies.checkpoint import save_policy
from vls_steering.policies.features import STEP_SIZE, FeatureNormaliser
from vls_steering.policies.process import Diffusion
from vls_steering.policies.unet import ConditionalUNet, UNetSettings

TINY = UNetSettings(channels=(8, 8, 16), condition_size=8)


def untrained_policy(path: Path, size: UNetSettings | None = None) -> Path:
    """Write a checkpoint to `path`; of the size that ships, unless another is given."""
    torch.manual_seed(0)
    network = ConditionalUNet(size or UNetSettings())
    features = FeatureNormaliser((0.0,) * STEP_SIZE, (1.0,) * STEP_SIZE)
    space = ActionSpace(tuple(0.001 * step for step in range(1, 17)))
    save_policy(path, network, features, space, Diffusion(), {"note": "untrained"})
    return path
