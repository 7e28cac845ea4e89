"""Temporal logic against a reference written in loops, and against itself: smooth below exact, past and future."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rewards.formulas import FORMULAS, Along, truth
from rewards.table import keypoints, observe
from torch import Tensor

from vls_steering.core.types import Observation, RobotState
from vls_steering.rewards import CompiledStage, Rollout, Scene, compile_program, parse_program
from vls_steering.rewards.context import Context
from vls_steering.rewards.evaluate import compile_expression
from vls_steering.rewards.progression import StageMemory
from vls_steering.rewards.semantics import Exact, Smooth
from vls_steering.rewards.source import parse_expression

HERE = observe(keypoints())
SEEDS = st.integers(0, 10_000)


def walk(seed: int, particles: int, steps: int) -> Rollout:
    """Random walks wide enough to cross every bound."""
    random = torch.Generator().manual_seed(seed)
    moves = 0.12 * torch.randn(particles, steps, 3, generator=random, dtype=torch.float64)
    widths = 0.08 * torch.rand(particles, steps, generator=random, dtype=torch.float64)
    return Rollout(moves.cumsum(1), widths, 0.1 * torch.arange(1, steps + 1, dtype=torch.float64))


def evaluate(formula: Along, rollout: Rollout, semantics: Exact | Smooth) -> Tensor:
    scene = Scene.from_observation(HERE, dtype=torch.float64)
    value: Tensor = compile_expression(parse_expression(str(formula), "x"))(Context(rollout, scene, semantics))
    return value.expand(rollout.tcp.shape[0], 1)[:, 0]


def reference(formula: Along, times: list[float], tcp: Tensor, width: Tensor) -> float:
    signals = [tcp[:, 2].tolist(), tcp[:, 0].tolist(), tcp[:, 1].tolist(), width.tolist()]
    return truth(formula, times, signals, times[0] - 0.1)


def stage(formula: object) -> CompiledStage:
    entry = {"name": "a stage", "reward": [str(formula)], "done": "height(ee) >= 90 cm"}
    return compile_program(parse_program({"instruction": "a task", "stages": [entry]})).stages[0]


@settings(max_examples=60, deadline=None)
@given(FORMULAS, SEEDS)
def test_exact_semantics_is_the_definition(formula: Along, seed: int) -> None:
    rollout = walk(seed, 2, 9)
    exact = evaluate(formula, rollout, Exact())
    for k in range(2):
        told = reference(formula, rollout.times_s.tolist(), rollout.tcp[k], rollout.gripper_width[k])
        assert exact[k].item() == pytest.approx(told, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(FORMULAS, SEEDS, st.sampled_from([5.0, 30.0, 100.0]))
def test_smooth_never_exceeds_exact(formula: Along, seed: int, sharpness: float) -> None:
    rollout = walk(seed, 3, 9)
    assert (evaluate(formula, rollout, Smooth(sharpness)) <= evaluate(formula, rollout, Exact()) + 1e-9).all()


@settings(max_examples=25, deadline=None)
@given(FORMULAS, SEEDS)
def test_gradients_match_finite_differences(formula: Along, seed: int) -> None:
    rollout = walk(seed, 1, 7)

    def smooth(tcp: Tensor) -> Tensor:
        return evaluate(formula, Rollout(tcp, rollout.gripper_width, rollout.times_s), Smooth(8.0))

    assume(torch.isfinite(smooth(rollout.tcp)).all())
    assert torch.autograd.gradcheck(smooth, rollout.tcp.clone().requires_grad_(), eps=1e-7, atol=1e-4, nondet_tol=0.0)


@settings(max_examples=60, deadline=None)
@given(FORMULAS, SEEDS)
def test_the_term_of_a_stage_means_what_its_formula_means(formula: Along, seed: int) -> None:
    """Terms are folded in groups, formulas one by one."""
    rollout, scene = walk(seed, 3, 9), Scene.from_observation(HERE, dtype=torch.float64)
    compiled = stage(formula)
    exact = evaluate(formula, rollout, Exact())
    (told,) = compiled.robustness(rollout, scene).values()
    assert torch.allclose(told, torch.where(torch.isneginf(exact), math.inf, exact))
    assert torch.equal(compiled.least_robustness(rollout, scene), told)
    hinge = evaluate(formula, rollout, Smooth(30.0)).clamp(max=0.0)
    assert torch.allclose(compiled.score(rollout, scene), torch.where(hinge.isinf(), 0.0, hinge), atol=1e-9)


def sample(stamp_s: float, tcp: Tensor, width: float) -> Observation:
    robot = HERE.robot
    state = RobotState(stamp_s, robot.joint_positions, robot.joint_velocities, tcp.numpy(), robot.tcp_quat_xyzw, width)
    return Observation(state, HERE.keypoints)


@settings(max_examples=40, deadline=None)
@given(FORMULAS.filter(lambda formula: (formula.after, formula.before) != (0, None)), SEEDS)
def test_a_formula_progressed_tick_by_tick_equals_the_offline_evaluation(formula: Along, seed: int) -> None:
    """30 steps, 20 of them lived through: at each, the next 10 are predicted and those before are remembered."""
    whole, horizon = walk(seed, 1, 30), 10
    times = whole.times_s.tolist()
    compiled = stage(formula)
    memory = StageMemory(compiled)
    for now in range(len(times) - horizon):
        here = sample(times[now], whole.tcp[0, now], whole.gripper_width[0, now].item())
        memory.observe(here)
        ahead = slice(now + 1, now + 1 + horizon)
        chunk = Rollout(whole.tcp[:, ahead], whole.gripper_width[:, ahead], whole.times_s[ahead] - times[now])
        seen = whole.tcp[0, : now + 1 + horizon], whole.gripper_width[0, : now + 1 + horizon]
        told = offline(formula, times[: now + 1 + horizon], *seen)
        scene = Scene.from_observation(here, dtype=torch.float64)
        (progressed,) = compiled.robustness(chunk, scene, memory.past()).values()
        assert progressed.item() == pytest.approx(told, abs=1e-9)
        assert torch.equal(memory.least_robustness(chunk, scene), progressed)


def offline(formula: Along, times: list[float], tcp: Tensor, width: Tensor) -> float:
    told = truth(formula, times, [tcp[:, 2].tolist(), tcp[:, 0].tolist(), tcp[:, 1].tolist(), width.tolist()], times[0])
    # A window that has not begun decides nothing.
    return math.inf if told == -math.inf else told


@pytest.mark.parametrize(
    "inner", ["always(height(ee) >= 1 cm, after=3 s)", "eventually(height(ee) >= 1 cm, after=3 s)"]
)
@pytest.mark.parametrize("outer", ["always", "eventually"])
def test_a_window_beyond_the_chunk_inside_another_word_poisons_no_score(outer: str, inner: str) -> None:
    rollout, scene = walk(0, 3, 8), Scene.from_observation(HERE, dtype=torch.float64)
    tcp = rollout.tcp.clone().requires_grad_()
    score = stage(f"{outer}({inner})").score(Rollout(tcp, rollout.gripper_width, rollout.times_s), scene)
    assert not score.any()
    slope = torch.autograd.grad(score.sum(), tcp, allow_unused=True)[0]
    assert slope is None or torch.isfinite(slope).all()
