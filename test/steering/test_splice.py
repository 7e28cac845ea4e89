"""The chunk joins the one that is executed meanwhile: frozen beginning, soft passage, then free."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from steering.worlds import Wish, Wishes, begun, fan, mode_goal, observe, vary

from vls_steering.steering import LatencyEstimate, Pilot, TickResult
from vls_steering.steering.presets import PRESETS
from vls_steering.steering.splice import Splice, weights


def settled(name: str = "ours", **changes: object) -> tuple[Pilot, TickResult, Wish]:
    """A pilot in its third tick, and that tick's result."""
    policy = fan(1.0, 1.0, 1.0)
    stage = Wish(mode_goal(policy, 0))
    pilot = begun(policy, vary(name, **changes), stage, seed=5)
    results = [pilot.tick(observe(0.1 * tick)) for tick in range(3)]
    stage.goal = mode_goal(policy, 2)  # all that is free to will turn round
    return pilot, results[-1], stage


@given(horizon=st.integers(1, 32), frozen=st.integers(0, 40), blend=st.integers(0, 40), ahead=st.integers(0, 32))
def test_the_weight_falls_from_one_to_nothing(horizon: int, frozen: int, blend: int, ahead: int) -> None:
    weight = weights(horizon, frozen, blend, ahead)
    assert weight.shape == (horizon,)
    assert bool((weight[: min(frozen, ahead)] == 1.0).all())
    assert bool((weight[min(frozen, ahead) :] < 1.0).all())
    assert bool((weight[min(frozen + blend, ahead) :] == 0.0).all())
    assert bool((weight.diff() <= 0.0).all())


def test_clamping_leaves_what_is_free_and_freezes_to_the_last_bit() -> None:
    committed, clean = torch.randn(16, 4), torch.randn(3, 16, 4)
    clamped = Splice(committed, weights(16, 2, 0, 16), 2).clamp(clean)
    assert torch.equal(clamped[:, :2], committed[:2].expand(3, -1, -1))
    assert torch.equal(clamped[:, 2:], clean[:, 2:])


@pytest.mark.parametrize(("delay_s", "frozen"), [(0.03, 1), (0.1, 1), (0.11, 2), (0.25, 3), (5.0, 15)])
def test_the_delay_in_steps_is_frozen_in_every_candidate(delay_s: float, frozen: int) -> None:
    pilot, last, _ = settled()
    result = pilot.tick(observe(0.3), delay_s)
    assert result.telemetry.frozen == frozen
    expected = last.chunk.positions[1 : 1 + frozen]
    np.testing.assert_allclose(
        result.candidates[:, :frozen], np.tile(expected, (len(result.candidates), 1, 1)), atol=1e-5
    )


def test_what_lies_behind_it_follows_the_new_goal() -> None:
    pilot, last, _ = settled()
    result = pilot.tick(observe(0.3), 0.15)
    assert last.chunk.positions[-1, 1] < -0.05
    assert result.chunk.positions[-1, 1] > 0.05


def test_a_longer_passage_is_a_smoother_one() -> None:
    kinks = []
    for blend in (0, 6):
        pilot, _, _ = settled(splice={"blend_steps": blend})
        chunk = pilot.tick(observe(0.3), 0.2).chunk
        kinks.append(float(np.abs(np.diff(chunk.positions[:8, 1], n=2)).max()))
    assert kinks[1] < kinks[0]


def test_without_delay_and_commitment_there_is_no_splice() -> None:
    one, other = (settled(splice={"commit_steps": 0, "blend_steps": blend})[0] for blend in (4, 16))
    first, second = one.tick(observe(0.3)), other.tick(observe(0.3), 0.0)
    assert first.telemetry.frozen == 0
    assert np.array_equal(first.candidates, second.candidates)


@pytest.mark.parametrize(("commit_steps", "delay_s", "frozen"), [(0, 0.0, 0), (1, 0.0, 1), (1, 0.15, 2), (3, 0.15, 3)])
def test_what_is_due_next_cannot_be_put_off(commit_steps: int, delay_s: float, frozen: int) -> None:
    pilot, last, _ = settled(splice={"commit_steps": commit_steps})
    result = pilot.tick(observe(0.3), delay_s)
    assert result.telemetry.frozen == frozen
    for candidate in result.candidates:
        np.testing.assert_allclose(candidate[:frozen], last.chunk.positions[1 : 1 + frozen], atol=1e-5)


def test_a_new_program_is_followed_at_once() -> None:
    pilot, _, stage = settled()
    assert pilot.tick(observe(0.3)).telemetry.frozen == 1
    pilot.set_program(Wishes((stage,)))
    assert pilot.tick(observe(0.4)).telemetry.frozen == 0


def test_published_methods_commit_to_nothing() -> None:
    ours = {"ours", "ours_cold", "gradient_only"}
    assert {name for name, settings in PRESETS.items() if settings.splice.commit_steps} == ours


def test_the_first_tick_has_nothing_to_join() -> None:
    policy = fan(1.0, 1.0)
    pilot = begun(policy, vary("ours"), Wish(mode_goal(policy, 0)), seed=0)
    assert pilot.tick(observe(0.0), 0.2).telemetry.frozen == 0


def test_the_latency_is_the_95th_percentile_of_recent_ticks() -> None:
    latency = LatencyEstimate()
    assert latency.p95_s == 0.0
    for _ in range(100):
        latency.add(1.0)
    for tick in range(64):
        latency.add(0.040 if tick % 10 else 0.060)
    assert latency.p95_s == pytest.approx(0.060)
