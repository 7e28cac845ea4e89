"""Frozen policies behind one Protocol."""

from vls_steering.policies.analytic import GaussianMixture, MixturePolicy, make_fan
from vls_steering.policies.base import (
    ActionSpace,
    CosineSchedule,
    Encoding,
    FlowSchedule,
    FrozenPolicy,
    NoiseSchedule,
    make_example_observation,
)
from vls_steering.policies.checkpoint import load_card, load_policy
from vls_steering.policies.diffusion import DiffusionPolicy

__all__ = [
    "ActionSpace",
    "CosineSchedule",
    "DiffusionPolicy",
    "Encoding",
    "FlowSchedule",
    "FrozenPolicy",
    "GaussianMixture",
    "MixturePolicy",
    "NoiseSchedule",
    "load_card",
    "load_policy",
    "make_example_observation",
    "make_fan",
]
