"""A guidance program as a value, and its stages as steering asks for them."""

from __future__ import annotations

import ast
import hashlib
import json
import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from vls_steering.core.errors import StreamFault
from vls_steering.core.types import Observation
from vls_steering.rewards.dialect.interpret import GuidanceFault, run_guidance
from vls_steering.rewards.dialect.syntax import Guidance, read_guidance, returns_nothing
from vls_steering.rewards.rollout import Rollout, Scene

# A stage is done where standing still earns what being this near a target point would, under -(distance ** 2).
DONE_M = 0.025
_STILL_STEPS = 16


@dataclass(frozen=True)
class GuidanceStage:
    """One stage; without a function the policy is left to itself."""

    name: str
    function: ast.FunctionDef | None = field(compare=False)
    text: str = ""  # canonical: comments and layout do not count


@dataclass(frozen=True)
class GuidanceProgram:
    """What a VLS program says for keypoints in a fixed order."""

    stages: tuple[GuidanceStage, ...]
    keypoints: tuple[str, ...] = ()  # object names by index; bound when the scene is known
    source: str = field(default="", compare=False, repr=False)

    @cached_property
    def canonical(self) -> str:
        """The one text of this program: equal programs, equal text."""
        stages = [{"name": stage.name, "function": stage.text} for stage in self.stages]
        return json.dumps({"keypoints": list(self.keypoints), "stages": stages}, sort_keys=True, separators=(",", ":"))

    @cached_property
    def sha256(self) -> str:
        """Hex digest of the canonical text."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()


def parse_guidance(text: str, keypoints: tuple[str, ...] = ()) -> GuidanceProgram:
    """Read a program in the VLS format; raises ProgramRejected with every fault found.

    `keypoints` are the names that the program's indices stand for; they belong to its identity.
    """
    guidance = read_guidance(text)
    stages = tuple(_stage(guidance, number) for number in range(1, guidance.stages + 1))
    return GuidanceProgram(stages, keypoints, text)


def _stage(guidance: Guidance, number: int) -> GuidanceStage:
    named = number <= len(guidance.names)
    name = guidance.names[number - 1] if named else f"stage {number}"
    function = guidance.functions.get(number)
    if function is None or returns_nothing(function):
        return GuidanceStage(name, None)
    return GuidanceStage(name, function, ast.unparse(function))


@dataclass(frozen=True)
class CompiledGuidance:
    """A guidance program ready to steer."""

    program: GuidanceProgram
    stages: tuple[CompiledGuidanceStage, ...]
    written_by: str = ""
    repairs: int = 0

    @property
    def sha256(self) -> str:
        return self.program.sha256


def compile_guidance(program: GuidanceProgram) -> CompiledGuidance:
    """The stages of a program that has been checked, bound to its keypoints."""
    return CompiledGuidance(program, tuple(CompiledGuidanceStage(stage, program.keypoints) for stage in program.stages))


class CompiledGuidanceStage:
    """One stage.  VLS leaves its end to a model that looks at pictures; measured here is what standing still earns."""

    def __init__(self, stage: GuidanceStage, keypoints: tuple[str, ...]) -> None:
        self._stage = stage
        self._keypoints = keypoints

    @property
    def name(self) -> str:
        return self._stage.name

    def memory(self) -> None:
        """None: the format's functions see a path, not what led to it."""

    def score(self, rollout: Rollout, scene: Scene) -> Tensor:
        """(K,) the reward of each particle alone: a mean over the batch, as VLS writes it, never mixes particles."""
        function = self._stage.function
        if function is None:
            return torch.zeros_like(rollout.gripper_width[:, 0])
        keypoints = self._positions(scene)
        # VLS's trajectories begin where the hand is.
        start = scene.tcp.expand(rollout.tcp.shape[0], 1, 3)
        paths = torch.cat([start, rollout.tcp], 1).unsqueeze(1)  # (K, 1, H + 1, 3)

        def reward(path: Tensor) -> Tensor:
            return as_reward(function, run_guidance(function, keypoints, path), path)

        scores: Tensor = vmap(reward)(paths)
        return scores

    def safety(self, rollout: Rollout, scene: Scene) -> Tensor:
        """(K,) +inf: the format has no constraints."""
        return torch.full_like(rollout.gripper_width[:, 0], torch.inf)

    def least_robustness(self, rollout: Rollout, scene: Scene) -> Tensor:
        """(K,) +inf: the format has no conditions."""
        return torch.full_like(rollout.gripper_width[:, 0], torch.inf)

    def safety_now(self, scene: Scene) -> float:
        """No constraints, so none is broken."""
        return math.inf

    def progress(self, observation: Observation) -> float:
        """In [0, 1]: 1 / (1 + d / 10 cm) for the distance d to the target of a reward -d ** 2; 1 when it is small.

        The distance is read off twice, from what standing still earns and from how much moving would improve it, and
        the greater one counts: a reward for displacement has no target, so it never ends by itself.
        """
        if self._stage.function is None:
            return 0.0
        scene = Scene.from_observation(observation, dtype=torch.float64)
        # A millimetre to and fro: in a path that stands quite still, the step that is farthest is any of them.
        ramp = torch.linspace(0.0, 1e-3, _STILL_STEPS, dtype=torch.float64).reshape(1, -1, 1)
        still = (scene.tcp + torch.cat([ramp, -ramp])).expand(2, _STILL_STEPS, 3).clone().requires_grad_()
        width = still.new_full((2, _STILL_STEPS), scene.gripper_width)
        with torch.enable_grad():
            reward = self.score(Rollout(still, width, 0.1 * torch.arange(1.0, _STILL_STEPS + 1)), scene)
            (slope,) = torch.autograd.grad(reward.sum(), still)
        earned = float(reward.detach().amax())
        away_m = max(math.sqrt(max(-earned, 0.0)), 0.5 * float(slope.sum(1).norm(dim=-1).amax()))
        return 1.0 if away_m <= DONE_M else 1.0 / (1.0 + away_m / 0.1)

    def done(self, observation: Observation) -> bool:
        """Standing still earns all there is to earn."""
        return self.progress(observation) >= 1.0

    def ready(self, observation: Observation) -> bool:
        """Always: the format says nothing about what a stage relies on."""
        return True

    def _positions(self, scene: Scene) -> Tensor:
        """(N, 3) in the order of the program's indices."""
        missing = [name for name in self._keypoints if name not in scene.index]
        if missing:
            raise StreamFault(f"the program needs {', '.join(map(repr, missing))}, which is not among the keypoints")
        return torch.cat([scene.position(name).reshape(1, 3) for name in self._keypoints])


def as_reward(function: ast.FunctionDef, value: Any, like: Tensor) -> Tensor:
    """The returned value as a scalar tensor; raises GuidanceFault when it is not one number."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return like.new_tensor(float(value))
    if not isinstance(value, Tensor) or value.numel() != 1 or not value.is_floating_point():
        shape = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise GuidanceFault(function.body[-1], f"a reward is one number, not {shape}: return reward.mean()")
    return value.reshape(()).to(like.dtype)
