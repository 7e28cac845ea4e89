"""How a chunk joins the one that the arm goes on executing while it is computed.

Real-time chunking (arXiv 2506.07339) treats that as inpainting: the actions that will be over before the
chunk arrives are frozen, the next ones are drawn towards the committed chunk with a weight that falls to
zero.  Clamping the clean estimate at every step does it without the network's Jacobian.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

_RECENT_TICKS = 64


@dataclass(frozen=True)
class Splice:
    """The committed chunk seen from the present observation, and how much it counts at each step."""

    committed: Tensor  # (H, A), normalised
    weight: Tensor  # (H,), 1 = frozen .. 0 = free
    frozen: int  # steps with weight 1

    def clamp(self, clean: Tensor) -> Tensor:
        """Clean chunks (K, H, A) with the committed one's beginning."""
        return torch.where(
            self.weight[:, None] < 1.0, clean + self.weight[:, None] * (self.committed - clean), self.committed
        )


def weights(horizon: int, frozen: int, blend: int, ahead: int) -> Tensor:
    """(H,): 1 for the first `frozen` steps, then falling over `blend` steps, 0 where nothing is committed.

    The fall is `c (e^c - 1) / (e - 1)` with c going from 1 to 0 in equal steps (real-time chunking, eq. 5); the
    committed chunk has `ahead` steps left.
    """
    step = torch.arange(horizon, dtype=torch.float32)
    linear = ((frozen + blend - step) / (blend + 1)).clamp(0.0, 1.0)
    soft = linear * torch.expm1(linear) / math.expm1(1.0)
    weight = torch.where(step < frozen, 1.0, soft)
    return torch.where(step < ahead, weight, 0.0)


class LatencyEstimate:
    """How long a tick takes, for who runs the clock: hand `p95_s` to `Pilot.tick` as its delay."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=_RECENT_TICKS)

    def add(self, tick_s: float) -> None:
        """From observation to chunk, s."""
        self._recent.append(tick_s)

    @property
    def p95_s(self) -> float:
        """95th percentile of the recent ticks, s; 0 before the first one."""
        return float(np.quantile(self._recent, 0.95)) if self._recent else 0.0
