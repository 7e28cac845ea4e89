"""The loop that every preset runs: start -> (denoise -> guide -> step -> resample)* -> clean chunks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vls_steering.policies.base import Encoding, FrozenPolicy
from vls_steering.steering.course import Course
from vls_steering.steering.deadline import Deadline
from vls_steering.steering.guide import Estimate, Estimator
from vls_steering.steering.initialise import Initialiser, Plan, Start, jump_in_sigma
from vls_steering.steering.levels import denoise_step, noised, renoised
from vls_steering.steering.noise import TickNoise
from vls_steering.steering.objective import Objective
from vls_steering.steering.resample import Look, Resampler
from vls_steering.steering.settings import SteeringSettings
from vls_steering.steering.splice import Splice
from vls_steering.steering.stopwatch import Stopwatch
from vls_steering.steering.swarm import Swarm


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
    course: Course
    noise: TickNoise
    deadline: Deadline
    committed_s: float = 0.0  # how long the last plan still holds, whatever this tick finds


@dataclass(frozen=True)
class Samples:
    """What the loop leaves behind."""

    clean: Tensor  # (K, H, A), normalised
    alive: Tensor  # (K,) bool: finite in the network, the reward and its gradient on every step
    shift_m: Tensor  # (K,), largest displacement of a chunk step by the guidance in any denoising step
    level: Tensor  # (K,), level that each particle was last started from
    memory: Tensor  # (K,), the resampler's record of its rewards
    warm: bool  # some particle started from its last chunk
    incumbent: int | None  # the particle that continues the executed chunk
    steps: int  # network evaluations, each of K rows
    jumped: int  # particles restarted because the observation contradicted their plan
    resamples: int
    ess: float  # smallest effective sample size seen, in particles; K when nobody looked
    frozen: int  # chunk steps clamped to the committed chunk
    late: str  # what the deadline cut short; empty when nothing


class Sampler:
    """Runs K particles, each at its own level, through shared network passes."""

    def __init__(self, policy: FrozenPolicy, initialiser: Initialiser, settings: SteeringSettings) -> None:
        self._policy = policy
        self._initialiser = initialiser
        self._start = settings.start
        self._eta = settings.eta
        self._judges_noisy = settings.resample.judged == "noisy"
        self.resampler = Resampler(settings.resample, settings.eta, policy.schedule)

    def sample(
        self, query: Query, estimator_of: Callable[[int], Estimator], splice: Splice | None, watch: Stopwatch
    ) -> Samples:
        """Clean chunks for one observation, at the latest when the deadline allows no further step.

        `estimator_of` says who estimates the clean chunk in which denoising step.
        """
        noise, course = query.noise.to(query.encoding), query.course
        start = self._initialiser.start(query.plan, query.stamp_s, query.anchor, noise.start, query.turned)
        swarm = Swarm.of(start, course.levels(start.level))
        done, jumped, late, looks = 0, 0, "", list[Look]()
        for column, move in enumerate(course.moves):
            now, after = swarm.levels[:, column], swarm.levels[:, column + 1]
            if not move.falls:
                swarm = replace(swarm, x=renoised(swarm.x, now, after, self._policy.schedule, noise.steps[:, column]))
                continue
            if not query.deadline.allows_a_step():
                late = f"deadline at step {done} of {course.evaluations}"
                break
            estimate = self._estimate(estimator_of(move.step), query.encoding, swarm.x, now, watch)
            swarm = self._stepped(swarm, estimate, splice, now, after, noise.steps[:, column])
            done += 1
            if column == 0 and query.plan is not None and course.steps > 1:
                swarm, jumped = self._restarted(swarm, start, estimate.raw, course, noise.restart)
            if query.objective is not None and self.resampler.due(move, course.steps):
                with watch.section("resample"), torch.no_grad():
                    reward = query.objective.score(swarm.x if self._judges_noisy else swarm.clean)
                    looks.append(self.resampler.look(swarm, reward, swarm.levels[:, column + 1], column, move, noise))
                    swarm = looks[-1].swarm
        return Samples(
            # Half way down the guidance still overshoots, to carry particles from mode to mode: not to be executed.
            clean=swarm.raw if late else swarm.clean,
            alive=swarm.alive,
            shift_m=swarm.shift_m,
            level=swarm.started,
            memory=swarm.memory,
            warm=bool(start.warm.any()),
            incumbent=_heir(swarm.lineage) if bool(start.warm[0]) else None,
            steps=done,
            jumped=jumped,
            resamples=sum(look.resampled for look in looks),
            ess=min((look.ess for look in looks), default=float(len(start.level))),
            frozen=splice.frozen if splice is not None else 0,
            late=late,
        )

    def _estimate(
        self, estimator: Estimator, encoding: Encoding, x: Tensor, level: Tensor, watch: Stopwatch
    ) -> Estimate:
        schedule = self._policy.schedule

        def predict(noisy: Tensor) -> Tensor:
            with watch.section("denoise"):
                return self._policy.predict_clean(encoding, noisy, level)

        with watch.section("guide"):
            return estimator.estimate(predict, x, schedule.alpha(level), schedule.sigma(level))

    def _stepped(
        self, swarm: Swarm, estimate: Estimate, splice: Splice | None, now: Tensor, after: Tensor, noise: Tensor
    ) -> Swarm:
        clean, raw = (part if splice is None else splice.clamp(part) for part in (estimate.clean, estimate.raw))
        return replace(
            swarm,
            x=denoise_step(swarm.x, clean, now, after, self._policy.schedule, self._eta, noise),
            clean=clean,
            raw=raw,
            alive=swarm.alive & estimate.alive,
            shift_m=torch.maximum(swarm.shift_m, estimate.shift_m),
        )

    def _restarted(self, swarm: Swarm, start: Start, raw: Tensor, course: Course, noise: Tensor) -> tuple[Swarm, int]:
        """The jump test after the first step: back up goes who finds the observation against its plan."""
        schedule = self._policy.schedule
        jump = jump_in_sigma(start, raw, schedule)
        raised = torch.where(jump > self._start.jump_raise, self._start.jump_level, 0.0)
        restart = torch.where(jump > self._start.jump_cold, 1.0, raised).to(start.level)
        marked = restart > swarm.levels[:, 1]
        moved = replace(
            swarm,
            x=torch.where(marked[:, None, None], noised(swarm.clean, restart, schedule, noise), swarm.x),
            levels=course.restarted(swarm.levels, marked, restart),
            started=torch.where(marked, restart, swarm.started),
            # From noise nothing of the executed chunk is left that could have a claim to go on.
            lineage=torch.where(marked & (restart >= 1.0), _NOBODYS, swarm.lineage),
        )
        return moved, int(marked.sum())


_NOBODYS = -1


def _heir(lineage: Tensor) -> int | None:
    """The first particle that descends from the first one of the start."""
    heirs = (lineage == 0).nonzero()
    return int(heirs[0]) if len(heirs) else None
