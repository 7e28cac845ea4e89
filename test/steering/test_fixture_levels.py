"""Steps between noise levels keep the law of the noise: exact for a known chunk, accounted for in a Gaussian one.

Every step is affine in (x, z), so its mean and variance are read off exactly, without drawing a sample.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from steering.worlds import SCHEDULES

from vls_steering.policies.base import NoiseSchedule
from vls_steering.steering.levels import denoise_step, descend, noised

MEAN = 0.7
levels = st.floats(0.02, 1.0)
shares = st.floats(0.0, 0.99)
etas = st.floats(0.0, 1.0)
both = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.name)


class Jump:
    """One step from `level` to `target` for Gaussian chunks N(MEAN, std^2), as an affine map of x and z."""

    def __init__(self, schedule: NoiseSchedule, level: float, target: float, std: float, eta: float) -> None:
        self.schedule, self.eta, self.std = schedule, eta, std
        self.level, self.target = (torch.tensor([value], dtype=torch.float64) for value in (level, target))
        self.alpha, self.sigma = (float(part(self.level)) for part in (schedule.alpha, schedule.sigma))
        self.next_alpha, self.next_sigma = (float(part(self.target)) for part in (schedule.alpha, schedule.sigma))
        self.noisy_variance = self.alpha**2 * std**2 + self.sigma**2

    @property
    def posterior_variance(self) -> float:
        """Of the clean value given the noisy one."""
        return self.std**2 * self.sigma**2 / self.noisy_variance

    def clean(self, x: float) -> float:
        """Posterior mean of the clean value."""
        return MEAN + self.alpha * self.std**2 / self.noisy_variance * (x - self.alpha * MEAN)

    def step(self, x: float, clean: float, z: float) -> float:
        value = [torch.full((1, 1, 1), number, dtype=torch.float64) for number in (x, clean, z)]
        return float(denoise_step(value[0], value[1], self.level, self.target, self.schedule, self.eta, value[2]))


@both
@given(level=levels, share=shares, eta=etas, clean=st.floats(-3.0, 3.0))
def test_the_noise_on_a_known_chunk_has_the_law_of_the_target_level(
    schedule: NoiseSchedule, level: float, share: float, eta: float, clean: float
) -> None:
    """x' = alpha' a + k eps + f z with k^2 + f^2 = sigma'^2: any two levels, any eta, no Gaussian data needed."""
    jump = Jump(schedule, level, level * share, 0.0, eta)
    start = jump.alpha * clean
    mean = jump.step(start, clean, 0.0)
    kept = jump.step(start + jump.sigma, clean, 0.0) - mean
    fresh = jump.step(start, clean, 1.0) - mean
    assert mean == pytest.approx(jump.next_alpha * clean, abs=1e-12)
    assert kept**2 + fresh**2 == pytest.approx(jump.next_sigma**2, abs=1e-12)


@both
@given(level=levels, share=shares, eta=etas, std=st.floats(0.0, 2.0))
def test_a_jump_from_the_posterior_mean_loses_the_posterior_variance_and_nothing_else(
    schedule: NoiseSchedule, level: float, share: float, eta: float, std: float
) -> None:
    """With a = a_hat + d, d ~ N(0, V) independent of x, the true jump adds (alpha' - alpha k / sigma) d to this one.

    The true jump has the marginal N(alpha' m, alpha'^2 s^2 + sigma'^2); hence the mean is exact and the
    variance short by exactly (alpha' - alpha k / sigma)^2 V, which vanishes with the square of the step.
    """
    jump = Jump(schedule, level, level * share, std, eta)
    centre = jump.alpha * MEAN
    mean = jump.step(centre, jump.clean(centre), 0.0)
    slope = jump.step(centre + 1.0, jump.clean(centre + 1.0), 0.0) - mean
    fresh = jump.step(centre, jump.clean(centre), 1.0) - mean
    kept = (max(jump.next_sigma**2 - fresh**2, 0.0)) ** 0.5
    short = (jump.next_alpha - jump.alpha * kept / jump.sigma) ** 2 * jump.posterior_variance
    assert mean == pytest.approx(jump.next_alpha * MEAN, abs=1e-12)
    exact = jump.next_alpha**2 * std**2 + jump.next_sigma**2
    assert slope**2 * jump.noisy_variance + fresh**2 == pytest.approx(exact - short, rel=1e-9, abs=1e-12)


@both
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_twice_the_steps_halve_the_missing_variance(schedule: NoiseSchedule, eta: float) -> None:
    """N steps lose O(1/N^2) each, O(1/N) in all; the ratio tends to 2, within 10 % at these N."""
    missing = [0.3**2 - _variance_after(schedule, steps, 0.3, eta) for steps in (400, 800)]
    assert missing[1] > 0.0
    assert missing[0] / missing[1] == pytest.approx(2.0, rel=0.1)


def _variance_after(schedule: NoiseSchedule, steps: int, std: float, eta: float) -> float:
    """Variance at level 0 of a descent from the marginal at level 1."""
    variance = float(schedule.alpha(torch.ones(1)) ** 2 * std**2 + schedule.sigma(torch.ones(1)) ** 2)
    row = descend(torch.ones(1, dtype=torch.float64), steps).levels[0].tolist()
    for level, target in zip(row[:-1], row[1:], strict=True):
        jump = Jump(schedule, level, target, std, eta)
        still = jump.step(0.0, jump.clean(0.0), 0.0)
        slope = jump.step(1.0, jump.clean(1.0), 0.0) - still
        fresh = jump.step(0.0, jump.clean(0.0), 1.0) - still
        variance = slope**2 * variance + fresh**2
    return variance


@both
@given(level=levels, target=levels, eta=etas)
def test_noise_put_on_and_taken_off_leaves_the_chunk(
    schedule: NoiseSchedule, level: float, target: float, eta: float
) -> None:
    """A re-noised guess stepped to level 0 with itself as the estimate is itself, whatever level came between."""
    generator = torch.Generator().manual_seed(0)
    clean, noise, fresh = torch.randn((3, 2, 16, 4), generator=generator, dtype=torch.float64)
    high, low = (torch.full((2,), value, dtype=torch.float64) for value in (level, min(level, target)))
    x = noised(clean, high, schedule, noise)
    x = denoise_step(x, clean, high, low, schedule, eta, fresh)
    x = denoise_step(x, clean, low, torch.zeros_like(low), schedule, eta, fresh)
    torch.testing.assert_close(x, clean, atol=1e-9, rtol=0.0)


@both
@given(level=levels)
def test_re_noising_is_independent_per_particle_and_has_the_level_s_variance(
    schedule: NoiseSchedule, level: float
) -> None:
    """x = alpha a + sigma eps entry by entry: no mixing of particles, steps or dimensions."""
    at = torch.full((3,), level, dtype=torch.float64)
    clean, unit = torch.zeros(3, 16, 4, dtype=torch.float64), torch.zeros(3, 16, 4, dtype=torch.float64)
    unit[1, 5, 2] = 1.0
    for value, part in (
        (noised(unit, at, schedule, clean), schedule.alpha),
        (noised(clean, at, schedule, unit), schedule.sigma),
    ):
        assert float(value[1, 5, 2]) == float(part(at)[0])
        assert int((value != 0.0).sum()) <= 1
