"""Guidance: bounded, independent of the number of particles, and never poisoned by one of them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from steering.worlds import SPACE, Wish, begun, fan, mode_goal, mode_of, normalised, objective, observe, vary
from torch import Tensor

from vls_steering.core.clocks import ManualClock
from vls_steering.policies.analytic import GaussianMixture, MixturePolicy
from vls_steering.rewards.rollout import Rollout, Scene
from vls_steering.steering.course import make_course
from vls_steering.steering.deadline import Deadline
from vls_steering.steering.guide import Estimate, Estimator, Guided, Unguided
from vls_steering.steering.initialise import ColdStart
from vls_steering.steering.noise import TickNoise
from vls_steering.steering.sampler import Query, Sampler, Samples
from vls_steering.steering.settings import GuideSettings, SteeringSettings
from vls_steering.steering.stopwatch import Stopwatch

OBSERVATION = observe(0.0)


def sample(
    policy: MixturePolicy, guide: Estimator, particles: int, steps: int, stop_late: float = 0.3, eta: float = 0.0
) -> Samples:
    """One cold tick."""
    query = Query(
        stamp_s=0.0,
        encoding=policy.encode([OBSERVATION]),
        anchor=torch.tensor(OBSERVATION.robot.tcp_position, dtype=torch.float32),
        objective=None,
        strength_share=1.0,
        plan=None,
        turned=False,
        course=make_course([1] * steps),
        noise=TickNoise.draw(3, 0, particles, steps, 16, 4),
        deadline=Deadline(ManualClock(), math.inf),
    )
    guided_steps = math.ceil(steps * (1.0 - stop_late))
    sampler = Sampler(policy, ColdStart(), SteeringSettings(eta=eta))
    return sampler.sample(query, lambda step: guide if step < guided_steps else Unguided(), None, Stopwatch())


def guided(stage: Wish, share: float = 1.0, **knobs: object) -> Guided:
    return Guided(objective(stage, OBSERVATION), 80.0 * share, share, GuideSettings.model_validate(knobs))


def test_a_rare_mode_is_found_by_guidance_and_not_by_choosing_at_equal_rows() -> None:
    """One particle of 8 steps against best of 4 at 2 steps each is 8 rows against 8; best of 4 at 8 steps is 32."""
    policy = fan(0.05, 0.475, 0.475)
    stage = Wish(mode_goal(policy, 0))
    pulled = float((mode_of(policy, sample(policy, guided(stage), 256, 8).clean) == 0).float().mean())
    drawn = float((mode_of(policy, sample(policy, Unguided(), 256, 8).clean) == 0).float().mean())
    best_of_four = 1.0 - (1.0 - drawn) ** 4
    assert drawn == pytest.approx(0.05, abs=0.04)
    assert pulled > 0.8
    assert pulled > best_of_four + 0.5


def test_a_satisfied_reward_pulls_nowhere() -> None:
    policy = fan(1.0, 1.0)
    stage = Wish(torch.zeros(3), spoil=lambda score: score.clamp(max=-1e9) * 0.0)
    torch.testing.assert_close(sample(policy, guided(stage), 8, 4).clean, sample(policy, Unguided(), 8, 4).clean)


def test_a_particle_does_not_notice_how_many_others_there_are() -> None:
    policy = fan(1.0, 1.0, 1.0)
    stage = Wish(mode_goal(policy, 2))
    few, many = sample(policy, guided(stage), 2, 6, eta=0.5), sample(policy, guided(stage), 32, 6, eta=0.5)
    torch.testing.assert_close(many.clean[:2], few.clean, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(many.shift_m[:2], few.shift_m, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_a_broken_reward_on_one_particle_leaves_the_others_bit_identical(poison: float) -> None:
    policy = fan(1.0, 1.0, 1.0)
    third = torch.arange(8) == 3
    factor = torch.where(third, poison, 1.0)
    broken = Wish(mode_goal(policy, 2), spoil=lambda score: score * factor)
    healthy = sample(policy, guided(Wish(mode_goal(policy, 2))), 8, 6)
    found = sample(policy, guided(broken), 8, 6)
    assert found.alive.tolist() == [True] * 3 + [False] + [True] * 4
    assert torch.equal(found.clean[~third], healthy.clean[~third])
    assert bool(torch.isfinite(found.clean).all())


class _Cliff(Wish):
    """Finite everywhere, with a gradient that is not a number on the first particle."""

    def score(self, rollout: Rollout, scene: Scene) -> Tensor:
        score = super().score(rollout, scene)
        return torch.cat([(score[:1] - score[:1].detach()).sqrt() + score[:1].detach(), score[1:]])


def test_a_gradient_that_is_not_a_number_drops_its_particle_only() -> None:
    policy = fan(1.0, 1.0, 1.0)
    found = sample(policy, guided(_Cliff(mode_goal(policy, 2))), 4, 4)
    healthy = sample(policy, guided(Wish(mode_goal(policy, 2))), 4, 4)
    assert not bool(found.alive[0])
    assert torch.equal(found.clean[1:], healthy.clean[1:])


@given(level=st.floats(0.05, 1.0), clip=st.floats(0.0, 2.0), trust=st.floats(0.0, 0.5), share=st.floats(0.0, 1.0))
@settings(deadline=None, max_examples=40)
def test_no_step_moves_further_than_clip_and_trust_region(
    level: float, clip: float, trust: float, share: float
) -> None:
    policy = fan(1.0, 1.0)
    levels = torch.full((6,), level)
    alpha, sigma = policy.schedule.alpha(levels), policy.schedule.sigma(levels)
    guide = guided(Wish(torch.tensor([2.0, 2.0, 2.0])), share, clip_sigma=clip, trust_m=trust)
    x = torch.randn(6, 16, 4, generator=torch.Generator().manual_seed(0))
    found = guide.estimate(lambda noisy: policy.predict_clean(torch.zeros(1, 0), noisy, levels), x, alpha, sigma)
    shift = found.clean - found.raw
    assert bool((shift.norm(dim=2).amax(dim=1) <= share * clip * sigma + 1e-5).all())
    metres = (SPACE.decode(found.clean, torch.zeros(3))[0] - SPACE.decode(found.raw, torch.zeros(3))[0]).norm(dim=2)
    assert float(metres.max()) <= trust + 1e-5


def test_stop_late_at_one_is_no_guidance() -> None:
    policy = fan(1.0, 1.0)
    stage = Wish(mode_goal(policy, 1))
    plain = sample(policy, Unguided(), 4, 4).clean
    torch.testing.assert_close(sample(policy, guided(stage), 4, 4, stop_late=1.0).clean, plain)


class _Gripper(Wish):
    """Wants the gripper closed; says nothing about the motion."""

    def score(self, rollout: Rollout, scene: Scene) -> Tensor:
        return -rollout.gripper_width.mean(dim=1) / 0.08


@pytest.mark.parametrize(("gripper", "moves"), [(True, True), (False, False)])
def test_a_gripper_intent_moves_the_gripper_alone_unless_masked(gripper: bool, moves: bool) -> None:
    policy = fan(1.0, 1.0)
    levels = torch.full((4,), 0.6)
    guide = guided(_Gripper(torch.zeros(3)), gripper=gripper)
    x = torch.randn(4, 16, 4, generator=torch.Generator().manual_seed(0))
    found = guide.estimate(
        lambda noisy: policy.predict_clean(torch.zeros(1, 0), noisy, levels),
        x,
        policy.schedule.alpha(levels),
        policy.schedule.sigma(levels),
    )
    shift = found.clean - found.raw
    assert not shift[..., :3].any()
    assert bool(shift[..., 3].lt(0).all()) is moves


class _Quadratic(Wish):
    """`-1/2 sum (a - goal)^2` over normalised positions: the tilted law is known exactly."""

    def score(self, rollout: Rollout, scene: Scene) -> Tensor:
        offset = (rollout.tcp - scene.tcp) / torch.tensor(SPACE.position_scale_m)[:, None]
        return -0.5 * (offset - 1.0).square().sum(dim=(1, 2))


def test_guidance_through_the_network_samples_the_tilted_mean_of_gaussian_data() -> None:
    std, strength = 0.3, 8.0
    means = torch.zeros(1, 16, 4)
    policy = MixturePolicy(GaussianMixture(torch.zeros(1), means, torch.full_like(means, std)), SPACE)
    knobs = GuideSettings(mode="through", clip_sigma=10.0, trust_m=1.0, mode_std=std)
    guide = Guided(objective(_Quadratic(torch.zeros(3)), OBSERVATION), strength, 1.0, knobs)
    found = sample(policy, guide, 256, 60, stop_late=0.0).clean[..., :3]
    exact = strength * std**2 / (1.0 + strength * std**2)
    assert float(found.mean()) == pytest.approx(exact, abs=0.02)


def at_level(policy: MixturePolicy, guide: Guided, level: float, particles: int = 6) -> Estimate:
    """One estimate of `particles` noisy chunks."""
    levels = torch.full((particles,), level)
    return guide.estimate(
        lambda noisy: policy.predict_clean(torch.zeros(1, 0), noisy, levels),
        torch.randn(particles, 16, 4, generator=torch.Generator().manual_seed(0)),
        policy.schedule.alpha(levels),
        policy.schedule.sigma(levels),
    )


FREE = {"damping": "none", "clip_sigma": 10.0, "trust_m": 1.0}  # nothing that would bound the shift


def test_both_paths_add_up_with_their_weights() -> None:
    """Small strength, so that no bound binds: the shift is linear in mu and rho."""
    policy = fan(1.0, 1.0)
    stage = objective(Wish(mode_goal(policy, 1)), OBSERVATION)

    def shift(**knobs: object) -> Tensor:
        found = at_level(policy, Guided(stage, 1e-3, 1.0, GuideSettings.model_validate({**FREE, **knobs})), 0.5)
        return found.clean - found.raw

    direct, through = shift(mode="x0"), shift(mode="through")
    assert direct.norm() > 0.0
    assert through.norm() > 0.0
    torch.testing.assert_close(shift(mode="both", mu=0.5, rho=2.0), 0.5 * direct + 2.0 * through, atol=1e-6, rtol=1e-3)


def test_inner_steps_climb_further_and_stay_within_the_bounds() -> None:
    policy = fan(1.0, 1.0)
    stage = objective(Wish(mode_goal(policy, 1)), OBSERVATION)
    rewards = []
    for n_iter in (1, 4):
        knobs = GuideSettings(damping="none", n_iter=n_iter, clip_sigma=0.5)
        found = at_level(policy, Guided(stage, 0.02, 1.0, knobs), 0.5)
        rewards.append(float(stage.score(found.clean).mean()))
        sigma = float(policy.schedule.sigma(torch.tensor(0.5)))
        assert float((found.clean - found.raw).norm(dim=2).max()) <= 0.5 * sigma + 1e-5
    assert rewards[1] > rewards[0]


class _Step(Wish):
    """1 beyond a wall in y and 0 before it: no gradient anywhere."""

    def score(self, rollout: Rollout, scene: Scene) -> Tensor:
        y = rollout.tcp[:, -1, 1]
        return (y > 0.01).to(y) + 0.0 * y


def test_a_blurred_reward_is_the_mean_of_its_exponential() -> None:
    """gamma turns r into log E exp(strength r) / strength over chunks blurred by gamma sigma."""
    stage = objective(_Step(torch.zeros(3)), OBSERVATION)
    nudges = torch.randn(4000, 16, 4, generator=torch.Generator().manual_seed(0))
    guide = Guided(stage, 3.0, 1.0, GuideSettings(gamma=0.5), nudges)
    clean, sigma = torch.zeros(1, 16, 4), torch.full((1,), 0.8)
    found = float(guide._score(clean, sigma))
    width = 0.5 * 0.8 * SPACE.position_scale_m[-1]
    beyond = 0.5 * math.erfc(0.01 / width / math.sqrt(2.0))
    assert found == pytest.approx(math.log(1.0 - beyond + beyond * math.exp(3.0)) / 3.0, abs=0.02)


def test_a_blur_is_the_same_for_every_particle_and_changes_nothing_at_zero() -> None:
    policy = fan(1.0, 1.0)
    stage = objective(Wish(mode_goal(policy, 1)), OBSERVATION)
    nudges = torch.randn(8, 16, 4, generator=torch.Generator().manual_seed(1))
    few, many = (
        at_level(policy, Guided(stage, 80.0, 1.0, GuideSettings(gamma=0.3), nudges), 0.5, count).clean
        for count in (2, 6)
    )
    torch.testing.assert_close(few, many[:2], atol=1e-5, rtol=1e-5)
    plain = at_level(policy, Guided(stage, 80.0, 1.0, GuideSettings()), 0.5).clean
    assert torch.equal(at_level(policy, Guided(stage, 80.0, 1.0, GuideSettings(), nudges), 0.5).clean, plain)


def test_repeated_visits_cost_evaluations_on_the_guided_steps_alone() -> None:
    policy = fan(1.0, 1.0, 1.0)
    settings = vary("mpgd", cold_steps=10, guide={"n_recur": 3, "start": 0.3, "stop_late": 0.2})
    telemetry = begun(policy, settings, Wish(mode_goal(policy, 2)), seed=0).tick(observe(0.0)).telemetry
    assert telemetry.nfe == 3 + 5 * 3 + 2


def test_repeated_visits_find_a_rare_mode_more_often() -> None:
    """By more than 2 sigma of the difference of two shares of 256 draws."""
    policy = fan(0.05, 0.475, 0.475)
    hits = []
    for visits in (1, 4):
        settings = vary("mpgd", particles=256, guide={"n_recur": visits, "smoothing_steps": 2.0})
        found = normalised(begun(policy, settings, Wish(mode_goal(policy, 0)), seed=0).tick(observe(0.0)))
        nearest = (found[:, None] - policy.mixture.means[None, ..., :3]).square().mean(dim=(2, 3)).argmin(dim=1)
        hits.append(float((nearest == 0).float().mean()))
    assert hits[1] - hits[0] > 2.0 * math.sqrt(2.0 * 0.25 / 256)
