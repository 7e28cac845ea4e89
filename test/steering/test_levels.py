"""Steps between noise levels: exact for a known noise, variance preserving when stochastic, a level per particle."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vls_steering.policies.base import CosineSchedule, FlowSchedule, NoiseSchedule
from vls_steering.steering.levels import denoise_step, descend, jittered, noised, renoised

SCHEDULES = [CosineSchedule(), FlowSchedule()]
levels = st.floats(0.02, 1.0)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.name)
@given(start=levels, share=st.floats(0.0, 0.99))
@settings(deadline=None, max_examples=30)
def test_a_deterministic_step_lands_where_the_same_noise_would_have_put_it(
    schedule: NoiseSchedule, start: float, share: float
) -> None:
    clean, noise = torch.randn(3, 16, 4), torch.randn(3, 16, 4)
    level, target = torch.full((3,), start), torch.full((3,), start * share)
    x = noised(clean, level, schedule, noise)
    stepped = denoise_step(x, clean, level, target, schedule, 0.0, torch.zeros_like(x))
    torch.testing.assert_close(stepped, noised(clean, target, schedule, noise), atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.name)
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_any_eta_leaves_the_noise_of_the_target_level(schedule: NoiseSchedule, eta: float) -> None:
    generator = torch.Generator().manual_seed(0)
    clean = torch.zeros(4000, 4, 1)
    level, target = torch.full((4000,), 0.8), torch.full((4000,), 0.4)
    x = noised(clean, level, schedule, torch.randn(clean.shape, generator=generator))
    x = denoise_step(x, clean, level, target, schedule, eta, torch.randn(clean.shape, generator=generator))
    assert float(x.std()) == pytest.approx(float(schedule.sigma(target)[0]), rel=0.03)


def test_particles_descend_from_their_own_levels_to_zero() -> None:
    plan = descend(torch.tensor([1.0, 0.4]), 4)
    torch.testing.assert_close(plan.levels, torch.tensor([[1.0, 0.75, 0.5, 0.25, 0.0], [0.4, 0.3, 0.2, 0.1, 0.0]]))


def test_a_step_moves_each_particle_by_its_own_level() -> None:
    schedule, clean, noise = CosineSchedule(), torch.randn(2, 16, 4), torch.randn(2, 16, 4)
    level, target = torch.tensor([1.0, 0.3]), torch.tensor([0.6, 0.0])
    together = denoise_step(noised(clean, level, schedule, noise), clean, level, target, schedule, 0.0, noise)
    torch.testing.assert_close(together[1], clean[1], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(together[0], noised(clean, target, schedule, noise)[0], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.name)
@given(level=st.floats(0.0, 1.0), higher=levels)
@settings(deadline=None, max_examples=30)
def test_going_back_up_gives_the_marginal_of_the_higher_level(
    schedule: NoiseSchedule, level: float, higher: float
) -> None:
    """Affine in (x, z): the chunk's share is alpha', the variances add up to sigma'^2."""
    low, high = (torch.tensor([value], dtype=torch.float64) for value in (min(level, higher), higher))
    one, none = torch.ones(1, 1, 1, dtype=torch.float64), torch.zeros(1, 1, 1, dtype=torch.float64)
    keep, fresh = (float(renoised(x, low, high, schedule, z)) for x, z in ((one, none), (none, one)))
    assert keep * float(schedule.alpha(low)) == pytest.approx(float(schedule.alpha(high)))
    variance = (keep * float(schedule.sigma(low))) ** 2 + fresh**2
    assert variance == pytest.approx(float(schedule.sigma(high)) ** 2, abs=1e-9)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.name)
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_jitter_changes_the_noise_and_not_its_level(schedule: NoiseSchedule, share: float) -> None:
    generator = torch.Generator().manual_seed(0)
    clean, level = torch.full((4000, 4, 1), 0.7), torch.full((4000,), 0.4)
    x = noised(clean, level, schedule, torch.randn(clean.shape, generator=generator))
    moved = jittered(x, clean, level, schedule, share, torch.randn(clean.shape, generator=generator))
    left = moved - schedule.alpha(level)[:, None, None] * clean
    assert float(left.std()) == pytest.approx(float(schedule.sigma(level)[0]), rel=0.03)
    assert torch.equal(moved, x) is (share == 0.0)
