"""One tick without memory: from an encoded observation and the last plan to judged candidates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vls_steering.policies.base import Encoding, FrozenPolicy
from vls_steering.steering.guide import Estimator, Guided, Unguided
from vls_steering.steering.initialise import ColdStart, Initialiser, Plan, WarmStart
from vls_steering.steering.objective import Objective
from vls_steering.steering.sampler import Sampler, Samples, TickNoise
from vls_steering.steering.select import Candidates, Selection, Selector, admissible, standard_scorers
from vls_steering.steering.settings import SteeringSettings
from vls_steering.steering.stopwatch import Stopwatch


@dataclass(frozen=True)
class Query:
    """Everything a tick depends on."""

    stamp_s: float
    encoding: Encoding
    anchor: Tensor  # (3,) m, measured TCP
    objective: Objective | None  # None = unsteered
    strength_share: float  # of the maximum guidance strength, 0..1
    plan: Plan | None  # of the last tick
    turned: bool  # the goal has just changed: old chunks and the lineage count for little
    steps: int
    noise: TickNoise


@dataclass(frozen=True)
class Outcome:
    """K candidates and the verdict on them."""

    samples: Samples
    tcp: Tensor  # (K, H, 3) m, base frame
    gripper_width: Tensor  # (K, H) m, continuous
    reward: Tensor  # (K,), zeros when unsteered
    safety_m: Tensor  # (K,), +inf when unsteered
    selection: Selection

    def plan(self, stamp_s: float, anchor: Tensor, step_s: float) -> Plan:
        """What the next tick warm-starts from."""
        order = self.selection.order
        return Plan(stamp_s, anchor, self.tcp[order], self.gripper_width[order], step_s)


class Planner:
    """The parts that a set of settings names, wired to one policy."""

    def __init__(self, policy: FrozenPolicy, settings: SteeringSettings) -> None:
        self._action_space = policy.action_space
        self._settings = settings
        self._sampler = Sampler(policy, _initialiser(policy, settings), settings.start, settings.eta)
        self._selector = Selector(standard_scorers(settings.select), settings.select)

    def plan(self, query: Query, watch: Stopwatch) -> Outcome:
        samples = self._sampler.sample(
            encoding=query.encoding,
            anchor=query.anchor,
            stamp_s=query.stamp_s,
            plan=query.plan,
            turned=query.turned,
            guide=self._guide(query),
            guided_steps=math.ceil(query.steps * (1.0 - self._settings.guide.stop_late)),
            noise=query.noise,
            watch=watch,
        )
        with watch.section("select"), torch.no_grad():
            return self._judge(samples, query)

    def _guide(self, query: Query) -> Estimator:
        if query.objective is None or self._settings.guide.mode == "off":
            return Unguided()
        share = query.strength_share
        return Guided(query.objective, share * self._settings.strength.maximum, share, self._settings.guide)

    def _judge(self, samples: Samples, query: Query) -> Outcome:
        tcp, width = self._action_space.decode(samples.clean, query.anchor)
        reward = torch.zeros_like(samples.level)
        safety_m, still_m = torch.full_like(reward, torch.inf), math.inf
        if query.objective is not None:
            reward = query.objective.score(samples.clean)
            safety_m = query.objective.safety(samples.clean, self._settings.select.gate_s)
            still_m = query.objective.safety_now()
        candidates = Candidates(
            tcp=tcp,
            gripper_width=width,
            anchor=query.anchor,
            step_s=self._action_space.step_s,
            admissible=admissible(samples.alive, reward, safety_m, still_m),
            reward=reward,
            committed=self._committed(query),
        )
        incumbent = None if query.turned else samples.start.incumbent
        return Outcome(samples, tcp, width, reward, safety_m, self._selector.select(candidates, incumbent))

    def _committed(self, query: Query) -> Tensor | None:
        """The part of the executed chunk that still lies ahead, (H', 3) m; None when none does."""
        if query.plan is None or query.turned:
            return None
        elapsed_s = query.stamp_s - query.plan.stamp_s
        ahead = self._action_space.horizon - math.ceil(elapsed_s / self._action_space.step_s - 1e-6)
        return query.plan.shifted(elapsed_s)[0][0, :ahead] if ahead > 0 else None


def _initialiser(policy: FrozenPolicy, settings: SteeringSettings) -> Initialiser:
    if settings.start.mode == "cold":
        return ColdStart()
    return WarmStart(settings.start, policy.action_space, policy.schedule)
