"""The loop that every preset runs: start -> (denoise -> guide -> step)* -> clean chunks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vls_steering.policies.base import Encoding, FrozenPolicy, NoiseSchedule
from vls_steering.steering.guide import Estimate, Estimator, Unguided
from vls_steering.steering.initialise import Initialiser, Plan, Start, jump_in_sigma
from vls_steering.steering.levels import denoise_step, descend, noised
from vls_steering.steering.settings import StartSettings
from vls_steering.steering.stopwatch import Stopwatch


@dataclass(frozen=True)
class TickNoise:
    """All the randomness of one tick, a function of (seed, tick) alone, so that a run replays.

    Particles come first in memory: particle i draws the same numbers whatever K is.
    """

    start: Tensor  # (K, H, A)
    restart: Tensor  # (K, H, A), for particles whose plan the observation contradicts
    steps: Tensor  # (K, S, H, A)

    @staticmethod
    def draw(seed: int, tick: int, particles: int, steps: int, horizon: int, dims: int) -> TickNoise:
        state = int(np.random.SeedSequence([seed, tick]).generate_state(1, np.uint64)[0] >> np.uint64(1))
        generator = torch.Generator().manual_seed(state)
        noise = torch.randn((particles, steps + 2, horizon, dims), generator=generator)
        return TickNoise(noise[:, 0], noise[:, 1], noise[:, 2:])

    def to(self, like: Tensor) -> TickNoise:
        return TickNoise(self.start.to(like), self.restart.to(like), self.steps.to(like))


@dataclass(frozen=True)
class Samples:
    """What the loop leaves behind."""

    start: Start
    clean: Tensor  # (K, H, A), normalised
    alive: Tensor  # (K,) bool: finite in the network, the reward and its gradient on every step
    shift_m: Tensor  # (K,), largest displacement of a chunk step by the guidance in any denoising step
    level: Tensor  # (K,), level that each particle was last started from
    steps: int  # network evaluations, each of K rows
    jumped: int  # particles restarted because the observation contradicted their plan


class Sampler:
    """Runs K particles, each at its own level, through shared network passes."""

    def __init__(self, policy: FrozenPolicy, initialiser: Initialiser, settings: StartSettings, eta: float) -> None:
        self._policy = policy
        self._initialiser = initialiser
        self._settings = settings
        self._eta = eta

    def sample(
        self,
        encoding: Encoding,
        anchor: Tensor,
        stamp_s: float,
        plan: Plan | None,
        turned: bool,
        guide: Estimator,
        guided_steps: int,
        noise: TickNoise,
        watch: Stopwatch,
    ) -> Samples:
        """Clean chunks for one observation.

        `anchor` (3,) m is the measured TCP; `guide` shapes the first `guided_steps` estimates and the
        network alone the others; the number of steps is the noise's.
        """
        noise = noise.to(encoding)
        start = self._initialiser.start(plan, stamp_s, anchor, noise.start, turned)
        descent = descend(start.level, noise.steps.shape[1])
        x, level, jumped = start.x, start.level, 0
        alive = torch.ones_like(start.warm)
        shift_m = torch.zeros_like(start.level)
        for column in range(descent.steps):
            estimator = guide if column < guided_steps else Unguided()
            now, after = descent.levels[:, column], descent.levels[:, column + 1]
            estimate = self._estimate(estimator, encoding, x, now, watch)
            alive = alive & estimate.alive
            shift_m = torch.maximum(shift_m, estimate.shift_m)
            schedule = self._policy.schedule
            x = denoise_step(x, estimate.clean, now, after, schedule, self._eta, noise.steps[:, column])
            if column == 0 and plan is not None and descent.steps > 1:
                restart = self._restart_level(start, estimate, schedule)
                marked = restart > after
                x = torch.where(marked[:, None, None], noised(estimate.clean, restart, schedule, noise.restart), x)
                descent = descent.restarted(0, marked, restart)
                level = torch.where(marked, restart, level)
                jumped = int(marked.sum())
        return Samples(start, estimate.clean, alive, shift_m, level, descent.steps, jumped)

    def _estimate(
        self, estimator: Estimator, encoding: Encoding, x: Tensor, level: Tensor, watch: Stopwatch
    ) -> Estimate:
        schedule = self._policy.schedule

        def predict(noisy: Tensor) -> Tensor:
            with watch.section("denoise"):
                return self._policy.predict_clean(encoding, noisy, level)

        with watch.section("guide"):
            return estimator.estimate(predict, x, schedule.alpha(level), schedule.sigma(level))

    def _restart_level(self, start: Start, estimate: Estimate, schedule: NoiseSchedule) -> Tensor:
        """Level (K,) that the jump test sends each particle back to; 0 = go on as you are."""
        jump = jump_in_sigma(start, estimate.raw, schedule)
        raised = torch.where(jump > self._settings.jump_raise, self._settings.jump_level, 0.0)
        return torch.where(jump > self._settings.jump_cold, 1.0, raised).to(start.level)
