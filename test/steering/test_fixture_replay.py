"""What a particle becomes is a function of the seed, the tick and its index; of no other particle."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from steering.worlds import SCHEDULES, Wish, begun, fan, mode_goal, observe, vary

from vls_steering.policies.base import NoiseSchedule
from vls_steering.steering import PRESETS
from vls_steering.steering.noise import TickNoise

both = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.name)


def chunks(name: str, schedule: NoiseSchedule, seed: int, ticks: int = 3) -> list[np.ndarray]:
    """Executed positions of the first ticks of a run."""
    policy = fan(1.0, 1.0, 1.0, schedule=schedule)
    pilot = begun(policy, vary(name), Wish(mode_goal(policy, 2)), seed)
    return [pilot.tick(observe(0.1 * tick)).chunk.positions for tick in range(ticks)]


@both
@pytest.mark.parametrize("name", PRESETS)
def test_a_seed_says_everything(name: str, schedule: NoiseSchedule) -> None:
    first, again, other = (chunks(name, schedule, seed) for seed in (7, 7, 8))
    assert np.array_equal(first, again)
    assert not any(np.array_equal(one, two) for one, two in zip(first, other, strict=True))


@given(seed=st.integers(0, 2**31), tick=st.integers(0, 10**6), few=st.integers(1, 40), more=st.integers(0, 40))
def test_a_particle_draws_the_same_numbers_whatever_k_is(seed: int, tick: int, few: int, more: int) -> None:
    small, large = (TickNoise.draw(seed, tick, particles, 4, 16, 4) for particles in (few, few + more))
    assert torch.equal(large.start[:few], small.start)
    assert torch.equal(large.restart[:few], small.restart)
    assert torch.equal(large.steps[:few], small.steps)


def test_ticks_and_seeds_draw_different_numbers() -> None:
    draws = [TickNoise.draw(seed, tick, 4, 4, 16, 4).start for seed in range(4) for tick in range(4)]
    assert not any(torch.equal(one, two) for index, one in enumerate(draws) for two in draws[:index])


@both
@pytest.mark.parametrize("mode", ["x0", "through"])
@pytest.mark.parametrize("eta", [0.0, 0.7])
def test_the_pull_on_a_particle_does_not_depend_on_how_many_there_are(
    schedule: NoiseSchedule, mode: str, eta: float
) -> None:
    """Bit for bit: a norm over the batch, as in VLS's release, would weaken it with K."""
    policy = fan(1.0, 1.0, 1.0, schedule=schedule)

    def candidates(particles: int, mode: str) -> np.ndarray:
        settings = vary("ours", particles=particles, eta=eta, guide={"mode": mode})
        return begun(policy, settings, Wish(mode_goal(policy, 2)), seed=3).tick(observe(0.0)).candidates

    sixteen = candidates(16, mode)
    assert np.abs(sixteen - candidates(16, "off")).max() > 0.01
    for particles in (1, 4):
        assert np.array_equal(candidates(particles, mode), sixteen[:particles])
