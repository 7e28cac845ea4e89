"""Feynman-Kac resampling: good particles multiply, bad ones die, the best one always stays."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vls_steering.policies.base import NoiseSchedule
from vls_steering.steering.course import Move
from vls_steering.steering.levels import jittered
from vls_steering.steering.noise import Stream, TickNoise
from vls_steering.steering.potentials import effective_size, log_weights, remembered
from vls_steering.steering.settings import ResampleSettings
from vls_steering.steering.swarm import Swarm

# Above this stochasticity the steps themselves part the copies of a particle.
ETA_THAT_PARTS_COPIES = 0.3
_ROUNDING = 1.01  # a target met by bisection is met to a percent


@dataclass(frozen=True)
class Look:
    """What came of one look at the weights."""

    swarm: Swarm
    ess: float  # effective sample size before resampling, in particles
    resampled: bool


class Resampler:
    """Weighs the swarm after a step and redraws it when the weights have become uneven."""

    def __init__(self, settings: ResampleSettings, eta: float, schedule: NoiseSchedule) -> None:
        self._settings = settings
        self._schedule = schedule
        self._jitter = settings.jitter if eta < ETA_THAT_PARTS_COPIES else 0.0
        self.notice = ""
        if settings.potential != "off" and eta == 0.0 and settings.jitter == 0.0:
            self.notice = "resampling with eta 0 and no jitter: copies of a particle stay copies"
            logging.getLogger(__name__).warning(self.notice)

    def due(self, move: Move, steps: int) -> bool:
        """It is time for a look after this move of a course whose first descent has `steps` steps.

        Later descents are short: they are looked at when they land.
        """
        if self._settings.potential == "off" or not move.settles:
            return False
        since = move.step - round(self._settings.start * steps)
        return move.lands or (move.step < steps and since >= 0 and since % self._settings.every == 0)

    def look(self, swarm: Swarm, reward: Tensor, level: Tensor, column: int, move: Move, noise: TickNoise) -> Look:
        """`reward` (K,) of the particles, which have just made `move` and are at `level` (K,).

        A particle that is not alive has no weight, and one whose reward is not finite does not live on.
        """
        fit = swarm.alive & torch.isfinite(reward)
        if not bool(fit.any()):
            return Look(replace(swarm, alive=fit), 0.0, False)
        reward = torch.where(fit, reward.double(), -torch.inf)
        swarm = replace(swarm, alive=fit, memory=remembered(self._settings.potential, swarm.memory, reward))
        weight, tilt = log_weights(swarm, reward, move.lands, self._settings)
        ess = float(effective_size(weight))
        swarm = replace(swarm, log_weight=weight, tilt=tilt)
        everybody = float(weight.max() - weight.min()) == 0.0
        if everybody or (not move.lands and ess > _ROUNDING * self._settings.ess_target * len(weight)):
            return Look(swarm, ess, False)
        count = offspring(weight, self._positions(len(weight), column, noise))
        count = with_elites(count, reward, self._settings.elites)
        ancestors = in_place(count)
        memory = reward if self._settings.potential == "diff" else swarm.memory
        paid = replace(swarm, memory=memory, spent=swarm.spent + weight, log_weight=torch.zeros_like(weight))
        return Look(self._parted(paid.take(ancestors), ancestors, level, column, noise), ess, True)

    def _positions(self, particles: int, column: int, noise: TickNoise) -> Tensor:
        """Where on the cumulated weights the offspring are picked, (K,) ascending in [0, 1)."""
        if self._settings.scheme == "systematic":
            comb = torch.arange(particles, dtype=torch.float64)
            return (comb + noise.uniform(Stream.RESAMPLE, column, 1)) / particles
        return noise.uniform(Stream.RESAMPLE, column, particles).sort().values

    def _parted(self, swarm: Swarm, ancestors: Tensor, level: Tensor, column: int, noise: TickNoise) -> Swarm:
        """Copies get some noise of their own where the steps would not give them any."""
        if self._jitter == 0.0:
            return swarm
        copies = ancestors != torch.arange(len(ancestors), device=ancestors.device)
        fresh = noise.normal(Stream.JITTER, column, len(ancestors))
        moved = jittered(swarm.x, swarm.clean, level[ancestors], self._schedule, self._jitter, fresh)
        return replace(swarm, x=torch.where(copies[:, None, None], moved, swarm.x))


def offspring(log_weight: Tensor, positions: Tensor) -> Tensor:
    """Number of offspring (K,) of each particle when they are picked at `positions` of the cumulated weights."""
    cumulated = log_weight.double().softmax(dim=0).cumsum(dim=0)
    last = int((log_weight > -torch.inf).nonzero().max())
    picked = torch.searchsorted(cumulated, positions.to(cumulated), right=True).clamp(max=last)
    return torch.bincount(picked, minlength=len(log_weight))


def with_elites(count: Tensor, reward: Tensor, elites: int) -> Tensor:
    """Offspring numbers (K,) in which the best `elites` by `reward` have at least one, taken from the most fertile."""
    count = count.clone()
    for best in reward.topk(min(elites, len(reward))).indices.tolist():
        if count[best] == 0 and reward[best] > -torch.inf:
            count[count.argmax()] -= 1
            count[best] = 1
    return count


def in_place(count: Tensor) -> Tensor:
    """Ancestors (K,) with these offspring numbers, such that every survivor stays in its own slot."""
    slots = torch.arange(len(count), device=count.device)
    ancestors = slots.clone()
    ancestors[count == 0] = slots.repeat_interleave((count - 1).clamp_min(0))
    return ancestors
