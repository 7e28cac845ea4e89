"""The particles of a tick, and everything that belongs to them."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from vls_steering.steering.initialise import Start


@dataclass(frozen=True)
class Swarm:
    """One row per particle in every field, so that nothing can stay behind when a particle moves.

    Only the noise that is still to be drawn belongs to the slot: a survivor keeps its slot and with it its
    own stream, a copy gets the stream of the slot it fills and so parts from its original.
    """

    x: Tensor  # (K, H, A), normalised, noisy
    clean: Tensor  # (K, H, A), last clean estimate
    raw: Tensor  # (K, H, A), the same without the last pull of the guidance, which may overshoot until late
    levels: Tensor  # (K, M + 1), before each move and after the last
    started: Tensor  # (K,) level that the particle was last started from
    lineage: Tensor  # (K,) int64, index of the particle of the start that it descends from; -1 of none
    alive: Tensor  # (K,) bool: finite in the network, the reward and its gradient so far
    shift_m: Tensor  # (K,) m, largest displacement of a chunk step by the guidance so far
    memory: Tensor  # (K,) float64, what the potential keeps of its rewards; -inf before the first
    tilt: Tensor  # (K,) float64, inverse temperature at which it was last weighed
    spent: Tensor  # (K,) float64, log of the potentials that resampling has paid out
    log_weight: Tensor  # (K,) float64, of those that it has not

    @staticmethod
    def of(start: Start, levels: Tensor) -> Swarm:
        """The swarm before its first move."""
        nothing = torch.zeros_like(start.level, dtype=torch.float64)
        return Swarm(
            x=start.x,
            clean=start.guess,
            raw=start.guess,
            levels=levels,
            started=start.level,
            lineage=torch.arange(len(start.level), device=start.level.device),
            alive=torch.ones_like(start.warm),
            shift_m=torch.zeros_like(start.level),
            memory=torch.full_like(nothing, -torch.inf),
            tilt=nothing,
            spent=nothing,
            log_weight=nothing,
        )

    def take(self, ancestors: Tensor) -> Swarm:
        """Slot i becomes what `ancestors[i]` is; (K,) int64."""
        return Swarm(**{part.name: getattr(self, part.name)[ancestors] for part in fields(self)})
