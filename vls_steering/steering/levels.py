"""Noise levels: where each particle is, where it goes next, and how it gets there."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vls_steering.policies.base import NoiseSchedule


@dataclass(frozen=True)
class LevelPlan:
    """(K, S + 1) levels in [0, 1], each row falling strictly to 0: one row per particle, one column per step."""

    levels: Tensor

    @property
    def steps(self) -> int:
        return int(self.levels.shape[1]) - 1

    def restarted(self, column: int, particles: Tensor, start: Tensor) -> LevelPlan:
        """Particles marked in `particles` (K,) go from `start` (K,) to 0 over the steps after `column`."""
        rest = descend(start, self.steps - column - 1).levels
        levels = self.levels.clone()
        levels[:, column + 1 :] = torch.where(particles[:, None], rest, levels[:, column + 1 :])
        return LevelPlan(levels)


def descend(start: Tensor, steps: int) -> LevelPlan:
    """Evenly spaced levels from `start` (K,) to 0 in `steps` steps."""
    ramp = torch.linspace(1.0, 0.0, steps + 1, dtype=start.dtype, device=start.device)
    return LevelPlan(start[:, None] * ramp)


def noised(clean: Tensor, level: Tensor, schedule: NoiseSchedule, noise: Tensor) -> Tensor:
    """`alpha * clean + sigma * noise` with a level (K,) per particle; (K, H, A)."""
    return _per_particle(schedule.alpha(level)) * clean + _per_particle(schedule.sigma(level)) * noise


def denoise_step(
    x: Tensor, clean: Tensor, level: Tensor, next_level: Tensor, schedule: NoiseSchedule, eta: float, noise: Tensor
) -> Tensor:
    """One step of DDIM (Song et al. 2021, eq. 12) between any two levels, VP and flow alike.

    `x` and the clean estimate are (K, H, A), levels (K,).  The noise estimate is the one that agrees with
    `clean`, so a guided `clean` moves the score as well.  `eta` 0 is deterministic, 1 ancestral.
    """
    alpha, sigma = _per_particle(schedule.alpha(level)), _per_particle(schedule.sigma(level))
    next_alpha, next_sigma = _per_particle(schedule.alpha(next_level)), _per_particle(schedule.sigma(next_level))
    noise_estimate = (x - alpha * clean) / sigma
    fresh = eta * next_sigma * (1.0 - (alpha * next_sigma / (next_alpha * sigma)).square()).clamp_min(0.0).sqrt()
    kept = (next_sigma.square() - fresh.square()).clamp_min(0.0).sqrt()
    return next_alpha * clean + kept * noise_estimate + fresh * noise


def _per_particle(value: Tensor) -> Tensor:
    return value[:, None, None]
