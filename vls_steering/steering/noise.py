"""All the randomness of one tick, a function of (seed, tick) alone, so that a run replays."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from torch import Tensor


class Stream(IntEnum):
    """What a part draws for; each purpose has numbers of its own, so that no part disturbs another."""

    RESAMPLE = 1
    JITTER = 2
    SMOOTH = 3
    SELECT = 4


@dataclass(frozen=True)
class TickNoise:
    """Standard normal draws of every particle, and streams for the parts that need more.

    Particles come first in memory: particle i draws the same numbers whatever K is.
    """

    key: tuple[int, int]  # seed, tick
    start: Tensor  # (K, H, A)
    restart: Tensor  # (K, H, A), for particles whose plan the observation contradicts
    steps: Tensor  # (K, M, H, A), one per move

    @staticmethod
    def draw(seed: int, tick: int, particles: int, moves: int, horizon: int, dims: int) -> TickNoise:
        noise = torch.randn((particles, moves + 2, horizon, dims), generator=_generator(seed, tick))
        return TickNoise((seed, tick), noise[:, 0], noise[:, 1], noise[:, 2:])

    def to(self, like: Tensor) -> TickNoise:
        return TickNoise(self.key, self.start.to(like), self.restart.to(like), self.steps.to(like))

    def uniform(self, stream: Stream, move: int, count: int) -> Tensor:
        """(count,) in [0, 1), float64."""
        return torch.rand(count, generator=_generator(*self.key, stream, move), dtype=torch.float64)

    def normal(self, stream: Stream, move: int, count: int) -> Tensor:
        """(count, H, A), like the particles' own."""
        shape = (count, *self.start.shape[1:])
        return torch.randn(shape, generator=_generator(*self.key, stream, move)).to(self.start)


def _generator(*key: int) -> torch.Generator:
    state = int(np.random.SeedSequence(list(key)).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return torch.Generator().manual_seed(state)
