"""What a reward program costs, against the same reward written by hand in torch, in the same run."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vls_steering.core.types import DOWN_QUAT_XYZW, Keypoint, Keypoints, Observation, RobotState
from vls_steering.rewards import CompiledStage, Rollout, Scene, compile_program, parse_program

HORIZON, STEP_S, SHARPNESS = 16, 0.1, 30.0
_OBJECTS = {
    "red cube": ((0.50, -0.12, 0.02), (0.04, 0.04, 0.04)),
    "blue cube": ((0.50, 0.12, 0.02), (0.04, 0.04, 0.04)),
    "green cube": ((0.60, 0.00, 0.02), (0.04, 0.04, 0.04)),
    "white plate": ((0.45, 0.25, 0.01), (0.17, 0.17, 0.01)),
}
_PICK = (
    "minimize(lowest(dist(ee, kp('red cube')))) * 2",
    "minimize(dist(ee, kp('red cube'))) * 0.5",
    "always(clearance(body, kp('blue cube')) >= 4 cm)",
)


def twenty_terms() -> list[str]:
    """Distances, heights and speeds of every kind of fold."""
    names = list(_OBJECTS)
    terms = [f"minimize(lowest(dist(ee, kp('{name}'))))" for name in names]
    terms += [f"minimize(dist(ee, kp('{name}'))) * 0.5" for name in names]
    terms += [f"always(dist(ee, kp('{name}')) >= 6 cm)" for name in names]
    terms += [f"eventually(horizontal(ee, kp('{name}')) <= 5 cm)" for name in names]
    terms += ["always(height(ee) >= 4 cm)", "eventually(height(ee) <= 10 cm)", "always(speed <= 30 cm/s)"]
    return [*terms, "maximize(mean(height(ee))) * 0.1"]


def by_hand(tcp: Tensor, start: Tensor, centers: Tensor) -> Tensor:
    """(K,) the twenty terms as one would write them for one task: tcp (K, H, 3), start (3,), centers (N, 3) m."""
    total = torch.zeros(tcp.shape[0])
    for center in centers:
        away = torch.linalg.norm(tcp - center, dim=-1)
        total = total + (torch.logsumexp(-SHARPNESS * away / 0.1, -1) - np.log(HORIZON)) / SHARPNESS
        total = total - 0.5 * away.mean(-1) / 0.1
        total = total + _minimum((away - 0.06) / 0.1).clamp(max=0.0)
        total = total + _maximum((0.05 - torch.linalg.norm((tcp - center)[..., :2], dim=-1)) / 0.1).clamp(max=0.0)
    height = tcp[..., 2]
    total = total + _minimum((height - 0.04) / 0.1).clamp(max=0.0) + _maximum((0.10 - height) / 0.1).clamp(max=0.0)
    steps = torch.diff(tcp, dim=1, prepend=start.expand(tcp.shape[0], 1, 3))
    total = total + _minimum((0.30 - torch.linalg.norm(steps, dim=-1) / STEP_S) / 0.1).clamp(max=0.0)
    return total + 0.1 * height.mean(-1) / 0.1


def _minimum(values: Tensor) -> Tensor:
    return -torch.logsumexp(-SHARPNESS * values, -1) / SHARPNESS


def _maximum(values: Tensor) -> Tensor:
    return (values * torch.softmax(SHARPNESS * values, -1)).sum(-1)


def cost_rows(repeats: int, seed: int) -> list[dict[str, Any]]:
    """Milliseconds of value and gradient: the twenty terms both ways, and a stage that picks and keeps clear."""
    torch.set_num_threads(1)
    scene = Scene.from_observation(_observation())
    rows = []
    for name, terms, particles in (("20 terms", twenty_terms(), 16), ("pick and keep clear", list(_PICK), 12)):
        stage = _stage(terms)
        rollout = _rollout(particles, seed)
        compiled = _gradient(lambda r, s=stage: s.score(r, scene), rollout)  # type: ignore[misc]
        row = {"suite": "reward_cost", "task": name, "particles": particles, "horizon": HORIZON}
        if name == "20 terms":
            written = _gradient(lambda r: by_hand(r.tcp, scene.tcp, scene.positions), rollout)
            difference = float((compiled()[0] - written()[0]).abs().max())
            ours, theirs = _alternating(compiled, written, repeats)
            row |= {"compiled_ms": ours, "by_hand_ms": theirs, "ratio": ours / theirs, "difference": difference}
        else:
            ours, _ = _alternating(compiled, compiled, repeats)
            row |= {"compiled_ms": ours}
        rows.append(row)
    return rows


def _gradient(score: Callable[[Rollout], Tensor], rollout: Rollout) -> Callable[[], tuple[Tensor, Tensor]]:
    def run() -> tuple[Tensor, Tensor]:
        value = score(rollout)
        (slope,) = torch.autograd.grad(value, rollout.tcp, torch.ones_like(value))
        return value.detach(), slope

    return run


def _alternating(first: Callable[[], Any], second: Callable[[], Any], repeats: int) -> tuple[float, float]:
    """Median milliseconds of both, run in turn so that a busy machine is busy for both."""
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(repeats + 20):
        for run, times in zip((first, second), taken, strict=True):
            begin = time.perf_counter()
            run()
            if number >= 20:
                times.append(1e3 * (time.perf_counter() - begin))
    return float(np.median(taken[0])), float(np.median(taken[1]))


def _stage(terms: list[str]) -> CompiledStage:
    entry = {"name": "a stage", "reward": terms, "done": "height(ee) >= 90 cm"}
    return compile_program(parse_program({"instruction": "a benchmark", "stages": [entry]})).stages[0]


def _observation() -> Observation:
    points = tuple(Keypoint(name, np.array(place), np.array(size)) for name, (place, size) in _OBJECTS.items())
    tcp = np.array([0.40, 0.0, 0.30])
    robot = RobotState(0.0, np.zeros(7), np.zeros(7), tcp, np.array(DOWN_QUAT_XYZW), 0.08)
    return Observation(robot, Keypoints(0.0, points))


def _rollout(particles: int, seed: int) -> Rollout:
    generator = torch.Generator().manual_seed(seed)
    moves = 0.02 * torch.randn(particles, HORIZON, 3, generator=generator)
    tcp = (torch.tensor([0.40, 0.0, 0.30]) + moves.cumsum(1)).requires_grad_()
    return Rollout(tcp, torch.full((particles, HORIZON), 0.08), STEP_S * torch.arange(1, HORIZON + 1))
