"""Noise levels: where each particle is, where it goes next, and how it gets there."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vls_steering.policies.base import NoiseSchedule


@dataclass(frozen=True)
class LevelPlan:
    """(K, S + 1) levels in [0, 1], each row falling strictly to 0: one row per particle, one column per step."""

    levels: Tensor


def descend(start: Tensor, steps: int) -> LevelPlan:
    """Evenly spaced levels from `start` (K,) to 0 in `steps` steps."""
    ramp = torch.linspace(1.0, 0.0, steps + 1, dtype=start.dtype, device=start.device)
    return LevelPlan(start[:, None] * ramp)


def noised(clean: Tensor, level: Tensor, schedule: NoiseSchedule, noise: Tensor) -> Tensor:
    """`alpha * clean + sigma * noise` with a level (K,) per particle; (K, H, A)."""
    return _per_particle(schedule.alpha(level)) * clean + _per_particle(schedule.sigma(level)) * noise


def renoised(x: Tensor, level: Tensor, higher: Tensor, schedule: NoiseSchedule, noise: Tensor) -> Tensor:
    """The forward process: x (K, H, A) with the marginal of `level` (K,) gets that of `higher` (K,)."""
    keep = schedule.alpha(higher) / schedule.alpha(level)
    fresh = (schedule.sigma(higher).square() - (keep * schedule.sigma(level)).square()).clamp_min(0.0).sqrt()
    return _per_particle(keep) * x + _per_particle(fresh) * noise


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


def jittered(x: Tensor, clean: Tensor, level: Tensor, schedule: NoiseSchedule, share: float, noise: Tensor) -> Tensor:
    """`x` (K, H, A) with a share of its noise replaced by fresh noise of the same variance; the level stays."""
    alpha, sigma = _per_particle(schedule.alpha(level)), _per_particle(schedule.sigma(level))
    kept = math.sqrt(1.0 - share**2)
    return alpha * clean + kept * (x - alpha * clean) + share * sigma * noise


def _per_particle(value: Tensor) -> Tensor:
    return value[:, None, None]
