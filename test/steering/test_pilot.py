"""The pilot: a run replays, a reset forgets, a moved goal is followed at once, and holding is an answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from steering.worlds import SPACE, Wish, Wishes, begun, fan, mode_goal, observe, vary

from vls_steering.core.errors import ConfigurationError, StreamFault
from vls_steering.core.types import GRIPPER_OPEN_M, ChunkSource, Observation
from vls_steering.policies.analytic import GaussianMixture, MixturePolicy, make_fan
from vls_steering.rewards.rollout import Rollout, Scene
from vls_steering.steering import PRESETS, Pilot, SteeringSettings, TickResult, preset
from vls_steering.steering.ablations import ABLATIONS
from vls_steering.steering.chunks import hold_chunk, switched

TICKS = 5


def pilot(policy: MixturePolicy, stage: Wish | None, name: str = "ours", seed: int = 0) -> Pilot:
    made = Pilot(policy, preset(name), seed)
    made.set_program(None if stage is None else Wishes((stage,)))
    return made


def fly(made: Pilot, ticks: int, start: int = 0) -> list[TickResult]:
    return [made.tick(observe(0.1 * (start + tick))) for tick in range(ticks)]


def ends_at(policy: MixturePolicy, result: TickResult) -> int:
    """The mode that the executed chunk belongs to."""
    goals = torch.stack([mode_goal(policy, mode) for mode in range(len(policy.mixture.means))])
    end = torch.tensor(result.chunk.positions[-1], dtype=torch.float32)
    return int((goals - end).norm(dim=1).argmin())


@pytest.mark.parametrize("name", PRESETS)
def test_the_same_seed_gives_the_same_chunks(name: str) -> None:
    policy = fan(1.0, 1.0, 1.0)
    stage = Wish(mode_goal(policy, 2))
    first, again, other = (fly(pilot(policy, stage, name, seed), TICKS) for seed in (7, 7, 8))
    for one, two in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.chunk.positions, two.chunk.positions)
        np.testing.assert_array_equal(one.scores, two.scores)
    assert any((one.chunk.positions != two.chunk.positions).any() for one, two in zip(first, other, strict=True))


@pytest.mark.parametrize("name", PRESETS)
def test_a_reset_pilot_is_a_new_pilot(name: str) -> None:
    policy = fan(1.0, 1.0, 1.0)
    used = pilot(policy, Wish(mode_goal(policy, 2)), name)
    fresh = fly(used, TICKS)
    used.reset()
    for one, two in zip(fresh, fly(used, TICKS), strict=True):
        np.testing.assert_array_equal(one.chunk.positions, two.chunk.positions)
        assert one.telemetry.tick == two.telemetry.tick


def test_chunks_are_stamped_by_the_observation_and_point_down() -> None:
    result = pilot(fan(1.0, 1.0), None).tick(observe(3.25))
    assert result.chunk.stamp_s == 3.25
    np.testing.assert_allclose(result.chunk.times_s, 3.25 + 0.1 * np.arange(1, 17))
    np.testing.assert_array_equal(result.chunk.quats_xyzw, np.tile((1.0, 0.0, 0.0, 0.0), (16, 1)))
    assert set(result.chunk.gripper_widths_m) <= {0.0, GRIPPER_OPEN_M}


def test_without_a_program_nothing_is_steered() -> None:
    result = fly(pilot(fan(1.0, 1.0), None), 2)[-1]
    assert result.chunk.source is ChunkSource.UNSTEERED
    assert (result.telemetry.stages, result.telemetry.steered, result.telemetry.strength) == (0, False, 0.0)
    assert result.telemetry.shift_m == 0.0


def test_a_program_shows_in_chunk_and_telemetry() -> None:
    policy = fan(0.05, 0.475, 0.475)
    results = fly(pilot(policy, Wish(mode_goal(policy, 0), name="go left")), 5)
    chunk, telemetry = results[-1].chunk, results[-1].telemetry
    assert chunk.source is ChunkSource.STEERED
    assert chunk.program_sha256 == "f" * 64
    assert telemetry.stage_name == "go left"
    assert telemetry.steered
    assert telemetry.share_steered == 1.0
    assert telemetry.warm
    assert telemetry.shift_m > 0.0
    assert telemetry.nfe == preset("ours").warm_steps
    assert telemetry.network_rows == telemetry.nfe * preset("ours").particles
    assert set(telemetry.durations_ms) == {"encode", "denoise", "guide", "resample", "select", "total"}
    assert (
        sum(telemetry.durations_ms[key] for key in ("encode", "denoise", "guide", "resample", "select"))
        <= (telemetry.durations_ms["total"])
    )


def test_a_rare_mode_is_reached_on_the_first_tick() -> None:
    policy = fan(0.05, 0.475, 0.475)
    hits = [ends_at(policy, fly(pilot(policy, Wish(mode_goal(policy, 0)), seed=seed), 1)[0]) == 0 for seed in range(20)]
    assert sum(hits) == 20


def test_a_goal_that_jumps_after_warm_starts_is_followed_on_the_first_tick() -> None:
    policy = fan(1.0, 1.0, 1.0)
    for seed in range(10):
        stage = Wish(mode_goal(policy, 0))
        made = pilot(policy, stage, seed=seed)
        assert ends_at(policy, fly(made, 6)[-1]) == 0
        stage.goal = mode_goal(policy, 2)
        after = fly(made, 1, start=6)[0]
        assert after.telemetry.warm
        assert ends_at(policy, after) == 2


def modes_followed(policy: MixturePolicy, name: str, seed: int) -> set[int]:
    """Modes of the chunks of 12 ticks when the arm does what it is told."""
    made = pilot(policy, None, name, seed)
    tcp, modes = np.array([0.40, 0.0, 0.30]), set()
    goals = policy.mixture.means[:, -1, :3] * policy.action_space.position_scale_m[-1]
    for tick in range(12):
        chunk = made.tick(observe(0.1 * tick, tuple(tcp))).chunk
        modes.add(int((goals - torch.tensor(chunk.positions[-1] - tcp)).norm(dim=1).argmin()))
        tcp = chunk.positions[0]
    return modes


def test_unsteered_warm_starts_keep_to_one_mode_and_cold_ones_do_not() -> None:
    policy = make_fan(SPACE, reach_m=0.2, weights=(1.0, 1.0, 1.0))
    assert [len(modes_followed(policy, "base_warm", seed)) for seed in range(5)] == [1] * 5
    assert min(len(modes_followed(policy, "base", seed)) for seed in range(5)) >= 2


def test_when_nothing_keeps_clear_it_holds_where_it_is() -> None:
    policy = fan(1.0, 1.0)
    stage = Wish(mode_goal(policy, 1), wall_m=-0.5)
    made = pilot(policy, stage)
    stage.safety_now = lambda scene: math.inf  # type: ignore[method-assign]
    result = fly(made, 3)[-1]
    assert result.chunk.source is ChunkSource.HOLD
    assert result.chosen == -1
    assert not result.telemetry.steered
    assert "keeps clear" in result.telemetry.reason
    np.testing.assert_array_equal(result.chunk.positions, np.tile((0.40, 0.0, 0.30), (16, 1)))
    assert set(result.chunk.gripper_widths_m) == {GRIPPER_OPEN_M}


def test_it_moves_again_as_soon_as_something_keeps_clear() -> None:
    policy = fan(1.0, 1.0)
    stage = Wish(mode_goal(policy, 1), wall_m=0.005)
    made = pilot(policy, stage)
    fly(made, 2)
    stage.wall_m = math.inf
    assert fly(made, 1, start=2)[0].chunk.source is ChunkSource.STEERED


def test_a_wall_leaves_only_candidates_that_keep_clear() -> None:
    policy = fan(1.0, 1.0, 1.0)
    stage = Wish(mode_goal(policy, 2), wall_m=0.05)
    for result in fly(pilot(policy, stage), 5):
        if result.chunk.source is not ChunkSource.HOLD:
            assert result.chunk.positions[:, 1].max() <= 0.05 + 1e-6


def test_a_reward_that_is_never_a_number_holds_and_says_so() -> None:
    policy = fan(1.0, 1.0)
    result = fly(pilot(policy, Wish(mode_goal(policy, 0), spoil=lambda score: score * math.nan)), 1)[0]
    assert result.chunk.source is ChunkSource.HOLD
    assert "finite" in result.telemetry.reason


class _Blind(Wish):
    """Its object is not among the keypoints."""

    def score(self, rollout: Rollout, scene: Scene) -> torch.Tensor:
        raise StreamFault("the program needs 'red cube', which is not among the keypoints")


def test_an_object_that_is_not_seen_holds_and_names_it() -> None:
    policy = fan(1.0, 1.0)
    result = fly(pilot(policy, _Blind(torch.zeros(3))), 1)[0]
    assert result.chunk.source is ChunkSource.HOLD
    assert "red cube" in result.telemetry.reason


def test_a_finished_program_holds_with_the_gripper_as_commanded() -> None:
    policy = fan(1.0, 1.0)
    stage = Wish(mode_goal(policy, 0))
    made = pilot(policy, stage)
    fly(made, 1)
    stage.measured_done = True
    results = fly(made, 4, start=1)
    assert made.finished
    assert results[-1].chunk.source is ChunkSource.HOLD
    assert results[-1].telemetry.finished
    assert results[-1].telemetry.network_rows == 0


def test_a_clock_that_goes_back_starts_over() -> None:
    made = pilot(fan(1.0, 1.0), None)
    fly(made, 3, start=50)
    assert not fly(made, 1)[0].telemetry.warm


def test_a_stage_change_takes_more_steps_and_few_old_chunks() -> None:
    policy = fan(1.0, 1.0)
    stages = (Wish(mode_goal(policy, 0)), Wish(mode_goal(policy, 1)))
    made = Pilot(policy, preset("ours"), 0)
    made.set_program(Wishes(stages))
    fly(made, 6)
    stages[0].measured_done = True
    turned = next(r for r in fly(made, 5, start=6) if r.telemetry.stage == 1)
    assert turned.telemetry.nfe == preset("ours").cold_steps
    assert (turned.telemetry.levels < 1.0).sum() <= 3
    assert ends_at(policy, turned) == 1


def test_a_plan_that_the_observation_contradicts_is_given_up_within_the_tick() -> None:
    """The world moves the policy's only mode to the other side; a single warm lineage must follow."""
    both = make_fan(SPACE, reach_m=0.2, weights=(1.0, 1.0))
    sides = [GaussianMixture(torch.zeros(1), both.mixture.means[[m]], both.mixture.stds[[m]]) for m in (0, 1)]
    policy = MixturePolicy(sides[0], SPACE)
    made = pilot(policy, None, "base_warm")
    assert ends_at(both, fly(made, 4)[-1]) == 0
    policy.mixture = sides[1]
    after = fly(made, 1, start=4)[0]
    assert after.telemetry.warm
    assert after.telemetry.jumped == 1
    assert ends_at(both, after) == 1


def test_a_hand_that_does_not_move_is_started_from_noise_and_a_moving_one_is_not() -> None:
    policy = fan(1.0, 1.0)
    after = round(preset("base_warm").stall.after_s / 0.1)
    stuck = fly(pilot(policy, None, "base_warm"), after + 2)
    assert [tick for tick, result in enumerate(stuck) if not result.telemetry.warm] == [0, after]
    assert "stalled" in stuck[after].telemetry.reason
    made = pilot(policy, None, "base_warm")
    moving = [made.tick(observe(0.1 * tick, (0.40, 0.0, 0.30 + 0.031 * tick))) for tick in range(after + 2)]
    assert all(result.telemetry.warm for result in moving[1:])


def test_the_gripper_flips_only_when_it_is_clear() -> None:
    widths = np.array([0.07, 0.045, 0.035, 0.045, 0.03, 0.045, 0.05, 0.035])
    closed_after = switched(widths, opened=True)
    assert closed_after.tolist() == [0.08, 0.08, 0.08, 0.08, 0.0, 0.0, 0.08, 0.08]


def test_the_policy_sees_the_observations_up_to_now() -> None:
    seen: list[tuple[float, ...]] = []

    class Watching(MixturePolicy):
        def encode(self, observations: Sequence[Observation]) -> torch.Tensor:
            seen.append(tuple(o.stamp_s for o in observations))
            return super().encode(observations)

    plain = fan(1.0, 1.0)
    made = Pilot(Watching(plain.mixture, plain.action_space), preset("base_warm"), 0)
    fly(made, 3)
    assert seen == [(0.0,), (0.0, 0.1), (0.0, 0.1, 0.2)]


def test_a_stage_out_of_time_starts_anew_once_and_stays_in_the_telemetry() -> None:
    policy = fan(1.0, 1.0)
    results = fly(pilot(policy, Wish(mode_goal(policy, 0), deadline_s=0.35)), 8)
    assert [result.telemetry.overdue for result in results] == [False] * 4 + [True] * 4
    assert [tick for tick, result in enumerate(results) if "out of time" in result.telemetry.reason] == [4]
    assert [tick for tick, result in enumerate(results) if not result.telemetry.warm] == [0, 4]
    assert all(result.chunk.source is ChunkSource.STEERED for result in results)


def test_no_more_particles_are_drawn_than_were_found_to_help() -> None:
    policy = fan(1.0, 1.0)
    result = begun(policy, vary("ours", particles=20, k_cap=6), None, seed=0).tick(observe(0.0))
    assert len(result.candidates) == 6
    assert not vary("best_of_k", k_cap=1).steers


def test_a_choice_with_a_temperature_replays_and_varies_with_the_seed() -> None:
    policy = fan(1.0, 1.0, 1.0)
    settings = vary("best_of_k", select={"temperature": 5.0})

    def chosen(seed: int) -> list[int]:
        made = begun(policy, settings, Wish(mode_goal(policy, 2)), seed)
        return [result.chosen for result in fly(made, 6)]

    assert chosen(3) == chosen(3)
    best = [int(result.scores.argmax()) for result in fly(begun(policy, settings, Wish(mode_goal(policy, 2)), 3), 6)]
    assert chosen(3) != best


def test_what_is_odd_about_the_settings_is_said_on_the_first_tick_and_never_again() -> None:
    policy = fan(1.0, 1.0)
    settings = vary("fk", eta=0.0, resample={"jitter": 0.0})
    reasons = [result.telemetry.reason for result in fly(begun(policy, settings, Wish(mode_goal(policy, 0)), 0), 3)]
    assert "copies" in reasons[0]
    assert not any(reasons[1:])


def test_resampling_shows_in_the_telemetry() -> None:
    policy = fan(1.0, 1.0, 1.0)
    stage = Wish(mode_goal(policy, 2))
    resampling, plain = (begun(policy, vary(name), stage, 0).tick(observe(0.0)).telemetry for name in ("fk", "ours"))
    assert resampling.resamples > 0
    assert resampling.ess == pytest.approx(8.0, rel=0.02)
    assert resampling.durations_ms["resample"] > 0.0
    everybody = float(preset("ours").count)
    assert (plain.resamples, plain.ess, plain.durations_ms["resample"]) == (0, everybody, 0.0)


def test_settings_refuse_nonsense_and_presets_are_settings() -> None:
    with pytest.raises(ConfigurationError, match="unknown steering preset"):
        preset("magic")
    assert all(isinstance(settings, SteeringSettings) for settings in PRESETS.values())
    assert all(preset(name) != preset("ours") for name in ABLATIONS)
    assert not preset("base_warm").steers
    assert preset("best_of_k").steers


def test_what_is_planned_for_an_arm_that_stands_begins_when_it_arrives_and_later_chunks_when_they_were_seen() -> None:
    policy = fan(1.0, 1.0)
    made = pilot(policy, None)
    first, second = made.tick(observe(3.0), delay_s=0.3).chunk, made.tick(observe(3.1), delay_s=0.3).chunk
    np.testing.assert_allclose(first.times_s[0], 3.4)
    np.testing.assert_allclose(second.times_s[0], 3.2)
    assert (first.stamp_s, second.stamp_s) == (3.0, 3.1)


def test_a_chunk_that_was_cut_short_is_not_relied_upon() -> None:
    made = pilot(fan(1.0, 1.0), None)
    chunk = made.tick(observe(3.0), delay_s=0.3).chunk
    cut = {name: getattr(chunk, name)[:4] for name in ("times_s", "positions", "quats_xyzw", "gripper_widths_m")}
    made.commit(replace(chunk, **cut))
    result = made.tick(observe(3.8), delay_s=0.3)
    np.testing.assert_allclose(result.chunk.times_s[0], 4.2)
    assert result.telemetry.frozen == 0


HOME = (0.40, 0.0, 0.30)


def moving(seed: int = 0) -> tuple[Pilot, tuple[float, float, float]]:
    """A pilot of which the arm has followed three chunks, and where that has brought it at 0.3 s."""
    policy = fan(1.0, 1.0, 1.0)
    made, tcp = pilot(policy, Wish(mode_goal(policy, 0)), seed=seed), HOME
    for tick in range(3):
        tcp = tuple(made.tick(observe(0.1 * tick, tcp)).chunk.positions[0])
    return made, tcp


def test_an_arm_that_follows_its_chunk_goes_on_with_it() -> None:
    made, tcp = moving()
    result = made.tick(observe(0.3, tcp), delay_s=0.05)
    assert (result.telemetry.warm, result.telemetry.frozen) == (True, 1)
    np.testing.assert_allclose(result.chunk.times_s[0], 0.4)


@pytest.mark.parametrize("cause", ["told to hold", "away from its plan", "heard nothing for too long"])
def test_what_was_planned_before_a_stop_binds_nobody_after_it(cause: str) -> None:
    """Else the chunk would begin where the plan had the arm by now, and tear at it."""
    made, tcp = moving()
    at_s = 0.3
    if cause == "told to hold":
        here = observe(at_s, tcp)
        made.commit(hold_chunk(here, 16, True, 0.1, "", 0))
    elif cause == "away from its plan":
        tcp = (tcp[0], tcp[1], tcp[2] + 1.1 * preset("ours").start.max_miss_m)
    else:
        at_s += 1.1 * preset("ours").start.max_age_s
    result = made.tick(observe(at_s, tcp), delay_s=0.05)
    assert (result.telemetry.warm, result.telemetry.frozen) == (False, 0)
    np.testing.assert_allclose(result.chunk.times_s[0], at_s + 0.15)
    assert np.linalg.norm(result.chunk.positions[0] - tcp) < 0.05


def test_the_gripper_stays_as_it_was_told_when_a_plan_is_given_up() -> None:
    made, tcp = moving()
    told = made.tick(observe(0.3, tcp)).chunk
    closed = replace(told, gripper_widths_m=np.zeros_like(told.gripper_widths_m))
    made.commit(closed)
    away = observe(0.45, (tcp[0], tcp[1], tcp[2] + 0.2))
    assert away.robot.gripper_width_m == GRIPPER_OPEN_M
    made._remember(away)
    assert made._executed is not None
    assert set(made._executed.gripper_widths_m) == {0.0}


def test_steering_that_makes_no_difference_does_not_count_as_steering() -> None:
    """A reward that is the same for every chunk bends nothing and prefers none: a silent no-op must show."""
    policy = fan(1.0, 1.0, 1.0)
    flat = pilot(policy, Wish(mode_goal(policy, 0), spoil=lambda score: 0.0 * score))
    results = fly(flat, 3)
    assert not any(result.telemetry.steered for result in results)
    assert results[-1].telemetry.share_steered == 0.0


def test_a_particle_that_went_back_to_noise_has_no_claim_to_go_on() -> None:
    """The world puts the only mode elsewhere: nothing of the executed chunk is left, so no margin protects it."""
    both = make_fan(SPACE, reach_m=0.2, weights=(1.0, 1.0))
    sides = [GaussianMixture(torch.zeros(1), both.mixture.means[[m]], both.mixture.stds[[m]]) for m in (0, 1)]
    policy = MixturePolicy(sides[0], SPACE)
    settings = vary("ours", select={"lineage_margin": 10.0}, start={"jump_raise": 0.5, "jump_cold": 0.6})
    made = begun(policy, settings, Wish(mode_goal(both, 1)), 0)
    fly(made, 4)
    policy.mixture = sides[1]
    after = fly(made, 1, start=4)[0]
    assert after.telemetry.jumped > 0
    assert after.telemetry.levels[0] == 1.0
    assert after.scores[after.chosen] == after.scores.max()


class _Exact(Wish):
    """Knows of the first candidate only that its robustness is not a number."""

    asked = 0

    def least_robustness(self, rollout: Rollout, scene: Scene) -> torch.Tensor:
        self.asked += 1
        found = super().least_robustness(rollout, scene)
        return torch.where(torch.arange(len(found)) == 0, torch.nan, found)


def test_exact_robustness_is_asked_for_where_it_has_a_weight_and_what_is_none_is_out() -> None:
    policy = fan(1.0, 1.0, 1.0)
    for weight in (0.0, 1.0):
        stage = _Exact(mode_goal(policy, 0))
        result = begun(policy, vary("ours", select={"robustness_weight": weight}), stage, 0).tick(observe(0.0))
        assert stage.asked == (1 if weight else 0)
        assert np.isneginf(result.scores[0]) == bool(weight)
        assert result.chosen > 0 or not weight
