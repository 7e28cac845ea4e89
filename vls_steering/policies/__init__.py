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
from vls_steering.policies.formats import open_policy
from vls_steering.policies.network_policy import NetworkPolicy

__all__ = [
    "ActionSpace",
    "CosineSchedule",
    "Encoding",
    "FlowSchedule",
    "FrozenPolicy",
    "GaussianMixture",
    "MixturePolicy",
    "NetworkPolicy",
    "NoiseSchedule",
    "load_card",
    "load_policy",
    "make_example_observation",
    "make_fan",
    "open_policy",
]
