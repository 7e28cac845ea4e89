"""Feynman-Kac resampling: its law, its limits, and that it happens at all."""

from __future__ import annotations

import logging
import math
from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from steering.worlds import SCHEDULES, Wish, begun, fan, mode_goal, mode_of, normalised, observe, vary
from torch import Tensor

from vls_steering.policies.base import NoiseSchedule
from vls_steering.steering import PRESETS, TickResult, preset
from vls_steering.steering.course import Move
from vls_steering.steering.initialise import Start
from vls_steering.steering.noise import TickNoise
from vls_steering.steering.potentials import effective_size, tempered
from vls_steering.steering.resample import Look, Resampler, in_place, offspring, with_elites
from vls_steering.steering.settings import ResampleSettings
from vls_steering.steering.swarm import Swarm

DRAWS = 10_000
K = 12
REWARDS = torch.linspace(-1.5, 1.5, K, dtype=torch.float64)
both = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.name)
rewards = st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=24).map(lambda r: torch.tensor(r, dtype=torch.float64))


def positions(scheme: str, particles: int, generator: torch.Generator) -> Tensor:
    """Ascending in [0, 1): one comb with a random offset, or independent draws."""
    if scheme == "systematic":
        comb = torch.arange(particles, dtype=torch.float64)
        return (comb + torch.rand(1, generator=generator, dtype=torch.float64)) / particles
    return torch.rand(particles, generator=generator, dtype=torch.float64).sort().values


def look(settings: ResampleSettings, reward: Tensor, tick: int = 0, eta: float = 0.5) -> Look:
    """One look at particles at level .5, whose chunks are their own index."""
    particles = len(reward)
    own = torch.arange(particles, dtype=torch.float32)[:, None, None].expand(-1, 2, 4)
    start = Start(own, torch.full((particles,), 0.5), own, torch.zeros(particles, dtype=torch.bool))
    swarm = Swarm.of(start, torch.full((particles, 2), 0.5))
    noise = replace(TickNoise.draw(0, 0, particles, 1, 2, 4), key=(0, tick))
    resampler = Resampler(settings, eta, SCHEDULES[0])
    move = Move(step=0, falls=True, settles=True, lands=False)
    return resampler.look(swarm, reward, torch.full((particles,), 0.5), 0, move, noise)


def fixed(**knobs: object) -> ResampleSettings:
    """Weights exp(reward), always resampled."""
    plain = {"potential": "diff", "tilt": "fixed", "inverse_temperature": 1.0, "ess_target": 1.0, "elites": 0}
    return ResampleSettings.model_validate({**plain, **knobs})


@pytest.mark.parametrize("scheme", ["systematic", "multinomial"])
def test_a_particle_has_k_times_its_weight_offspring_on_average(scheme: str) -> None:
    """3 sigma of the mean of n = 10^4 draws.

    Multinomial numbers are Binomial(K, w): sigma = sqrt(K w (1 - w) / n).  Systematic ones are floor(K w) plus a
    Bernoulli of the fraction f of K w: sigma = sqrt(f (1 - f) / n), never more than half of the former here.
    """
    generator = torch.Generator().manual_seed(1)
    mean = sum(offspring(REWARDS, positions(scheme, K, generator)) for _ in range(DRAWS)) / DRAWS
    weight = REWARDS.softmax(dim=0)
    fraction = (K * weight).frac()
    variance = K * weight * (1.0 - weight) if scheme == "multinomial" else fraction * (1.0 - fraction)
    assert bool(((mean - K * weight).abs() <= 3.0 * (variance / DRAWS).sqrt()).all())


@pytest.mark.parametrize("scheme", ["systematic", "multinomial"])
def test_the_resampler_obeys_that_law(scheme: str) -> None:
    """The same with the resampler's own random numbers, n = 500 ticks, which bound sigma by the binomial one."""
    ticks = 500
    lineages = torch.stack([look(fixed(scheme=scheme), REWARDS, tick).swarm.lineage for tick in range(ticks)])
    mean = torch.bincount(lineages.flatten(), minlength=K) / ticks
    weight = REWARDS.softmax(dim=0)
    assert bool(((mean - K * weight).abs() <= 3.0 * (K * weight * (1.0 - weight) / ticks).sqrt()).all())


@given(reward=rewards, offset=st.floats(0.0, 0.999))
def test_systematic_numbers_are_k_times_the_weight_rounded_up_or_down(reward: Tensor, offset: float) -> None:
    particles = len(reward)
    count = offspring(reward, (torch.arange(particles, dtype=torch.float64) + offset) / particles)
    assert int(count.sum()) == particles
    assert bool(((count - particles * reward.softmax(dim=0)).abs() < 1.0 + 1e-9).all())


@given(reward=rewards, elites=st.integers(1, 4), seed=st.integers(0, 1000))
def test_the_elite_survives_at_the_cost_of_the_most_fertile(reward: Tensor, elites: int, seed: int) -> None:
    """The elitist variant is biased on purpose: a best particle without offspring is given one, another loses one.

    A multinomial draw of K = 10 drops a particle of weight 1/K in 35 % of cases; what was best would be lost.
    """
    flat = torch.zeros_like(reward)
    drawn = offspring(flat, positions("multinomial", len(reward), torch.Generator().manual_seed(seed)))
    kept = with_elites(drawn, reward, elites)
    assert int(kept.sum()) == len(reward)
    assert bool((kept[reward.topk(min(elites, len(reward))).indices] >= 1).all())
    assert int((kept - drawn).clamp_min(0).sum()) <= elites
    ancestors = in_place(kept)
    assert torch.equal(torch.bincount(ancestors, minlength=len(reward)), kept)
    assert bool((ancestors[kept > 0] == (kept > 0).nonzero().flatten()).all())


def test_all_that_a_particle_owns_moves_with_it() -> None:
    found = look(fixed(), REWARDS).swarm
    assert found.lineage.unique().numel() < K
    owned = {"x": found.x, "clean": found.clean, "raw": found.raw}
    assert {part.name for part in fields(Swarm)} > owned.keys()
    for value in owned.values():
        assert torch.equal(value[:, 0, 0], found.lineage.to(value.dtype))
    assert torch.equal(found.memory, REWARDS[found.lineage])


@given(reward=rewards, offset=st.floats(-1e4, 1e4), offspring_at=st.floats(0.0, 0.999))
def test_a_reward_of_any_offset_and_size_weighs_the_same(reward: Tensor, offset: float, offspring_at: float) -> None:
    """Only differences count; float64 holds them to 1e4 * 2^-52 = 2e-12, and no weight overflows."""
    size, moved = effective_size(reward), effective_size(reward + offset)
    assert 1.0 - 1e-9 <= float(size) <= len(reward) + 1e-9
    assert float(moved) == pytest.approx(float(size), rel=1e-9)
    at = positions("systematic", len(reward), torch.Generator().manual_seed(int(1e6 * offspring_at)))
    weight, shifted = reward.softmax(dim=0), (reward + offset).softmax(dim=0)
    torch.testing.assert_close(shifted, weight, atol=1e-9, rtol=0.0)
    assert int(offspring(reward + offset, at).sum()) == len(reward)


@given(reward=rewards.filter(lambda r: len(r) >= 4), share=st.floats(0.3, 0.9), offset=st.floats(-1e4, 1e4))
def test_tempering_meets_the_target_unless_too_many_are_equally_good(
    reward: Tensor, share: float, offset: float
) -> None:
    """Six rounds of sixteen narrow b to 1000 / gap / 16^6 = 6e-5 / gap, gap from the best to the target's place.

    d ln ESS / db = 2 (E_w[r] - E_w2[r]); both means lie within a few gaps of the best once the weights count, so the
    ESS is met to 1e-3.  Ties at the top above the target cannot be told apart by any temperature.
    """
    target = share * len(reward)
    base = torch.zeros_like(reward)
    b = tempered(base, reward + offset, 0.0, target)
    size = float(effective_size(b * (reward + offset)))
    best = reward.sort(descending=True).values
    if float(best[0] - best[math.ceil(target) - 1]) < 1e-6:
        assert size >= (1.0 - 1e-3) * target
    else:
        assert size == pytest.approx(target, rel=1e-3)
        assert tempered(base, reward * 7.0 + offset, 0.0, target) * 7.0 == pytest.approx(b, rel=1e-2, abs=1e-9)


def fk_tick(schedule: NoiseSchedule, seed: int, **changes: object) -> TickResult:
    """Resampling alone, no gradient: 16 particles, 10 steps; a quarter of the draws go where they should."""
    policy = fan(0.25, 0.375, 0.375, schedule=schedule)
    knobs = {"particles": 16, "cold_steps": 10, "eta": 0.5, "guide": {"mode": "off"}, **changes}
    return begun(policy, vary("ours", **knobs), Wish(mode_goal(policy, 0)), seed).tick(observe(0.0))


@both
@pytest.mark.parametrize("potential", ["diff", "max", "sum", "rt"])
def test_it_happens_on_both_schedules_with_every_potential_and_favours_the_wanted(
    schedule: NoiseSchedule, potential: str
) -> None:
    """Levels are floats, so it fires on flow, too.  Without it 192 particles: .25 + 3 sqrt(.25 * .75 / 192) = .34."""
    policy = fan(0.25, 0.375, 0.375, schedule=schedule)
    ticks = [fk_tick(schedule, seed, resample={"potential": potential}) for seed in range(12)]
    assert all(tick.telemetry.resamples > 0 for tick in ticks)
    assert all(1.0 <= tick.telemetry.ess <= 16.0 for tick in ticks)
    clean = torch.cat([torch.nn.functional.pad(normalised(tick).float(), (0, 1)) for tick in ticks])
    share = float((mode_of(policy, clean) == 0).float().mean())
    assert share > 0.34


@both
@pytest.mark.parametrize("name", [name for name in PRESETS if preset(name).resample.potential != "off"])
def test_every_preset_that_resamples_does_so_on_both_schedules(name: str, schedule: NoiseSchedule) -> None:
    policy = fan(1.0, 1.0, 1.0, schedule=schedule)
    result = begun(policy, vary(name), Wish(mode_goal(policy, 0)), seed=0).tick(observe(0.0))
    assert result.telemetry.resamples > 0


@both
def test_without_a_potential_nobody_looks(schedule: NoiseSchedule) -> None:
    telemetry = fk_tick(schedule, 0, resample={"potential": "off"}).telemetry
    assert (telemetry.resamples, telemetry.ess) == (0, 16.0)


def distinct(result: TickResult) -> int:
    return len({path.tobytes() for path in result.candidates})


@both
def test_copies_that_nothing_parts_are_announced_and_stay_copies(
    schedule: NoiseSchedule, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        result = fk_tick(schedule, 0, eta=0.0, resample={"potential": "diff", "jitter": 0.0})
    assert "eta 0" in caplog.text
    assert "eta 0" in result.telemetry.reason
    assert result.telemetry.resamples > 0
    assert distinct(result) < 16


@both
@pytest.mark.parametrize(("eta", "jitter"), [(0.0, 0.5), (0.5, 0.0)])
def test_jitter_or_a_stochastic_step_parts_the_copies_without_a_warning(
    schedule: NoiseSchedule, eta: float, jitter: float
) -> None:
    """Only copies made at the last level, where there is no noise left, remain."""
    parted = fk_tick(schedule, 0, eta=eta, resample={"potential": "diff", "jitter": jitter})
    alike = fk_tick(schedule, 0, eta=0.0, resample={"potential": "diff", "jitter": 0.0})
    assert distinct(parted) > distinct(alike)
    assert not parted.telemetry.reason


LAMBDA = 1.0  # per unit of reward (10 cm): moves the share of the wanted mode from .25 to about .55
SEEDS = range(8)


def shares(schedule: NoiseSchedule, potential: str, inverse_temperature: float) -> tuple[Tensor, Tensor]:
    """Share of the wanted mode per seed, (S,): as drawn, and with every candidate weighted by exp(LAMBDA reward)."""
    policy = fan(0.25, 0.375, 0.375, schedule=schedule)
    stage = Wish(mode_goal(policy, 0))
    plain, weighted = [], []
    for seed in SEEDS:
        result = fk_tick(
            schedule,
            seed,
            particles=400,
            cold_steps=12,
            eta=1.0,
            resample={
                "potential": potential,
                "tilt": "fixed",
                "inverse_temperature": inverse_temperature,
                # Redrawn at every look; the sum pays so much on the way that its correction leaves few particles.
                "ess_target": 0.5 if potential == "sum" else 1.0,
                "every": 3,
                "elites": 0,
            },
        )
        wanted = mode_of(policy, torch.nn.functional.pad(normalised(result).float(), (0, 1))) == 0
        ends = torch.from_numpy(result.candidates)[:, -1]
        weight = (-10.0 * LAMBDA * (ends - stage.goal).norm(dim=1)).softmax(dim=0)
        plain.append(wanted.double().mean())
        weighted.append((weight * wanted).sum())
    return torch.stack(plain), torch.stack(weighted)


@both
@pytest.mark.parametrize("potential", ["diff", "max", "sum"])
def test_whatever_the_way_there_the_law_is_the_tilted_one(schedule: NoiseSchedule, potential: str) -> None:
    """Against the same sampler without redrawing, its draws weighted by exp(LAMBDA r): unbiased but for 1 / K = .0025.

    Both sides are means over 8 seeds of 400 particles; 3 sigma of their difference by the spread over the seeds, which
    is below .025, so that the untilted law (.25), one tilted twice (`rt`: .91) and a collapse onto one particle, which
    spreads by .5 from seed to seed, are all far outside.
    """
    drawn, _ = shares(schedule, potential, LAMBDA)
    _, exact = shares(schedule, "off", 0.0)
    sigma = float(((drawn.var() + exact.var()) / len(drawn)).sqrt())
    assert sigma < 0.025
    assert abs(float(drawn.mean() - exact.mean())) <= 3.0 * sigma + 1.0 / 400
    assert 0.25 + 0.2 < float(exact.mean()) < 0.91 - 0.2


@both
def test_without_a_final_correction_the_law_is_tilted_further(schedule: NoiseSchedule) -> None:
    """`rt` pays at every look again for what it has paid for: strong, and not the law that was asked for."""
    drawn, _ = shares(schedule, "rt", LAMBDA)
    assert float(drawn.mean()) > 0.8
