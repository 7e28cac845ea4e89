"""Small worlds for the steering tests: a fan of straight motions, stages with closed forms, observations."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vls_steering.core.types import Observation
from vls_steering.policies.analytic import MixturePolicy, make_fan
from vls_steering.policies.base import (
    ActionSpace,
    CosineSchedule,
    FlowSchedule,
    NoiseSchedule,
    make_example_observation,
)
from vls_steering.rewards.rollout import Rollout, Scene
from vls_steering.steering import Pilot, SteeringSettings, TickResult, preset
from vls_steering.steering.objective import Memory, Objective

SPACE = ActionSpace(tuple(0.02 * (step + 1) for step in range(16)))
# 1 for the entries of a chunk row that are positions, 0 for the gripper.
POSITIONS = torch.tensor([1.0, 1.0, 1.0, 0.0])
SCHEDULES = (CosineSchedule(), FlowSchedule())
TIMES_S = 0.1 * torch.arange(1, 17, dtype=torch.float32)


def observe(stamp_s: float, tcp: tuple[float, float, float] = (0.40, 0.0, 0.30), holds: bool = False) -> Observation:
    example = make_example_observation(stamp_s)
    return replace(example, robot=replace(example.robot, tcp_position=np.array(tcp), gripper_holds=holds))


def mode_goal(policy: MixturePolicy, mode: int, tcp: tuple[float, float, float] = (0.40, 0.0, 0.30)) -> Tensor:
    """(3,) m: where a mode of the fan ends, seen from `tcp`."""
    path, _ = SPACE.decode(policy.mixture.means[mode : mode + 1], torch.tensor(tcp))
    return path[0, -1]


def mode_of(policy: MixturePolicy, clean: Tensor) -> Tensor:
    """Nearest mode of normalised chunks (K, H, A) -> (K,)."""
    return (clean[:, None] - policy.mixture.means[None]).square().mean(dim=(2, 3)).argmin(dim=1)


def fan(*weights: float, schedule: NoiseSchedule | None = None) -> MixturePolicy:
    return make_fan(SPACE, weights=weights, schedule=schedule)


def vary(name: str, **changes: Any) -> SteeringSettings:
    """A preset with some knobs turned; a dictionary changes the knobs of a section, the others stay."""
    knobs = preset(name).model_dump()
    for key, value in changes.items():
        knobs[key] = {**knobs[key], **value} if isinstance(value, dict) else value
    return SteeringSettings.model_validate(knobs)


def begun(policy: MixturePolicy, settings: SteeringSettings, stage: Wish | None, seed: int) -> Pilot:
    """A pilot with a program of one stage, before its first tick."""
    pilot = Pilot(policy, settings, seed)
    pilot.set_program(None if stage is None else Wishes((stage,)))
    return pilot


def normalised(result: TickResult, tcp: tuple[float, float, float] = (0.40, 0.0, 0.30)) -> Tensor:
    """Positions of all candidates in the policy's own units, (K, H, 3), float64; `tcp` is where the hand was."""
    offset = torch.from_numpy(result.candidates) - torch.tensor(tcp, dtype=torch.float64)
    return offset / SPACE.scale(offset)


def chosen_mode(policy: MixturePolicy, result: TickResult) -> int:
    """Mode of the fan that the executed chunk belongs to; -1 for a hold."""
    if result.chosen < 0:
        return -1
    distance = normalised(result)[result.chosen] - policy.mixture.means[..., :3]
    return int(distance.square().mean(dim=(1, 2)).argmin())


@dataclass
class Wish:
    """A stage: end the chunk at `goal`, keep y below `wall_m`; measured values are whatever the test says."""

    goal: Tensor
    name: str = "wish"
    wall_m: float = math.inf
    deadline_s: float | None = None
    measured_progress: float = 0.0
    measured_done: bool = False
    measured_ready: bool = True
    spoil: Callable[[Tensor], Tensor] = field(default=lambda score: score)

    def memory(self) -> Memory | None:
        return None

    def score(self, rollout: Rollout, scene: Scene) -> Tensor:
        """Minus the distance in units of 10 cm, as compiled programs score."""
        distance = ((rollout.tcp[:, -1] - self.goal.to(rollout.tcp)).square().sum(-1) + 1e-12).sqrt()
        return self.spoil(-10.0 * distance)

    def safety(self, rollout: Rollout, scene: Scene) -> Tensor:
        return (self.wall_m - rollout.tcp[..., 1]).amin(dim=1)

    def least_robustness(self, rollout: Rollout, scene: Scene) -> Tensor:
        """Of ending within 1 cm of the goal, in units of 10 cm."""
        return 10.0 * (0.01 - (rollout.tcp[:, -1] - self.goal.to(rollout.tcp)).norm(dim=-1))

    def safety_now(self, scene: Scene) -> float:
        return self.wall_m - float(scene.tcp[1])

    def progress(self, observation: Observation) -> float:
        return self.measured_progress

    def done(self, observation: Observation) -> bool:
        return self.measured_done

    def ready(self, observation: Observation) -> bool:
        return self.measured_ready


class Quadratic(Wish):
    """`-1/2 sum (a - 1)^2` over normalised positions: the tilted law is `mixture.tilted(strength * POSITIONS, 1)`."""

    def score(self, rollout: Rollout, scene: Scene) -> Tensor:
        offset = (rollout.tcp - scene.tcp) / SPACE.scale(rollout.tcp)
        return self.spoil(-0.5 * (offset - 1.0).square().sum(dim=(1, 2)))


@dataclass(frozen=True)
class Digest:
    sha256: str = "f" * 64


@dataclass(frozen=True)
class Wishes:
    """A program of stages."""

    stages: tuple[Wish, ...]
    program: Digest = Digest()


def objective(stage: Wish, observation: Observation) -> Objective:
    anchor = torch.tensor(observation.robot.tcp_position, dtype=torch.float32)
    return Objective(stage, Scene.from_observation(observation), SPACE, anchor, TIMES_S)
