"""Feynman-Kac: when it looks, what it remembers and pays out, who stays where; laws: `test_fixture_resample.py`."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from vls_steering.policies.base import CosineSchedule, FlowSchedule
from vls_steering.steering.course import Move
from vls_steering.steering.initialise import Start
from vls_steering.steering.noise import TickNoise
from vls_steering.steering.resample import Look, Resampler, in_place
from vls_steering.steering.settings import ResampleSettings
from vls_steering.steering.swarm import Swarm

K = 8
ON_THE_WAY = Move(step=3, falls=True, settles=True, lands=False)
LAST = Move(step=9, falls=True, settles=True, lands=True)


def swarm(particles: int = K) -> Swarm:
    """Particle i is full of i."""
    number = torch.arange(particles, dtype=torch.float32)
    start = Start(
        x=number[:, None, None].expand(-1, 16, 4).clone(),
        level=torch.ones(particles),
        guess=number[:, None, None].expand(-1, 16, 4).clone(),
        warm=torch.ones(particles, dtype=torch.bool),
    )
    return Swarm.of(start, number[:, None].expand(-1, 5) / particles)


def noise(seed: int = 0, particles: int = K) -> TickNoise:
    return TickNoise.draw(seed, 0, particles, 4, 16, 4)


def resampler(eta: float = 1.0, **knobs: Any) -> Resampler:
    return Resampler(ResampleSettings.model_validate({"potential": "diff", **knobs}), eta, CosineSchedule())


def look(made: Resampler, at: Swarm, reward: Tensor, move: Move = ON_THE_WAY, seed: int = 0) -> Look:
    level = torch.full_like(reward, 0.5)
    return made.look(at, reward, level, 2, move, noise(seed, len(reward)))


@given(count=st.lists(st.integers(0, 5), min_size=1, max_size=20).filter(lambda counts: sum(counts) > 0))
def test_survivors_stay_where_they_are(count: list[int]) -> None:
    padded = torch.tensor(count + [0] * max(sum(count) - len(count), 0))
    missing = len(padded) - int(padded.sum())
    padded[0] += missing
    ancestors = in_place(padded)
    assert torch.equal(torch.bincount(ancestors, minlength=len(padded)), padded)
    survivors = padded > 0
    assert torch.equal(ancestors[survivors], torch.arange(len(padded))[survivors])


def test_equal_rewards_redraw_nobody() -> None:
    for move in (ON_THE_WAY, LAST):
        found = look(resampler(), swarm(), torch.ones(K), move)
        assert not found.resampled
        assert found.ess == pytest.approx(K)
        assert torch.equal(found.swarm.x, swarm().x)


@pytest.mark.parametrize("resampled_between", [True, False])
def test_diff_telescopes_to_the_law_of_the_last_reward(resampled_between: bool) -> None:
    """What was paid out plus what was not is b r of the last look, however often it was paid."""
    made = resampler(tilt="fixed", inverse_temperature=2.0, ess_target=0.99 if resampled_between else 0.01)
    at = swarm()
    for seed in range(3):
        reward = torch.randn(K, generator=torch.Generator().manual_seed(seed))
        found = look(made, at, reward, seed=seed)
        assert found.resampled is resampled_between
        earned = torch.where(torch.isneginf(found.swarm.memory), 0.0, found.swarm.memory)
        at = found.swarm
    if resampled_between:
        torch.testing.assert_close(at.spent, 2.0 * earned)
        assert not at.log_weight.any()
    else:
        torch.testing.assert_close(at.log_weight, 2.0 * reward.double())


@pytest.mark.parametrize("potential", ["max", "sum"])
def test_the_final_correction_leaves_the_law_of_the_last_reward(potential: str) -> None:
    """The last weights make all that was ever paid out, plus themselves, add up to b r."""
    made = resampler(potential=potential, tilt="fixed", inverse_temperature=2.0, ess_target=0.99, elites=0)
    at = look(made, swarm(), torch.randn(K, generator=torch.Generator().manual_seed(0))).swarm
    assert at.spent.any()
    reward = torch.randn(K, generator=torch.Generator().manual_seed(1))
    after = look(made, at, reward, LAST)
    assert after.resampled
    last = {round(float(value), 9) for value in 2.0 * reward.double()}
    assert {round(float(value), 9) for value in after.swarm.spent} <= last


def test_vls_s_correction_weighs_the_best_on_record_instead() -> None:
    """Whoever once was good stays good: the law depends on the way there."""
    knobs = {"potential": "max", "tilt": "fixed", "inverse_temperature": 2.0, "elites": 0}
    at = look(resampler(**knobs, ess_target=0.01), swarm(), torch.arange(K) * 1.0).swarm  # not resampled: nothing paid
    bad = torch.full((K,), -3.0)
    corrected = look(resampler(**knobs, correction="memory"), at, bad, LAST)
    expected = 2.0 * torch.arange(K, dtype=torch.float64)
    assert set(corrected.swarm.spent.tolist()) <= set(expected.tolist())
    assert not look(resampler(**knobs), at, bad, LAST).resampled  # by the last reward all are equally bad


@pytest.mark.parametrize("lands", [False, True])
def test_only_the_last_look_redraws_whatever_the_effective_size(lands: bool) -> None:
    """As VLS's code does: weights that differ by a hair are left alone on the way and drawn from at the end."""
    made = resampler(potential="max", tilt="fixed", inverse_temperature=10.0, scheme="multinomial", correction="memory")
    found = look(made, swarm(), 1e-4 * torch.arange(K), LAST if lands else ON_THE_WAY)
    assert found.ess > 0.99 * K
    assert found.resampled is lands


def test_max_remembers_the_best_and_sum_adds_up_and_rt_forgets() -> None:
    for potential, expected in (("max", 3.0), ("sum", 4.0), ("rt", 1.0)):
        made = resampler(potential=potential, tilt="fixed", inverse_temperature=0.0)
        at = swarm()
        for value in (0.0, 3.0, 1.0):
            at = look(made, at, torch.full((K,), value)).swarm
        assert at.memory.tolist() == [expected] * K


def test_large_rewards_are_told_apart() -> None:
    """exp(10 r) with a clamp ties all of them; in the log domain the best one takes all."""
    made = resampler(tilt="fixed", inverse_temperature=10.0)
    found = look(made, swarm(), 100.0 + torch.arange(K))
    assert found.ess == pytest.approx(1.0, abs=1e-3)
    assert set(found.swarm.lineage.tolist()) == {K - 1}


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_reward_that_is_not_a_number_is_replaced_and_poisons_nobody(broken: float) -> None:
    reward = torch.arange(K) * 0.01
    reward[2] = broken
    found = look(resampler(), swarm(), reward, LAST)
    assert found.resampled
    assert bool(found.swarm.alive.all())
    assert 2 not in found.swarm.lineage.tolist()
    assert bool(torch.isfinite(found.swarm.spent).all())


def test_nobody_fit_leaves_everything_as_it_is() -> None:
    found = look(resampler(), swarm(), torch.full((K,), math.nan))
    assert not found.resampled
    assert not found.swarm.alive.any()
    assert torch.equal(found.swarm.x, swarm().x)


@pytest.mark.parametrize(("eta", "jitter", "parts"), [(0.0, 0.5, True), (0.0, 0.0, False), (1.0, 0.5, False)])
def test_copies_part_by_jitter_where_the_steps_do_not_part_them(eta: float, jitter: float, parts: bool) -> None:
    found = look(resampler(eta=eta, jitter=jitter), swarm(), torch.tensor([0.0] * (K - 1) + [50.0])).swarm
    distinct = len({float(value) for value in found.x[:, 3, 1]})
    assert (distinct == K) is parts
    survivors = found.lineage == torch.arange(K)
    assert torch.equal(found.x[survivors], swarm().x[survivors])


def test_a_look_is_due_after_its_share_every_so_often_and_at_the_last_step() -> None:
    made = resampler(start=0.3, every=3)
    moves = [Move(step, falls=True, settles=True, lands=step == 9) for step in range(10)]
    assert [move.step for move in moves if made.due(move, 10)] == [3, 6, 9]
    assert not made.due(replace(moves[3], settles=False), 10)
    assert not any(resampler(potential="off").due(move, 10) for move in moves)


def test_a_copy_keeps_its_level_on_flow_schedules_too() -> None:
    made = Resampler(ResampleSettings(potential="diff"), 0.0, FlowSchedule())
    found = look(made, swarm(), torch.tensor([0.0] * (K - 1) + [50.0]))
    assert found.resampled
    torch.testing.assert_close(found.swarm.levels[:, 0] * K, found.swarm.lineage.float())
