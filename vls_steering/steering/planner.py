"""One tick without memory: from an encoded observation and the last plan to judged candidates."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vls_steering.core.errors import VlsError
from vls_steering.policies.base import FrozenPolicy
from vls_steering.steering.bounds import Bounds
from vls_steering.steering.course import Course, make_course
from vls_steering.steering.diversity import Apart
from vls_steering.steering.guide import Estimator, Guided, Unguided
from vls_steering.steering.initialise import ColdStart, Initialiser, Plan, WarmStart
from vls_steering.steering.noise import Stream
from vls_steering.steering.objective import Objective
from vls_steering.steering.released import InverseDistance, NoisySampleGuided
from vls_steering.steering.sampler import Query, Sampler, Samples
from vls_steering.steering.select import Candidates, Selection, Selector, admissible, gumbel, standard_scorers
from vls_steering.steering.settings import SteeringSettings
from vls_steering.steering.splice import Splice, weights
from vls_steering.steering.stopwatch import Stopwatch


class OutOfTime(VlsError):
    """The deadline passed before the first step, and there is no plan to go on with."""


@dataclass(frozen=True)
class Outcome:
    """K candidates and the verdict on them."""

    samples: Samples
    tcp: Tensor  # (K, H, 3) m, base frame
    gripper_width: Tensor  # (K, H) m, continuous
    reward: Tensor  # (K,), zeros when unsteered
    safety_m: Tensor  # (K,), +inf when unsteered
    selection: Selection

    def plan(self, begins_s: float, anchor: Tensor, step_s: float) -> Plan:
        """What the next tick warm-starts from."""
        order = self.selection.order
        return Plan(begins_s, anchor, self.tcp[order], self.gripper_width[order], step_s)


class Planner:
    """The parts that a set of settings names, wired to one policy."""

    def __init__(self, policy: FrozenPolicy, settings: SteeringSettings) -> None:
        self._action_space = policy.action_space
        self._settings = settings
        self._sampler = Sampler(policy, _initialiser(policy, settings), settings)
        self._selector = Selector(standard_scorers(settings.select), settings.select)

    @property
    def notice(self) -> str:
        """What is odd about the settings; empty when nothing."""
        return self._sampler.resampler.notice

    def course(self, steps: int) -> Course:
        """The itinerary of a tick of `steps` denoising steps."""
        guide, mutation = self._settings.guide, self._settings.mutation
        first, last = self._guided(steps)
        repeats = [guide.n_recur if guide.mode != "off" and first <= step < last else 1 for step in range(steps)]
        return make_course(repeats, mutation.rounds, mutation.level, mutation.steps)

    def plan(self, query: Query, watch: Stopwatch) -> Outcome:
        """Raises OutOfTime when the deadline leaves nothing to execute."""
        samples = self._sampler.sample(query, self._estimators(query), self._splice(query), watch)
        if samples.steps == 0:
            samples = self._carried_on(query, samples)
        with watch.section("select"), torch.no_grad():
            return self._judge(samples, query)

    def _guided(self, steps: int) -> tuple[int, int]:
        """First guided step, and the first one after it that is not."""
        guide = self._settings.guide
        return round(steps * guide.start), math.ceil(steps * (1.0 - guide.stop_late))

    def _estimators(self, query: Query) -> Callable[[int], Estimator]:
        """Who estimates the clean chunk in which denoising step."""
        plain = Unguided()
        if query.objective is None:
            return lambda step: plain
        steps, diversity = query.course.steps, self._settings.diversity
        first, last = self._guided(steps)
        apart_until = 0 if diversity.kernel == "off" else round(steps * diversity.until)
        bent = self._bent(query, query.objective)

        def estimator_of(step: int) -> Estimator:
            inner = bent if first <= step < last else plain
            return self._apart(inner, query.anchor) if step < apart_until else inner

        return estimator_of

    def _bent(self, query: Query, objective: Objective) -> Estimator:
        settings, share = self._settings.guide, query.strength_share
        strength = share * self._settings.strength.maximum
        if settings.mode == "off":
            return Unguided()
        if settings.mode == "noisy":
            return NoisySampleGuided(objective, strength, settings.estimate_limit)
        nudges = query.noise.normal(Stream.SMOOTH, 0, settings.gamma_samples) if settings.gamma > 0.0 else None
        return Guided(objective, strength, share, settings, nudges)

    def _apart(self, inner: Estimator, anchor: Tensor) -> Estimator:
        guide, diversity = self._settings.guide, self._settings.diversity
        if diversity.kernel == "inverse_distance":
            limit, path_s = guide.estimate_limit, diversity.path_s
            return InverseDistance(self._action_space, diversity.strength, limit, path_s, anchor)
        bounds = Bounds(guide.clip_sigma, guide.trust_m, self._action_space.scale(anchor))
        return Apart(inner, diversity.strength, bounds)

    def _splice(self, query: Query) -> Splice | None:
        """The beginning of the chunk that still holds; None when nothing does."""
        if query.plan is None or query.committed_s <= 0.0:
            return None
        space = self._action_space
        ahead = self._ahead(query, query.plan)
        frozen = min(math.ceil(query.committed_s / space.step_s - 1e-6), ahead)
        # After a change of goal the old chunk is followed as long as it must be, and no longer agreed with.
        blend = 0 if query.turned else self._settings.splice.blend_steps
        tcp, width = query.plan.shifted(query.stamp_s - query.plan.stamp_s)
        committed = space.encode(tcp[:1], width[:1], query.anchor)[0]
        return Splice(committed, weights(space.horizon, frozen, blend, ahead).to(committed), frozen)

    def _carried_on(self, query: Query, samples: Samples) -> Samples:
        """The executed chunk alone, shifted by the time that passed, when not one step was done."""
        if query.plan is None or self._ahead(query, query.plan) == 0:
            raise OutOfTime(f"{samples.late}, and there is no plan to go on with")
        tcp, width = query.plan.shifted(query.stamp_s - query.plan.stamp_s)
        clean = self._action_space.encode(tcp[:1], width[:1], query.anchor).to(samples.clean)
        one = samples.level[:1]
        return Samples(
            clean=clean,
            alive=torch.isfinite(clean.flatten(1)).all(dim=1),
            shift_m=torch.zeros_like(one),
            level=torch.zeros_like(one),
            memory=torch.zeros_like(one, dtype=torch.float64),
            warm=True,
            incumbent=0,
            steps=0,
            jumped=0,
            resamples=0,
            ess=1.0,
            frozen=0,
            late=samples.late,
        )

    def _judge(self, samples: Samples, query: Query) -> Outcome:
        tcp, width = self._action_space.decode(samples.clean, query.anchor)
        reward, gate_s = torch.zeros_like(samples.level), self._settings.select.gate_s
        safety_m, still_m, robustness = torch.full_like(reward, torch.inf), math.inf, None
        if query.objective is not None:
            reward = query.objective.score(samples.clean)
            if self._settings.select.robustness_weight > 0.0:
                robustness = query.objective.least_robustness(samples.clean)
                reward = torch.where(torch.isnan(robustness), torch.nan, reward)
            if gate_s > 0.0:
                safety_m = query.objective.safety(samples.clean, gate_s)
                still_m = query.objective.safety_now()
        candidates = Candidates(
            tcp=tcp,
            gripper_width=width,
            anchor=query.anchor,
            step_s=self._action_space.step_s,
            admissible=admissible(samples.alive, reward, safety_m, still_m),
            reward=reward,
            memory=samples.memory,
            committed=self._committed(query),
            robustness=robustness,
        )
        incumbent = None if query.turned else samples.incumbent
        draw = gumbel(query.noise, len(reward)) if self._settings.select.temperature > 0.0 else None
        return Outcome(samples, tcp, width, reward, safety_m, self._selector.select(candidates, incumbent, draw))

    def _committed(self, query: Query) -> Tensor | None:
        """The part of the executed chunk that still lies ahead, (H', 3) m; None when none does."""
        if query.plan is None or query.turned:
            return None
        ahead = self._ahead(query, query.plan)
        return query.plan.shifted(query.stamp_s - query.plan.stamp_s)[0][0, :ahead] if ahead > 0 else None

    def _ahead(self, query: Query, plan: Plan) -> int:
        """Steps of the executed chunk that are not due yet, at most H."""
        elapsed_s = max(query.stamp_s - plan.stamp_s, 0.0)
        return max(self._action_space.horizon - math.ceil(elapsed_s / self._action_space.step_s - 1e-6), 0)


def _initialiser(policy: FrozenPolicy, settings: SteeringSettings) -> Initialiser:
    if settings.start.mode == "cold":
        return ColdStart()
    return WarmStart(settings.start, policy.action_space, policy.schedule)
