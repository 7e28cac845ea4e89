"""A deadline may fall at any step of any tick: a valid chunk goes out, and the telemetry says that it was cut short."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from steering.worlds import SCHEDULES, Wish, Wishes, chosen_mode, fan, mode_goal, observe, vary
from torch import Tensor

from vls_steering.core.clocks import ManualClock
from vls_steering.core.types import ActionChunk, ChunkSource, Observation
from vls_steering.policies.analytic import MixturePolicy
from vls_steering.policies.base import NoiseSchedule
from vls_steering.steering import Pilot, TickResult

COLD_STEPS, WARM_STEPS = 8, 4
PASS_MS = 10.0
both = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.name)


class Slow:
    """The fan on a clock of its own: a network pass takes 10 ms, reading the observation what the test says."""

    def __init__(self, policy: MixturePolicy) -> None:
        self._policy = policy
        self.name, self.sha256 = policy.name, policy.sha256
        self.action_space, self.schedule, self.mixture = policy.action_space, policy.schedule, policy.mixture
        self.clock = ManualClock()
        self.reading_ms = 0.0

    def encode(self, observations: Sequence[Observation]) -> Tensor:
        self.clock.advance(1e-3 * self.reading_ms)
        return self._policy.encode(observations)

    def predict_clean(self, encoding: Tensor, x: Tensor, level: Tensor) -> Tensor:
        self.clock.advance(1e-3 * PASS_MS)
        return self._policy.predict_clean(encoding, x, level)


def reading_ms(steps: int, budget_ms: float) -> float:
    """How long reading must take for exactly `steps` passes to fit: the next one would end 5 ms too late.

    Before the first step there is no telling how long one takes, so only a spent budget prevents it.
    """
    return budget_ms - PASS_MS * steps - (0.5 * PASS_MS if steps else 0.0)


def run(schedule: NoiseSchedule, fitting: Sequence[int], budget_ms: float = 200.0) -> tuple[Slow, list[TickResult]]:
    """One tick per entry of `fitting`, which says how many passes have time."""
    policy = Slow(fan(1.0, 1.0, 1.0, schedule=schedule))
    settings = vary(
        "ours", particles=5, cold_steps=COLD_STEPS, warm_steps=WARM_STEPS, recovery_ticks=1, deadline_ms=budget_ms
    )
    pilot = Pilot(policy, settings, seed=4, clock=policy.clock)
    pilot.set_program(Wishes((Wish(mode_goal(policy, 2)),)))
    results = []
    for tick, steps in enumerate(fitting):
        policy.reading_ms = reading_ms(steps, budget_ms) if budget_ms else 0.0
        results.append(pilot.tick(observe(0.1 * tick)))
    return policy, results


def assert_valid(chunk: ActionChunk, stamp_s: float) -> None:
    """Finite, timed from the observation, and no further out than the policy goes (.17 m and 3 sigma of .016 m)."""
    assert chunk.stamp_s == stamp_s
    np.testing.assert_allclose(chunk.times_s, stamp_s + 0.1 * np.arange(1, 17))
    assert np.isfinite(chunk.positions).all()
    assert np.linalg.norm(chunk.positions - [0.40, 0.0, 0.30], axis=1).max() < 0.22


@both
@pytest.mark.parametrize("steps", range(1, COLD_STEPS))
def test_a_cold_tick_cut_short_at_any_step_steers_with_what_there_is(schedule: NoiseSchedule, steps: int) -> None:
    _, (result,) = run(schedule, [steps])
    assert_valid(result.chunk, 0.0)
    assert result.telemetry.nfe == steps
    assert result.chunk.source is ChunkSource.STEERED
    assert f"deadline at step {steps} of {COLD_STEPS}" in result.telemetry.reason
    assert result.telemetry.cut_short == 1


@both
def test_the_longer_a_cold_tick_lasts_the_nearer_its_chunk_comes(schedule: NoiseSchedule) -> None:
    """What goes out is the network's estimate; the guided one is 17 cm off half way, until the guidance stops."""
    policy = fan(1.0, 1.0, 1.0)
    off = [run(schedule, [steps])[1][0].chunk.positions[-1] - mode_goal(policy, 2).numpy() for steps in (1, 2, 4, 6)]
    distance = np.linalg.norm(off, axis=1)
    assert (np.diff(distance) < 0.0).all()
    assert distance[-1] < 3.0 * 0.016


@both
def test_a_cold_tick_without_time_for_one_step_holds(schedule: NoiseSchedule) -> None:
    _, (result,) = run(schedule, [0])
    assert_valid(result.chunk, 0.0)
    assert result.chunk.source is ChunkSource.HOLD
    assert "deadline" in result.telemetry.reason
    assert result.telemetry.cut_short == 1


@both
@pytest.mark.parametrize("steps", range(1, WARM_STEPS))
def test_a_warm_tick_cut_short_at_any_step_keeps_to_the_mode(schedule: NoiseSchedule, steps: int) -> None:
    policy, results = run(schedule, [COLD_STEPS, steps, WARM_STEPS])
    for tick, result in enumerate(results):
        assert_valid(result.chunk, 0.1 * tick)
        assert chosen_mode(policy, result) == 2
    assert [result.telemetry.nfe for result in results] == [COLD_STEPS, steps, WARM_STEPS]
    assert [bool(result.telemetry.reason) for result in results] == [False, True, False]
    assert f"deadline at step {steps} of {WARM_STEPS}" in results[1].telemetry.reason
    assert results[-1].telemetry.cut_short == 1


@both
def test_a_warm_tick_without_time_for_one_step_goes_on_with_the_last_chunk(schedule: NoiseSchedule) -> None:
    """Shifted by the 0.1 s that passed; and the tick after it is as warm as if there had been time."""
    _, (first, late, after) = run(schedule, [COLD_STEPS, 0, WARM_STEPS])
    assert_valid(late.chunk, 0.1)
    np.testing.assert_allclose(late.chunk.positions[:-1], first.chunk.positions[1:], atol=1e-6)
    assert late.chunk.source is ChunkSource.STEERED
    assert "deadline" in late.telemetry.reason
    assert late.telemetry.nfe == 0
    assert after.telemetry.warm
    assert len(after.candidates) == 5
    assert after.telemetry.nfe == WARM_STEPS


@both
def test_a_deadline_that_is_met_changes_nothing(schedule: NoiseSchedule) -> None:
    _, with_time = run(schedule, [COLD_STEPS + 1, WARM_STEPS + 1])
    _, without_deadline = run(schedule, [COLD_STEPS, WARM_STEPS], budget_ms=0.0)
    for one, other in zip(with_time, without_deadline, strict=True):
        assert np.array_equal(one.candidates, other.candidates)
        assert not one.telemetry.reason


@both
def test_a_plan_of_which_nothing_is_left_is_not_gone_on_with(schedule: NoiseSchedule) -> None:
    """Late for so long that every step of the last chunk is over: its last pose sent again is no steering."""
    horizon_s = 1.6
    policy = Slow(fan(1.0, 1.0, 1.0, schedule=schedule))
    settings = vary("ours", deadline_ms=200.0, start={"max_age_s": 10.0})
    pilot = Pilot(policy, settings, seed=4, clock=policy.clock)
    pilot.set_program(Wishes((Wish(mode_goal(policy, 2)),)))
    pilot.tick(observe(0.0))
    policy.reading_ms = 200.0
    late = pilot.tick(observe(horizon_s + 0.05))
    assert late.chunk.source is ChunkSource.HOLD
    assert "no plan to go on with" in late.telemetry.reason
