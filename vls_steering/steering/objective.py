"""What the current stage wants, as a function of normalised clean chunks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from vls_steering.core.types import Observation
from vls_steering.policies.base import ActionSpace
from vls_steering.rewards.rollout import Rollout, Scene
from vls_steering.steering.isolate import isolated


class Judge(Protocol):
    """What says how good chunks are."""

    def score(self, rollout: Rollout, scene: Scene) -> Tensor:
        """Smooth, differentiable, higher is better; (K,)."""
        ...

    def safety(self, rollout: Rollout, scene: Scene) -> Tensor:
        """Exact robustness of what must never happen, (K,) m, +inf when there is no such term."""
        ...

    def safety_now(self, scene: Scene) -> float:
        """`safety` of standing still, m."""
        ...

    def least_robustness(self, rollout: Rollout, scene: Scene) -> Tensor:
        """Exact robustness of the worst condition, (K,) in units of score, +inf when there is none."""
        ...


class Memory(Judge, Protocol):
    """A stage in the light of what was measured since it became current."""

    def observe(self, observation: Observation) -> None:
        """Take one observation in."""
        ...


class StageReward(Judge, Protocol):
    """What steering asks of one stage of a compiled reward program."""

    @property
    def name(self) -> str: ...

    @property
    def deadline_s(self) -> float | None:
        """Seconds that the stage may take; None = any time."""
        ...

    def memory(self) -> Memory | None:
        """A new memory, to judge in the stage's place while it is current; None when its past does not matter."""
        ...

    def progress(self, observation: Observation) -> float:
        """Measured, 0 to 1."""
        ...

    def done(self, observation: Observation) -> bool:
        """Measured."""
        ...

    def ready(self, observation: Observation) -> bool:
        """What the stage relies on still holds, e.g. the object is in the hand; else it belongs to an earlier one."""
        ...


class Hashed(Protocol):
    """A value with a digest of its own."""

    @property
    def sha256(self) -> str: ...


class Program(Protocol):
    """What steering asks of a compiled reward program."""

    @property
    def program(self) -> Hashed: ...

    @property
    def stages(self) -> Sequence[StageReward]: ...


@dataclass(frozen=True)
class Objective:
    """One stage of the reward program in the scene of one observation (one reward snapshot per tick)."""

    judge: Judge  # the current stage, or its memory
    scene: Scene
    action_space: ActionSpace
    anchor: Tensor  # (3,) m
    times_s: Tensor  # (H,) s from now
    reward_s: float = 0.0  # part of a chunk that the reward looks at; 0 = all of it

    def rollout(self, clean: Tensor) -> Rollout:
        """The paths that normalised chunks (K, H, A) stand for; differentiable."""
        tcp, gripper_width = self.action_space.decode(clean, self.anchor)
        return Rollout(tcp, gripper_width, self.times_s)

    def score(self, clean: Tensor) -> Tensor:
        """Smooth reward (K,), higher is better, differentiable; NaN where the stage fails on a chunk."""
        judged = self._beginning(clean, self.reward_s) if self.reward_s > 0.0 else self.rollout(clean)
        return isolated(lambda rollout: self.judge.score(rollout, self.scene), judged)

    def least_robustness(self, clean: Tensor) -> Tensor:
        """Exact robustness (K,) of the worst condition, in units of score; NaN where the stage fails on a chunk."""
        return isolated(lambda rollout: self.judge.least_robustness(rollout, self.scene), self.rollout(clean))

    def safety(self, clean: Tensor, gate_s: float) -> Tensor:
        """Exact robustness (K,) m of the first `gate_s` seconds; NaN where the stage fails on a chunk."""
        gated = self._beginning(clean, gate_s)
        return isolated(lambda rollout: self.judge.safety(rollout, self.scene), gated)

    def safety_now(self) -> float:
        """Exact robustness of standing still, m."""
        return self.judge.safety_now(self.scene)

    def _beginning(self, clean: Tensor, seconds: float) -> Rollout:
        """The first `seconds` of what chunks stand for, one step at least."""
        steps = max(int((self.times_s <= seconds + 1e-6).sum()), 1)
        whole = self.rollout(clean)
        return Rollout(whole.tcp[:, :steps], whole.gripper_width[:, :steps], self.times_s[:steps])
