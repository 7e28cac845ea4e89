"""VLS as its released code behaves: what the benchmark compares with must really be that."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from steering.worlds import SPACE, Wish, begun, fan, mode_goal, objective, observe, vary

from vls_steering.bench.suites import PLAN_EVERY_S
from vls_steering.policies.base import CosineSchedule
from vls_steering.rewards.rollout import Rollout, Scene
from vls_steering.steering import preset
from vls_steering.steering.released import NoisySampleGuided

OBSERVATION = observe(0.0)
SCHEDULE = CosineSchedule()
LEVEL = torch.full((8,), 0.5)
ALPHA, SIGMA = SCHEDULE.alpha(LEVEL), SCHEDULE.sigma(LEVEL)


def noisy_chunks(particles: int) -> torch.Tensor:
    return torch.randn(particles, 16, 4, generator=torch.Generator().manual_seed(0))


def guided(limit: float = 0.0) -> NoisySampleGuided:
    return NoisySampleGuided(objective(Wish(mode_goal(fan(1.0, 1.0), 1)), OBSERVATION), 80.0, limit)


def test_the_gradient_is_that_of_the_noisy_sample_and_ignores_the_estimate() -> None:
    x = noisy_chunks(8)
    shifts = []
    for estimate in (0.0, 1.0):
        found = guided().estimate(lambda noisy, value=estimate: torch.full_like(noisy, value), x, ALPHA, SIGMA)
        shifts.append(found.clean - found.raw)
    torch.testing.assert_close(shifts[0], shifts[1], atol=1e-4, rtol=1e-4)
    assert not shifts[0][..., 3].any()


@pytest.mark.parametrize("particles", [1, 4, 8])
def test_the_norm_is_that_of_the_whole_batch(particles: int) -> None:
    """In total it pulls equally hard whatever K is, so each particle less and less."""
    found = guided().estimate(torch.zeros_like, noisy_chunks(particles), ALPHA[:particles], SIGMA[:particles])
    expected = float(80.0 * SIGMA[0] ** 2 / ALPHA[0])
    assert float((found.clean - found.raw).norm()) == pytest.approx(expected, rel=1e-3)


def test_the_estimate_is_clipped_as_the_scheduler_does() -> None:
    found = guided(limit=0.5).estimate(torch.ones_like, noisy_chunks(8), ALPHA, SIGMA)
    assert float(found.clean.abs().max()) <= 0.5


def test_the_preset_is_the_released_configuration() -> None:
    settings = preset("vls_released")
    assert (settings.particles, settings.cold_steps, settings.eta, settings.start.mode) == (10, 100, 1.0, "cold")
    assert (settings.guide.mode, settings.diversity.kernel) == ("noisy", "inverse_distance")
    resample = settings.resample
    assert (resample.potential, resample.tilt, resample.inverse_temperature) == ("max", "fixed", 10.0)
    assert (resample.every, resample.ess_target, resample.scheme, resample.elites) == (5, 0.5, "multinomial", 0)
    assert (resample.judged, resample.correction, resample.carry) == ("noisy", "memory", 0.0)
    assert (settings.select.choose, settings.select.gate_s) == ("memory", 0.0)


def test_of_the_steps_that_are_executed_the_reward_sees_all_but_the_last() -> None:
    """The released code cuts positions 1 to n - 1 out of a path that begins with the measured hand: n - 1 steps."""
    settings, executed = preset("vls_released"), round(PLAN_EVERY_S["vls_released"] / SPACE.step_s)
    assert round(settings.reward_s / SPACE.step_s) == executed - 1
    assert round(settings.diversity.path_s / SPACE.step_s) == executed


def test_what_the_reward_does_not_see_is_not_bent() -> None:
    class EveryStep(Wish):
        def score(self, rollout: Rollout, scene: Scene) -> torch.Tensor:
            return -rollout.tcp.square().sum(dim=(1, 2))

    whole = objective(EveryStep(torch.zeros(3)), OBSERVATION)
    part = replace(whole, reward_s=preset("vls_released").reward_s)
    x = noisy_chunks(4)
    moved = x.clone()
    moved[:, 7:] += 1.0
    torch.testing.assert_close(part.score(moved), part.score(x))
    assert bool((whole.score(moved) != whole.score(x)).all())
    found = NoisySampleGuided(part, 80.0, 0.0).estimate(torch.zeros_like, x, ALPHA[:4], SIGMA[:4])
    shift = found.clean - found.raw
    assert bool((shift[:, :7, :3] != 0.0).all())
    assert not shift[:, 7:].any()


def test_it_executes_the_best_on_record_and_looks_every_five_steps_of_the_guided_ones() -> None:
    policy = fan(1.0, 1.0, 1.0)
    stage = Wish(mode_goal(policy, 2), wall_m=-1.0)  # no candidate keeps clear of that, and nobody asks
    result = begun(policy, vary("vls_released"), stage, seed=0).tick(observe(0.0))
    assert result.chosen == int(result.scores.argmax())
    assert result.telemetry.nfe == 100
    assert result.telemetry.network_rows == 1000
    assert 1 <= result.telemetry.resamples <= 15


def test_a_tick_hands_the_reward_no_more_than_the_preset_says() -> None:
    seen: set[int] = set()

    class Noted(Wish):
        def score(self, rollout: Rollout, scene: Scene) -> torch.Tensor:
            seen.add(rollout.tcp.shape[1])
            return super().score(rollout, scene)

    policy = fan(1.0, 1.0)
    begun(policy, vary("vls_released", cold_steps=10), Noted(mode_goal(policy, 1)), seed=0).tick(observe(0.0))
    assert seen == {7}
