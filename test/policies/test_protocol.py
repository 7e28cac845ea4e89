"""Every policy of the room keeps the FrozenPolicy contract."""

from __future__ import annotations

import pytest
import torch

from vls_steering.policies import ActionSpace, FrozenPolicy, NetworkPolicy, make_fan
from vls_steering.policies import make_example_observation as example
from vls_steering.policies.features import STEP_SIZE, FeatureNormaliser
from vls_steering.policies.process import Diffusion, Flow, Process
from vls_steering.policies.unet import ConditionalUNet, UNetSettings, parameter_count

SPACE = ActionSpace(tuple(0.01 * (h + 1) for h in range(16)))


def untrained(process: Process | None = None) -> NetworkPolicy:
    normaliser = FeatureNormaliser((0.0,) * STEP_SIZE, (1.0,) * STEP_SIZE)
    network = ConditionalUNet(UNetSettings())
    return NetworkPolicy(network, normaliser, SPACE, process or Diffusion(), "untrained", "0" * 64)


POLICIES = {"diffusion": untrained(), "flow": untrained(Flow()), "mixture": make_fan(SPACE)}


@pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("particles", [1, 16])
def test_one_encoding_serves_any_number_of_particles_at_mixed_levels(policy: FrozenPolicy, particles: int) -> None:
    encoding = policy.encode([example(0.0), example(0.1)])
    x = torch.randn(particles, policy.action_space.horizon, policy.action_space.size)
    with torch.inference_mode():
        clean = policy.predict_clean(encoding, x, torch.linspace(0.05, 1.0, particles))
    assert clean.shape == x.shape
    assert torch.isfinite(clean).all()
    assert len(policy.sha256) == 64


def test_the_weights_are_frozen() -> None:
    policy = untrained()
    x = torch.randn(2, 16, 4, requires_grad=True)
    policy.predict_clean(policy.encode([example()]), x, torch.ones(2)).sum().backward()
    assert x.grad is not None
    assert all(weight.grad is None for weight in policy.network.parameters())


def test_the_default_network_has_about_two_million_weights() -> None:
    assert 1.5e6 < parameter_count(ConditionalUNet(UNetSettings())) < 2.5e6


@pytest.mark.parametrize("process", [Diffusion(), Flow()])
def test_a_network_that_hits_its_target_gives_the_clean_chunk_back(process: Process) -> None:
    clean, noise, level = torch.randn(7, 16, 4), torch.randn(7, 16, 4), torch.linspace(0.01, 1.0, 7)
    alpha, sigma = (value[:, None, None] for value in (process.schedule.alpha(level), process.schedule.sigma(level)))
    noisy = alpha * clean + sigma * noise
    torch.testing.assert_close(process.clean(process.target(clean, noise), noisy, level), clean, atol=1e-5, rtol=1e-5)
