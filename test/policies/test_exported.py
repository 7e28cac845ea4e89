"""The network as an ONNX graph says what the network says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from policies.untrained import TINY, untrained_policy

from vls_steering.core.errors import ConfigurationError
from vls_steering.policies import NetworkPolicy, load_card, load_policy
from vls_steering.policies import make_example_observation as example
from vls_steering.policies.checkpoint import export_policy
from vls_steering.policies.exported import ExportedNetwork, graph_path
from vls_steering.policies.shipped import SHIPPED_POLICY

# Sums of some hundred float32 products in another order: a few units in the seventh digit, on values around 1.
TOLERANCE = 1e-5


def _noisy(particles: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(particles)
    return torch.randn(particles, 16, 4, generator=generator), torch.rand(particles, generator=generator)


@pytest.mark.parametrize("particles", [1, 8, 33])
def test_the_shipped_graph_agrees_with_the_shipped_weights(particles: int) -> None:
    policy = load_policy(SHIPPED_POLICY)
    in_torch = policy.on("cpu")
    encoding = policy.encode([example(0.0), example(0.1)])
    x, level = _noisy(particles)
    with torch.no_grad():
        difference = policy.predict_clean(encoding, x, level) - in_torch.predict_clean(encoding, x, level)
    assert difference.abs().max() < TOLERANCE


def test_the_graph_is_what_answers_when_no_gradient_is_asked_for() -> None:
    policy = load_policy(SHIPPED_POLICY)
    encoding = policy.encode([example()])
    x, level = _noisy(4)
    policy.network.head.weight.data.zero_()
    with torch.no_grad():
        assert policy.predict_clean(encoding, x, level).std() > 0.01
    assert policy.predict_clean(encoding, x.requires_grad_(), level).std(dim=0).max() < 1e-6


def test_a_gradient_through_the_network_is_torchs() -> None:
    policy = load_policy(SHIPPED_POLICY)
    x, level = _noisy(3)
    policy.predict_clean(policy.encode([example()]), x.requires_grad_(), level).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().max() > 0.0


def test_one_broken_particle_leaves_the_others_bit_identical() -> None:
    policy = load_policy(SHIPPED_POLICY)
    encoding = policy.encode([example()])
    x, level = _noisy(6)
    broken = x.clone()
    broken[2] = float("nan")
    with torch.no_grad():
        sound, spoilt = (policy.predict_clean(encoding, value, level) for value in (x, broken))
    others = torch.arange(6) != 2
    assert torch.equal(sound[others], spoilt[others])
    assert torch.isnan(spoilt[2]).all()


def test_export_writes_the_graph_beside_the_weights_and_the_card_names_it(tmp_path: Path) -> None:
    weights = untrained_policy(tmp_path / "tiny.safetensors", TINY)
    before = load_policy(weights)
    assert export_policy(weights) == graph_path(weights)
    assert load_card(weights).graph_sha256
    after = load_policy(weights)
    x, level = _noisy(5)
    encoding = before.encode([example()])
    with torch.no_grad():
        difference = before.predict_clean(encoding, x, level) - after.predict_clean(encoding, x, level)
    assert difference.abs().max() < TOLERANCE


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The shipped policy, where it can be spoilt."""
    for source in (SHIPPED_POLICY, SHIPPED_POLICY.with_suffix(".json"), graph_path(SHIPPED_POLICY)):
        (tmp_path / source.name).write_bytes(source.read_bytes())
    return tmp_path / SHIPPED_POLICY.name


def test_a_damaged_graph_is_refused(copied: Path) -> None:
    graph_path(copied).write_bytes(graph_path(copied).read_bytes()[:-1])
    with pytest.raises(ConfigurationError, match="damaged"):
        load_policy(copied)


def test_a_missing_graph_that_the_card_names_is_refused(copied: Path) -> None:
    graph_path(copied).unlink()
    with pytest.raises(ConfigurationError, match="cannot read"):
        load_policy(copied)


def test_what_is_no_graph_is_refused_with_the_cure() -> None:
    with pytest.raises(ConfigurationError, match="ONNX Runtime") as refusal:
        ExportedNetwork(b"not a graph", "somewhere.onnx")
    assert "vls export" in str(refusal.value.__dict__)


def test_a_policy_without_a_graph_runs_in_torch(tmp_path: Path) -> None:
    policy = load_policy(untrained_policy(tmp_path / "plain.safetensors", TINY))
    x, level = _noisy(2)
    with torch.no_grad():
        assert torch.equal(
            policy.predict_clean(policy.encode([example()]), x, level),
            NetworkPolicy.on(policy, "cpu").predict_clean(policy.encode([example()]), x, level),
        )
