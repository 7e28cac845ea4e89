"""Feynman-Kac potentials in the log domain (Singhal et al. 2025, arXiv 2501.06848).

A potential turns what a particle's rewards have been into the log weight that it has earned since it was
last resampled.  Weights never leave the log domain: exp(10 r) with a clamp ties all rewards above 2.3.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vls_steering.steering.settings import ResampleSettings
from vls_steering.steering.swarm import Swarm

# Weights beyond this ratio of the best to the worst are the best alone; bisection need not look further.
_LARGEST_LOG_RATIO = 1e3
_TINY = 1e-12


def remembered(potential: str, memory: Tensor, reward: Tensor) -> Tensor:
    """What a particle keeps of its rewards after a look, (K,): the best, their sum, the last one.

    With `diff` it keeps the one that it was last paid for, so a look alone changes nothing.
    """
    if potential == "max":
        return torch.maximum(memory, reward)
    if potential == "sum":
        return torch.where(torch.isneginf(memory), reward, memory + reward)
    return memory if potential == "diff" else reward


def log_weights(swarm: Swarm, reward: Tensor, lands: bool, settings: ResampleSettings) -> tuple[Tensor, Tensor]:
    """Log weight (K,), -inf for the dead, and inverse temperature (K,) of particles that have just got `reward` (K,).

    With inverse temperature b, S the log of all that was paid out and W what was earned and not paid out:

        diff               b (r - r_paid)     telescopes to exp(b r)
        max, sum, rt       W + b memory
        max, sum at last   b r - S            the final correction: whatever the way there, the law is exp(b r)
        the same in VLS    b memory - S       `correction: memory`; the law depends on the way

    A tempered b is found anew at every look, such that the reward's scale does not matter; the law is then that
    of the last b up to what the b's before it differed.
    """
    corrected = lands and settings.potential in ("max", "sum")
    base, value, lowest = settings.carry * swarm.log_weight, swarm.memory, 0.0
    if corrected:
        last = reward if settings.correction == "reward" else swarm.memory
        base, value, lowest = -swarm.spent, last, float(swarm.tilt.max())
    elif settings.potential == "diff":
        base, value = torch.zeros_like(reward), reward - swarm.memory.nan_to_num(neginf=0.0)
    alive, inverse_temperature = swarm.alive, settings.inverse_temperature
    if settings.tilt == "tempered":
        inverse_temperature = tempered(base[alive], value[alive], lowest, settings.ess_target * int(alive.sum()))
    weight = torch.where(alive, base + inverse_temperature * value, -torch.inf)
    return weight, torch.full_like(weight, inverse_temperature)


def tempered(base: Tensor, value: Tensor, lowest: float, target: float) -> float:
    """The b >= `lowest` at which the weights exp(base + b value), (K,) each, have the effective size `target`.

    `lowest` when they fall short of it already, and when `value` is the same for all and no b would do.  Bisection,
    sixteen ways at a time.
    """
    best = value.sort(descending=True).values
    # Once nobody from the target's place on has any weight, the size is below it; one outlier far down says nothing.
    gap = float(best[0] - best[math.ceil(target) - 1]) or float(best[0] - best[-1])
    if gap < _TINY or float(effective_size(base + lowest * value)) <= target:
        return lowest
    low, high = lowest, lowest + _LARGEST_LOG_RATIO / gap
    for _ in range(6):
        rungs = torch.linspace(low, high, 17, dtype=value.dtype, device=value.device)
        enough = effective_size(base + rungs[:, None] * value) > target
        last = max(int(enough.long().cumprod(0).sum()) - 1, 0)
        low, high = float(rungs[last]), float(rungs[min(last + 1, 16)])
    return high


def effective_size(log_weight: Tensor) -> Tensor:
    """Effective sample size (sum w)^2 / sum w^2 over the last axis, in particles; log weights may be -inf, not all."""
    return torch.exp(2.0 * log_weight.logsumexp(dim=-1) - (2.0 * log_weight).logsumexp(dim=-1))
