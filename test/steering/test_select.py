"""Selection: unsafe candidates are out, units do not matter, the lineage has a say, and nothing is an answer."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from vls_steering.steering.noise import TickNoise
from vls_steering.steering.select import (
    Candidates,
    LimitsScorer,
    OverlapScorer,
    RobustnessScorer,
    Selector,
    SmoothnessScorer,
    admissible,
    by_rank,
    by_zscore,
    gumbel,
    standard_scorers,
)
from vls_steering.steering.settings import SelectSettings

EVERYONE = torch.ones(4, dtype=torch.bool)


def candidates(reward: list[float], ok: Tensor | None = None, committed: Tensor | None = None) -> Candidates:
    """As many identical straight motions as rewards."""
    count = len(reward)
    tcp = torch.linspace(0.01, 0.16, 16)[None, :, None].expand(count, 16, 3).clone()
    allowed = torch.ones(count, dtype=torch.bool) if ok is None else ok
    return Candidates(tcp, torch.zeros(count, 16), torch.zeros(3), 0.1, allowed, torch.tensor(reward), committed)


def selector(**knobs: object) -> Selector:
    settings = SelectSettings.model_validate(knobs)
    return Selector(standard_scorers(settings), settings)


def test_the_best_reward_wins_and_the_order_follows() -> None:
    found = selector().select(candidates([-3.0, -1.0, -2.0]), None)
    assert found.chosen == 1
    assert found.order.tolist() == [1, 2, 0]


def test_inadmissible_candidates_are_out_however_good() -> None:
    found = selector().select(candidates([5.0, -1.0, math.nan], torch.tensor([False, True, False])), None)
    assert found.chosen == 1
    assert found.order.tolist() == [1]
    assert found.scores.tolist()[0] == -math.inf
    assert math.isfinite(found.scores[1])


def test_nothing_admissible_is_an_explicit_answer() -> None:
    assert selector().select(candidates([1.0, 2.0], torch.zeros(2, dtype=torch.bool)), 0).chosen is None


@pytest.mark.parametrize(("rival", "chosen"), [(-1.999, 0), (-0.5, 1)])
def test_the_lineage_stays_unless_a_rival_wins_by_a_margin(rival: float, chosen: int) -> None:
    rewards = [-2.0, rival, -5.0, -1.0 - 4.0]
    assert selector(lineage_margin=0.3).select(candidates(rewards), 0).chosen == chosen


def test_an_unsafe_lineage_has_no_say() -> None:
    found = selector(lineage_margin=10.0).select(candidates([0.0, -1.0], torch.tensor([False, True])), 0)
    assert found.chosen == 1


@pytest.mark.parametrize("combine", [by_zscore, by_rank])
def test_the_unit_of_a_score_does_not_matter(combine: object) -> None:
    assert callable(combine)
    scores = torch.tensor([0.2, 0.9, 0.4, 0.1])
    torch.testing.assert_close(combine(scores, EVERYONE, 0.0), combine(1000.0 * scores - 7.0, EVERYONE, 0.0))


@pytest.mark.parametrize("combine", [by_zscore, by_rank])
def test_differences_below_the_resolution_do_not_decide(combine: object) -> None:
    assert callable(combine)
    scores = torch.tensor([0.0, 1e-5, 2e-5, 0.0])
    assert float(combine(scores, EVERYONE, 1e-2).abs().max()) < 1e-2


def test_smoothness_limits_and_overlap_see_what_they_are_named_for() -> None:
    calm = candidates([0.0, 0.0], committed=torch.linspace(0.01, 0.16, 16)[:10, None].expand(10, 3))
    calm.tcp[1, 8:, 1] += 0.2
    for scorer in (SmoothnessScorer(), LimitsScorer(0.6), OverlapScorer()):
        scores = scorer.score(calm)
        assert scores[0] > scores[1], scorer.name
    assert float(LimitsScorer(0.6).score(calm)[0]) == 0.0


def test_the_gate_rejects_negative_robustness_and_what_is_not_a_number() -> None:
    alive = torch.tensor([True, True, True, True, False])
    reward = torch.tensor([0.0, 0.0, math.nan, 0.0, 0.0])
    safety_m = torch.tensor([0.01, -0.001, 0.01, math.nan, 0.01])
    assert admissible(alive, reward, safety_m, math.inf).tolist() == [True, False, False, False, False]


def test_inside_a_keep_out_the_way_out_is_open_and_the_way_in_is_not() -> None:
    safety_m = torch.tensor([-0.02, -0.031, 0.01])
    assert admissible(torch.ones(3, dtype=torch.bool), torch.zeros(3), safety_m, -0.03).tolist() == [True, False, True]


def test_a_temperature_draws_with_the_probabilities_of_the_scores() -> None:
    """exp(score / T), normalised: each share within 3 sigma of 4000 draws."""
    made, draws = selector(temperature=0.7, reward_weight=1.0, smoothness_weight=0.0), 4000
    field = candidates([0.0, 1.0, 2.0, 0.5])
    share = (made.select(field, None).scores / 0.7).softmax(0)
    counts = torch.zeros(4)
    for tick in range(draws):
        counts[made.select(field, None, gumbel(TickNoise.draw(0, tick, 1, 1, 1, 1), 4)).chosen] += 1
    assert bool(((counts / draws - share).abs() <= 3.0 * (share * (1.0 - share) / draws).sqrt()).all())


def test_a_drawn_choice_is_admissible_and_replays() -> None:
    made, field = selector(temperature=10.0), candidates([0.0, 9.0, 2.0], torch.tensor([True, False, True]))
    for tick in range(50):
        noise = TickNoise.draw(0, tick, 1, 1, 1, 1)
        chosen = made.select(field, None, gumbel(noise, 3)).chosen
        assert chosen in (0, 2)
        assert chosen == made.select(field, None, gumbel(noise, 3)).chosen


def test_by_memory_the_scorers_are_not_asked() -> None:
    field = replace(candidates([5.0, 1.0, 2.0]), memory=torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64))
    assert selector(choose="memory").select(field, None).chosen == 2
    unseen = replace(field, memory=torch.full((3,), -math.inf, dtype=torch.float64))
    assert selector(choose="memory").select(unseen, None).chosen == 0


def test_exact_robustness_can_have_a_say_of_its_own() -> None:
    """The smooth reward is only near the exact one: what meets the condition may earn a hair less."""
    field = replace(candidates([-1.0, -1.001]), robustness=torch.tensor([-0.4, 0.2]))
    assert selector().select(field, None).chosen == 0
    assert selector(robustness_weight=3.0).select(field, None).chosen == 1


def test_a_stage_without_conditions_has_no_robustness_to_prefer_by() -> None:
    for robustness in (None, torch.full((3,), math.inf)):
        field = replace(candidates([0.0, 1.0, 2.0]), robustness=robustness)
        assert RobustnessScorer().score(field).tolist() == [0.0, 0.0, 0.0]
