"""The fixture policy is exact: checked against Monte Carlo, autograd and itself."""

from __future__ import annotations

import pytest
import torch

from vls_steering.policies.analytic import GaussianMixture, MixturePolicy, make_fan
from vls_steering.policies.base import (
    ActionSpace,
    CosineSchedule,
    FlowSchedule,
    NoiseSchedule,
    make_example_observation,
)

SCHEDULES = [CosineSchedule(), FlowSchedule()]


def small_mixture() -> GaussianMixture:
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(3, 1, 2, generator=generator, dtype=torch.float64)
    stds = 0.2 + 0.3 * torch.rand(3, 1, 2, generator=generator, dtype=torch.float64)
    return GaussianMixture(torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64).log(), means, stds)


def levels_of(schedule: NoiseSchedule, *levels: float) -> tuple[torch.Tensor, torch.Tensor]:
    level = torch.tensor(levels, dtype=torch.float64)
    return schedule.alpha(level), schedule.sigma(level)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_posterior_mean_agrees_with_importance_sampling(schedule: NoiseSchedule) -> None:
    mixture = small_mixture()
    alpha, sigma = levels_of(schedule, 0.4)
    x = torch.tensor([[[0.3, -0.4]]], dtype=torch.float64)
    clean = mixture.sample(400_000, torch.Generator().manual_seed(1))
    log_likelihood = -0.5 * ((x - alpha * clean) / sigma).square().sum(dim=(1, 2))
    weights = log_likelihood.softmax(dim=0)
    estimate = (weights[:, None, None] * clean).sum(dim=0)
    torch.testing.assert_close(mixture.posterior_mean(x, alpha, sigma)[0], estimate, atol=0.01, rtol=0.0)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_score_is_the_gradient_of_the_log_density(schedule: NoiseSchedule) -> None:
    mixture = small_mixture()
    alpha, sigma = levels_of(schedule, 0.05, 0.5, 0.95)
    x = torch.randn(3, 1, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).requires_grad_()
    (gradient,) = torch.autograd.grad(mixture.log_density(x, alpha, sigma).sum(), x)
    torch.testing.assert_close(mixture.score(x, alpha, sigma), gradient)


def test_the_prediction_is_differentiable() -> None:
    policy = MixturePolicy(small_mixture(), ActionSpace((0.1,), dims=("x", "y")))
    level = torch.tensor([0.2, 0.8], dtype=torch.float64)
    x = torch.randn(2, 1, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3)).requires_grad_()
    assert torch.autograd.gradcheck(lambda noisy: policy.predict_clean(torch.zeros(1, 0), noisy, level), x)


def test_the_tilted_law_agrees_with_reweighted_samples() -> None:
    mixture = small_mixture()
    goal, strength = torch.tensor([[1.0, -1.0]], dtype=torch.float64), torch.tensor([[2.0, 0.0]], dtype=torch.float64)
    clean = mixture.sample(400_000, torch.Generator().manual_seed(4))
    weights = (-0.5 * strength * (clean - goal).square()).sum(dim=(1, 2)).softmax(dim=0)[:, None, None]
    mean = (weights * clean).sum(dim=0)
    variance = (weights * (clean - mean).square()).sum(dim=0)
    tilted = mixture.tilted(strength, goal)
    torch.testing.assert_close(tilted.mean(), mean, atol=0.01, rtol=0.0)
    torch.testing.assert_close(tilted.variance(), variance, atol=0.01, rtol=0.0)
    assert float(tilted.weights.sum()) == pytest.approx(1.0)


def test_no_strength_is_no_tilt() -> None:
    mixture = small_mixture()
    untouched = mixture.tilted(torch.zeros(1, 2, dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64))
    torch.testing.assert_close(untouched.weights, mixture.weights)
    torch.testing.assert_close(untouched.means, mixture.means)


def test_no_noise_returns_the_chunk_and_pure_noise_the_mean() -> None:
    mixture = small_mixture()
    x = mixture.sample(2, torch.Generator().manual_seed(5))
    torch.testing.assert_close(mixture.posterior_mean(x, *levels_of(CosineSchedule(), 0.0, 0.0)), x)
    blind = mixture.posterior_mean(x, torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(blind, mixture.mean().expand(2, -1, -1))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_deterministic_denoising_recovers_the_mode_weights(schedule: NoiseSchedule) -> None:
    policy = make_fan(ActionSpace((0.1,) * 16), weights=(0.6, 0.3, 0.1))
    policy = MixturePolicy(policy.mixture, policy.action_space, schedule)
    encoding = policy.encode([make_example_observation()])
    x = torch.randn(600, 16, 4, generator=torch.Generator().manual_seed(6))
    levels = torch.linspace(1.0, 0.0, 41)
    for high, low in zip(levels[:-1], levels[1:], strict=True):
        clean = policy.predict_clean(encoding, x, high.expand(600))
        noise = (x - schedule.alpha(high) * clean) / schedule.sigma(high)
        x = schedule.alpha(low) * clean + schedule.sigma(low) * noise
    nearest = (x[:, None] - policy.mixture.means).square().sum(dim=(2, 3)).argmin(dim=1)
    shares = torch.bincount(nearest, minlength=3) / 600
    torch.testing.assert_close(shares, policy.mixture.weights, atol=0.07, rtol=0.0)
