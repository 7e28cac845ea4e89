"""Exact and smooth readings of a formula, and the gradients of whole stages."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rewards.table import HOME, keypoints, motion, observe, straight
from torch import Tensor

from vls_steering.core.errors import StreamFault
from vls_steering.core.types import Observation
from vls_steering.rewards import CompiledStage, Rollout, Scene, compile_program, parse_program
from vls_steering.rewards.context import Context
from vls_steering.rewards.evaluate import compile_expression
from vls_steering.rewards.semantics import Exact, Smooth
from vls_steering.rewards.source import parse_expression


def stage(**keys: object) -> CompiledStage:
    entry = {"name": "a stage", "reward": ["maximize(height(ee))"], "done": "height(ee) >= 90 cm", **keys}
    return compile_program(parse_program({"instruction": "a task", "stages": [entry]})).stages[0]


def evaluate(text: str, rollout: Rollout, observation: Observation, semantics: Exact | Smooth) -> Tensor:
    scene = Scene.from_observation(observation, dtype=rollout.tcp.dtype)
    value: Tensor = compile_expression(parse_expression(text, "x"))(Context(rollout, scene, semantics))
    return value.expand(rollout.tcp.shape[0], 1)[:, 0]


def wander(seed: int, particles: int = 3) -> Rollout:
    """Random walks over the table with a random gripper, in double precision."""
    random = torch.Generator().manual_seed(seed)
    steps = 0.04 * torch.randn(particles, 16, 3, generator=random, dtype=torch.float64)
    tcp = torch.tensor(HOME, dtype=torch.float64) + steps.cumsum(1)
    return motion(tcp, 0.08 * torch.rand(particles, 16, generator=random, dtype=torch.float64))


FORMULAS = (
    "always(dist(ee, kp('red cube')) >= 8 cm)",
    "eventually(dist(ee, kp('red cube')) <= 2 cm, before=1 s)",
    "eventually(height(ee) <= 20 cm and gripper_width >= 4 cm)",
    "always(height(ee) >= 25 cm or speed <= 20 cm/s, after=0.3 s)",
    "not always(height(ee) >= 25 cm or not speed <= 20 cm/s)",
    "not eventually(not (horizontal(ee, kp('blue cube')) >= 10 cm and height(ee) >= 28 cm))",
    "always(eventually(height(ee) >= 30 cm, before=0.5 s), before=1 s)",
    "eventually(always(gripper_width <= 5 cm, before=0.3 s))",
    "always(clearance(body, kp('green cylinder')) >= 5 cm)",
    "eventually(grasped('red cube')) or always(on('red cube', 'white plate'))",
)


class TestSemantics:
    @pytest.mark.parametrize("formula", FORMULAS)
    @settings(max_examples=15, deadline=None)
    @given(seed=st.integers(0, 10_000), sharpness=st.sampled_from([5.0, 30.0, 100.0]))
    def test_smooth_never_exceeds_exact(self, formula: str, seed: int, sharpness: float) -> None:
        rollout, here = wander(seed), observe(keypoints())
        exact = evaluate(formula, rollout, here, Exact())
        smooth = evaluate(formula, rollout, here, Smooth(sharpness))
        assert (smooth <= exact + 1e-9).all()

    @pytest.mark.parametrize("formula", FORMULAS)
    def test_smooth_approaches_exact(self, formula: str) -> None:
        rollout, here = wander(1), observe(keypoints())
        exact = evaluate(formula, rollout, here, Exact())
        assert torch.allclose(evaluate(formula, rollout, here, Smooth(1e5)), exact, atol=1e-3)

    def test_robustness_is_the_margin_in_units_of_ten_centimetres(self) -> None:
        down = motion(straight([(0.40, 0.0, 0.10)]))
        assert evaluate("always(height(ee) >= 5 cm)", down, observe(keypoints()), Exact()).item() == pytest.approx(0.5)
        assert evaluate("eventually(height(ee) <= 5 cm)", down, observe(keypoints()), Exact()).item() == pytest.approx(
            -0.5
        )

    def test_windows_are_closed_intervals_of_seconds_from_now(self) -> None:
        heights = torch.arange(1, 17) * 0.01  # 1 cm at 0.1 s, 2 cm at 0.2 s ...
        tcp = torch.stack([torch.zeros(16), torch.zeros(16), heights], -1).unsqueeze(0)

        def lowest_of(window: str) -> float:
            return (
                10
                * evaluate(f"always(height(ee) >= 0 cm, {window})", motion(tcp), observe(keypoints()), Exact()).item()
            )

        assert lowest_of("after=0.3 s") == pytest.approx(3.0, abs=1e-4)
        highest = evaluate("eventually(height(ee) >= 0 cm, before=0.3 s)", motion(tcp), observe(keypoints()), Exact())
        assert 10 * highest.item() == pytest.approx(3.0, abs=1e-4)

    @pytest.mark.parametrize("semantics", [Exact(), Smooth()])
    def test_an_empty_window_is_vacuous(self, semantics: Exact | Smooth) -> None:
        rollout, here = wander(0), observe(keypoints())
        always = evaluate("always(height(ee) >= 9 m, after=5 s)", rollout, here, semantics)
        eventually = evaluate("eventually(height(ee) <= 9 m, after=5 s)", rollout, here, semantics)
        assert torch.isposinf(always).all()
        assert torch.isneginf(eventually).all()

    def test_what_lies_beyond_the_chunk_neither_counts_nor_gates(self) -> None:
        beyond = stage(
            reward=["eventually(height(ee) >= 9 m, after=5 s)"], safety=["always(height(ee) >= 9 m, after=5 s)"]
        )
        rollout, here = motion(straight([(0.5, 0.0, 0.1)])), observe(keypoints())
        scene = Scene.from_observation(here)
        assert beyond.score(rollout, scene).item() == 0.0
        assert torch.isposinf(beyond.safety(rollout, scene)).all()


GRASP = {
    "reward": ["minimize(lowest(dist(ee, kp('red cube')))) * 2", "eventually(grasped('red cube'))"],
    "safety": ["always(clearance(body, kp('green cylinder')) >= 3 cm)"],
    "gripper": "close_when(dist(ee, kp('red cube')) <= 2.5 cm)",
    "done": "grasped('red cube')",
}
LIFT = {
    "reward": ["eventually(height(kp('red cube')) >= 15 cm)", "always(speed <= 30 cm/s) * 0.3"],
    "gripper": "close",
    "done": "grasped('red cube') and height(kp('red cube')) >= 15 cm",
}


class TestScores:
    @pytest.mark.parametrize("keys", [GRASP, LIFT])
    @pytest.mark.parametrize("seed", range(3))
    def test_gradients_match_finite_differences(self, keys: dict[str, object], seed: int) -> None:
        holding = keys is LIFT
        here = observe(keypoints(red_cube=HOME), width=0.038, holds=True) if holding else observe(keypoints())
        scene, rollout, compiled = Scene.from_observation(here, dtype=torch.float64), wander(seed, 2), stage(**keys)
        # The intent and the grasp carry no gradient towards the motion on purpose: hold them still.
        width = torch.zeros_like(rollout.gripper_width) if holding else torch.full_like(rollout.gripper_width, 0.08)

        def score(tcp: Tensor) -> Tensor:
            parts = compiled.explain(Rollout(tcp, width, rollout.times_s), scene, sharpness=10.0)
            return torch.stack([part for name, part in parts.items() if not name.startswith("gripper")]).sum(0)

        assert torch.autograd.gradcheck(score, rollout.tcp.clone().requires_grad_(), eps=1e-7, atol=1e-4)

    def test_no_gradient_is_nan_at_zero_distance(self) -> None:
        scene = Scene.from_observation(observe(keypoints(), tcp=(0.50, -0.12, 0.019)))
        tcp = scene.positions[0].expand(2, 16, 3).clone().requires_grad_()
        width = torch.full((2, 16), 0.08, requires_grad=True)
        stage(**GRASP).score(motion(tcp, width), scene).sum().backward()
        assert tcp.grad is not None
        assert width.grad is not None
        assert torch.isfinite(tcp.grad).all()
        assert torch.isfinite(width.grad).all()

    def test_a_satisfied_condition_pulls_nowhere(self) -> None:
        tcp = straight([(0.5, 0.0, 0.2)]).requires_grad_()
        score = stage(reward=["always(height(ee) >= 5 cm)"]).score(
            motion(tcp), Scene.from_observation(observe(keypoints()))
        )
        (gradient,) = torch.autograd.grad(score.sum(), tcp)
        assert score.item() == 0.0
        assert not gradient.any()

    def test_one_poisoned_particle_poisons_no_other(self) -> None:
        tcp = straight([(0.5, 0.0, 0.2), (0.5, -0.12, 0.02)])
        scene = Scene.from_observation(observe(keypoints()))
        alone = stage(**GRASP).score(motion(tcp[1:]), scene)
        tcp[0, 3] = torch.nan
        tcp.requires_grad_()
        score = stage(**GRASP).score(motion(tcp), scene)
        (gradient,) = torch.autograd.grad(score[1], tcp)
        assert torch.allclose(score[1], alone[0])
        assert torch.isfinite(gradient[1]).all()

    def test_particles_are_scored_alike_alone_and_together(self) -> None:
        rollout, scene = wander(5, 6), Scene.from_observation(observe(keypoints()), dtype=torch.float64)
        together = stage(**GRASP).score(rollout, scene)
        alone = [
            stage(**GRASP).score(
                Rollout(rollout.tcp[i : i + 1], rollout.gripper_width[i : i + 1], rollout.times_s), scene
            )
            for i in range(6)
        ]
        assert torch.allclose(together, torch.cat(alone))

    def test_the_parts_sum_to_the_score(self) -> None:
        rollout, scene = wander(2), Scene.from_observation(observe(keypoints()), dtype=torch.float64)
        parts = stage(**GRASP).explain(rollout, scene)
        assert torch.allclose(torch.stack(list(parts.values())).sum(0), stage(**GRASP).score(rollout, scene))

    def test_a_missing_object_is_a_stream_fault_that_names_it(self) -> None:
        scene = Scene.from_observation(observe(keypoints("blue cube")))
        with pytest.raises(StreamFault, match="'red cube'"):
            stage(**LIFT).score(motion(straight([HOME])), scene)
