"""Fixtures of the latency tests: a policy that costs next to nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from policies.untrained import TINY, untrained_policy

from vls_steering.policies import NetworkPolicy, load_policy


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny network that has learned nothing."""
    return untrained_policy(tmp_path_factory.mktemp("policy") / "tiny.safetensors", TINY)


@pytest.fixture
def policy(weights: Path) -> NetworkPolicy:
    return load_policy(weights)
