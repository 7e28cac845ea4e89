"""How far a guided chunk may lie from the unguided one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_TINY = 1e-12


@dataclass(frozen=True)
class Bounds:
    """A clip in units of the noise, normalised, and a trust region in metres; both per particle."""

    clip_sigma: float
    trust_m: float
    scale_m: Tensor  # (H, 1) m, of one normalised unit of position

    def share(self, shift: Tensor, sigma: Tensor) -> Tensor:
        """Share (K,) in [0, 1] of the shift (K, H, A) that both let through; `sigma` (K,)."""
        by_noise = self.clip_sigma * sigma / _reach(shift).clamp_min(_TINY)
        by_metres = self.trust_m / self.metres(shift).clamp_min(_TINY)
        return torch.minimum(by_noise, by_metres).clamp(max=1.0)

    def within(self, shift: Tensor, sigma: Tensor) -> Tensor:
        """The part of the shift (K, H, A) that both let through."""
        return self.share(shift, sigma)[:, None, None] * shift

    def metres(self, shift: Tensor) -> Tensor:
        """Largest displacement of a step, (K,) m."""
        return _reach(shift[..., :3] * self.scale_m)


def _reach(shift: Tensor) -> Tensor:
    """Length of the longest row, (K, H, D) -> (K,)."""
    return shift.square().sum(dim=2).amax(dim=1).sqrt()
