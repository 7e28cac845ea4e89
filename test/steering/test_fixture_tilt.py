"""Damped guidance through the network samples the tilted law of Gaussian data exactly; the plug-in does not.

The tilted law is p(a) exp(strength * r(a)) with r = -1/2 sum (a - 1)^2 over the positions.  For data N(m, s^2):
mean (m + strength s^2) / (1 + strength s^2), variance s^2 / (1 + strength s^2).
"""

from __future__ import annotations

import pytest
import torch
from steering.worlds import POSITIONS, SCHEDULES, SPACE, Quadratic, begun, normalised, observe, vary

from vls_steering.policies.analytic import MixturePolicy, make_gaussian
from vls_steering.policies.base import NoiseSchedule
from vls_steering.steering import SteeringSettings

both = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.name)


def exact_guidance(
    std: float, strength: float, particles: int, steps: int, eta: float, damping: str
) -> SteeringSettings:
    """Through the network, no bound that could bind, no step without guidance."""
    return vary(
        "ours",
        particles=particles,
        cold_steps=steps,
        eta=eta,
        strength={"maximum": strength},
        guide={
            "mode": "through",
            "damping": damping,
            "mode_std": std,
            "clip_sigma": 10.0,
            "trust_m": 1.0,
            "stop_late": 0.0,
        },
    )


def drawn(policy: MixturePolicy, settings: SteeringSettings, stage: Quadratic | None) -> torch.Tensor:
    """Normalised positions (K, H, 3) of a cold tick."""
    return normalised(begun(policy, settings, stage, seed=3).tick(observe(0.0)))


@both
@pytest.mark.parametrize("steps", [1, 4, 20])
@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("strength", [2.0, 8.0, 50.0])
def test_damped_guidance_of_a_policy_is_the_tilted_policy_unguided(
    schedule: NoiseSchedule, strength: float, eta: float, steps: int
) -> None:
    """Not only in the limit: for Gaussian data the guided estimate *is* the tilted law's posterior mean.

    So the chunks agree particle by particle at any number of steps, up to float32: some 100 roundings of
    values below 4, each at most 4 * 2^-24 = 2.4e-7, hence 1e-4 with room for their amplification.
    """
    policy = make_gaussian(SPACE, mean=0.2, std=0.3, schedule=schedule)
    tilted = MixturePolicy(policy.mixture.tilted(strength * POSITIONS, torch.ones(4)), SPACE, schedule)
    settings = exact_guidance(0.3, strength, 16, steps, eta, "curvature")
    guided = drawn(policy, settings, Quadratic(torch.zeros(3)))
    torch.testing.assert_close(guided, drawn(tilted, settings, None), atol=1e-4, rtol=0.0)


@both
def test_mean_and_variance_are_the_tilted_ones_and_the_plug_in_over_tilts(schedule: NoiseSchedule) -> None:
    """5 % of either, from n = 48 000 values.

    Mean: 3 sigma = 3 * .5 / sqrt(n) = .007, 1.4 % of .49.  Variance: 3 sigma = 3 * sqrt(2 / n) = 1.9 %, and 100
    deterministic steps lose 3.0 % of it (`test_fixture_levels.py`), 4.9 % together.
    """
    std, strength = 0.7, 2.0
    policy = make_gaussian(SPACE, std=std, schedule=schedule)
    exact = policy.mixture.tilted(strength * POSITIONS, torch.ones(4))
    mean, variance = float(exact.mean()[0, 0]), float(exact.variance()[0, 0])
    stage = Quadratic(torch.zeros(3))
    damped = drawn(policy, exact_guidance(std, strength, 1000, 100, 0.0, "curvature"), stage)
    assert float(damped.mean()) == pytest.approx(mean, rel=0.05)
    assert float(damped.var()) == pytest.approx(variance, rel=0.05)
    plug_in = drawn(policy, exact_guidance(std, strength, 1000, 100, 0.0, "none"), stage)
    assert float(plug_in.mean()) > 1.2 * mean
    assert float(plug_in.var()) < 0.8 * variance
