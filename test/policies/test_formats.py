"""The ending of a file says which format reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from vls_steering.core.errors import ConfigurationError
from vls_steering.policies import load_policy, open_policy
from vls_steering.policies.shipped import SHIPPED_POLICY


def test_the_shipped_policy_is_of_our_own_format() -> None:
    assert open_policy(SHIPPED_POLICY).sha256 == load_policy(SHIPPED_POLICY).sha256


@pytest.mark.parametrize("name", ["policy.pkl", "policy", "play.json"])
def test_an_unknown_ending_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"Known endings: \.safetensors"):
        open_policy(Path(name))
