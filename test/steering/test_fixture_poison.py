"""A reward that breaks on one particle takes that one out and leaves the others bit-identical."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from steering.worlds import SCHEDULES, Wish, begun, fan, mode_goal, observe, vary
from torch import Tensor

from vls_steering.core.types import ChunkSource
from vls_steering.policies.base import NoiseSchedule
from vls_steering.rewards.rollout import Rollout, Scene
from vls_steering.steering import SteeringSettings, TickResult

VICTIM = 3
both = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda schedule: schedule.name)
modes = pytest.mark.parametrize("mode", ["x0", "through", "off"])


@dataclass
class Poisoned(Wish):
    """Breaks wherever it meets the victim's first clean estimate again, alone or among others."""

    poison: Any = None
    victim: Tensor | None = field(default=None)

    def score(self, rollout: Rollout, scene: Scene) -> Tensor:
        if self.victim is None:
            self.victim = rollout.tcp[VICTIM].detach().clone()
        struck = (rollout.tcp.detach() == self.victim).all(dim=2).all(dim=1)
        score = super().score(rollout, scene)
        if not bool(struck.any()):
            return score
        if isinstance(self.poison, float):
            return torch.where(struck, torch.full_like(score, self.poison), score)
        if self.poison is None:
            return None  # type: ignore[return-value]
        raise self.poison


def settings(mode: str) -> SteeringSettings:
    return vary("ours", particles=8, guide={"mode": mode})


def tick(schedule: NoiseSchedule, mode: str, stage: type[Wish], **poison: Any) -> TickResult:
    policy = fan(1.0, 1.0, 1.0, schedule=schedule)
    return begun(policy, settings(mode), stage(mode_goal(policy, 2), **poison), seed=5).tick(observe(0.0))


@both
@modes
@pytest.mark.parametrize(
    "poison",
    [math.nan, math.inf, -math.inf, None, ZeroDivisionError("1 / 0"), RuntimeError("not that chunk"), IndexError("0")],
    ids=lambda poison: type(poison).__name__ if isinstance(poison, Exception) else str(poison),
)
def test_the_others_do_not_notice(schedule: NoiseSchedule, mode: str, poison: Any) -> None:
    healthy, found = tick(schedule, mode, Wish), tick(schedule, mode, Poisoned, poison=poison)
    others = np.arange(8) != VICTIM
    assert np.array_equal(found.candidates[others], healthy.candidates[others])
    assert np.isfinite(found.candidates).all()
    assert found.scores[VICTIM] == -np.inf
    assert found.chosen != VICTIM
    assert found.telemetry.admissible == 7


@dataclass
class Hopeless(Wish):
    """Breaks on everything."""

    poison: Any = None

    def score(self, rollout: Rollout, scene: Scene) -> Tensor:
        if isinstance(self.poison, Exception):
            raise self.poison
        return self.poison if self.poison is None else super().score(rollout, scene) * self.poison


@modes
@pytest.mark.parametrize("poison", [math.nan, None, ZeroDivisionError("1 / 0")], ids=str)
def test_where_nothing_can_be_judged_the_robot_holds_and_says_why(mode: str, poison: Any) -> None:
    found = tick(SCHEDULES[0], mode, Hopeless, poison=poison)
    assert found.chunk.source is ChunkSource.HOLD
    assert "reward" in found.telemetry.reason


def test_a_safety_term_that_breaks_on_a_chunk_rules_it_out() -> None:
    class Fragile(Wish):
        def safety(self, rollout: Rollout, scene: Scene) -> Tensor:
            if bool((rollout.tcp[:, -1, 1] < -0.06).any()):
                raise ValueError("left of everything I know")
            return super().safety(rollout, scene)

    policy = fan(1.0, 1.0, 1.0)
    many = settings("off").model_copy(update={"particles": 24})  # a third of them go left, give or take
    found = begun(policy, many, Fragile(mode_goal(policy, 0)), seed=5).tick(observe(0.0))
    left = found.candidates[:, -1, 1] < -0.06
    assert left.any()
    assert np.array_equal(np.isneginf(found.scores), left)
