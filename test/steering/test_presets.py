"""Every method of the benchmark is a set of knobs, and steers towards what the program wants."""

from __future__ import annotations

import pytest
from steering.worlds import Wish, begun, chosen_mode, fan, mode_goal, observe

from vls_steering.steering import PRESETS, preset

REWARDED = sorted(name for name, settings in PRESETS.items() if settings.steers)


@pytest.mark.parametrize("name", REWARDED)
def test_a_steered_method_reaches_one_of_three_modes_more_often_than_chance(name: str) -> None:
    """At 1/3, 20 draws reach 12 with p < .02, and 60 reach 29.

    The released one sees less than half of the way to the goal, and its best index is what its multinomial left over:
    it does not get as far above chance.
    """
    draws, needed = (60, 29) if name == "vls_released" else (20, 12)
    policy = fan(1.0, 1.0, 1.0)
    stage = Wish(mode_goal(policy, 2))
    hits = sum(
        chosen_mode(policy, begun(policy, preset(name), stage, seed).tick(observe(0.0))) == 2 for seed in range(draws)
    )
    assert hits >= needed


def test_warm_costs_a_quarter_of_cold_in_network_rows() -> None:
    warm, cold = preset("ours"), preset("ours_cold")
    assert 4 * warm.warm_steps * warm.particles <= cold.cold_steps * cold.particles
    assert warm.model_copy(update={"start": cold.start, "warm_steps": 16, "cold_steps": 16}) == cold


def test_rti_is_one_lineage_without_a_reward() -> None:
    policy = fan(1.0, 1.0, 1.0)
    pilot = begun(policy, preset("rti"), Wish(mode_goal(policy, 2)), seed=0)
    results = [pilot.tick(observe(0.1 * tick)) for tick in range(4)]
    assert [result.telemetry.network_rows for result in results] == [20, 2, 2, 2]
    assert [result.telemetry.warm for result in results] == [False, True, True, True]
    assert not any(result.telemetry.steered for result in results)
    assert len({chosen_mode(policy, result) for result in results}) == 1


def test_evolution_re_noises_and_chooses_again() -> None:
    policy = fan(1.0, 1.0, 1.0)
    telemetry = begun(policy, preset("diffusion_es"), Wish(mode_goal(policy, 2)), seed=0).tick(observe(0.0)).telemetry
    assert telemetry.nfe == 10 + 8 * 2
    assert telemetry.resamples == 9
