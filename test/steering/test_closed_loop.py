"""A policy with as many modes as objects and routes, real reward programs, an arm that does what it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from steering.worlds import SPACE
from torch import Tensor

from vls_steering.core.arrays import FloatArray
from vls_steering.core.types import GRIPPER_OPEN_M, Keypoint, Keypoints, Observation
from vls_steering.policies.analytic import GaussianMixture
from vls_steering.policies.base import ActionSpace, CosineSchedule, NoiseSchedule, make_example_observation
from vls_steering.rewards.compile import CompiledProgram, compile_program
from vls_steering.rewards.parse import parse_program
from vls_steering.rewards.rollout import Scene
from vls_steering.steering import Pilot, TickResult, preset

OBJECTS = {"red cube": (0.50, 0.14, 0.02), "blue cube": (0.48, -0.14, 0.02), "green cylinder": (0.62, 0.0, 0.025)}
SPEED_M_S = 0.25
# Sideways and upward bulge of each route, as a share of the distance left: straight, left, right, over.
ROUTES = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, -0.5, 0.0], [0.0, 0.0, 0.5]])


class TablePolicy:
    """From wherever the hand is, to any object by any route, closing the gripper on arrival."""

    action_space: ActionSpace = SPACE
    schedule: NoiseSchedule = CosineSchedule()
    name = "table"
    sha256 = "0" * 64

    def encode(self, observations: Sequence[Observation]) -> Tensor:
        """(1, M * H * A): the means of the modes."""
        robot = observations[-1].robot
        tcp = torch.tensor(robot.tcp_position, dtype=torch.float32)
        points = [point for point in observations[-1].keypoints.points if point.name in OBJECTS]
        goals = torch.stack([torch.tensor(point.position, dtype=torch.float32) for point in points])
        path = (goals - tcp)[:, None]
        left = path.norm(dim=2, keepdim=True).clamp_min(1e-6)
        times = 0.1 * torch.arange(1, 17)
        share = (times[None, :, None] * SPEED_M_S / left).clamp(max=1.0)
        bulge = 4.0 * share * (1.0 - share) * left * 0.5
        tcp_path = tcp + (path * share)[:, None] + bulge[:, None] * ROUTES[None, :, None]
        width = torch.where(share[..., 0] < 1.0, GRIPPER_OPEN_M, 0.0)[:, None].expand(-1, len(ROUTES), -1)
        means = SPACE.encode(tcp_path.flatten(0, 1), width.flatten(0, 1), tcp)
        return means.reshape(1, -1)

    def predict_clean(self, encoding: Tensor, x: Tensor, level: Tensor) -> Tensor:
        means = encoding.reshape(-1, 16, 4)
        mixture = GaussianMixture(torch.zeros(len(means)), means, torch.full_like(means, 0.08))
        return mixture.posterior_mean(x, self.schedule.alpha(level), self.schedule.sigma(level))


@dataclass
class Table:
    """Objects that stay, and an arm that reaches the first step of a chunk in 0.1 s."""

    stamp_s: float = 0.0
    tcp: FloatArray = field(default_factory=lambda: np.array([0.40, 0.0, 0.30]))
    open: bool = True
    post: tuple[float, float, float] | None = None

    def observe(self) -> Observation:
        points = [Keypoint(name, np.array(at), np.full(3, 0.038)) for name, at in OBJECTS.items()]
        if self.post is not None:
            points.append(Keypoint("purple box", np.array(self.post), np.array([0.05, 0.05, 0.2])))
        example = make_example_observation(self.stamp_s)
        width = 0.038 if self.holding() else GRIPPER_OPEN_M * self.open
        robot = replace(
            example.robot, tcp_position=self.tcp, gripper_width_m=width, gripper_holds=self.holding() is not None
        )
        return Observation(robot, Keypoints(self.stamp_s, tuple(points)))

    def holding(self) -> str | None:
        near = [name for name, at in OBJECTS.items() if np.linalg.norm(self.tcp - at) < 0.025]
        return near[0] if near and not self.open else None

    def follow(self, result: TickResult) -> None:
        self.tcp, self.open = result.chunk.positions[0], bool(result.chunk.gripper_widths_m[0] > 0.04)
        self.stamp_s += 0.1


def grasp(name: str, *safety: str) -> CompiledProgram:
    reach = f"dist(ee, kp('{name}'))"
    stage = {
        "name": f"grasp the {name}",
        "reward": [f"minimize(lowest({reach})) * 2", f"minimize({reach}) * 0.5"],
        "safety": list(safety),
        "gripper": f"close_when({reach} <= 2.5 cm)",
        "done": f"grasped('{name}')",
    }
    return compile_program(parse_program({"version": 1, "instruction": f"pick up the {name}", "stages": [stage]}))


def held_after(program: CompiledProgram | None, name: str, seed: int, seconds: float = 5.0) -> str | None:
    """What the hand holds when the pilot says it is finished, or when time is up."""
    table, pilot = Table(), Pilot(TablePolicy(), preset(name), seed)
    pilot.set_program(program)
    while table.stamp_s < seconds and not pilot.finished:
        table.follow(pilot.tick(table.observe()))
    return table.holding()


@pytest.mark.parametrize("name", OBJECTS)
@pytest.mark.parametrize("method", ["ours", "best_of_k"])
def test_the_named_object_is_grasped(name: str, method: str) -> None:
    assert [held_after(grasp(name), method, seed) for seed in range(3)] == [name] * 3


def test_alone_the_policy_finishes_some_skill_but_not_always_the_same() -> None:
    held = [held_after(None, "base_warm", seed, seconds=3.0) for seed in range(8)]
    assert None not in held
    assert len(set(held)) > 1


def test_a_post_in_the_way_is_never_touched_and_the_object_still_grasped() -> None:
    program = grasp("green cylinder", "always(clearance(body, 'purple box') >= 1 cm)")
    for seed in range(3):
        table = Table(tcp=np.array([0.40, 0.0, 0.12]), post=(0.50, 0.13, 0.1))
        pilot = Pilot(TablePolicy(), preset("ours"), seed)
        pilot.set_program(program)
        while table.stamp_s < 8.0 and not pilot.finished:
            observation = table.observe()
            assert program.stages[0].safety_now(Scene.from_observation(observation)) > -0.01
            table.follow(pilot.tick(observation))
        assert table.holding() == "green cylinder"
