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

    def within(self, shift: Tensor, sigma: Tensor) -> Tensor:
        """The part of the shift (K, H, A) that both let through; `sigma` (K,).

        Position and gripper are bounded apart: a hand with a long way to go could never close its fingers otherwise.
        """
        path, gripper = shift[..., :3], shift[..., 3:]
        noise = self.clip_sigma * sigma
        by_noise = noise / _reach(path).clamp_min(_TINY)
        by_metres = self.trust_m / self.metres(shift).clamp_min(_TINY)
        path_share = torch.minimum(by_noise, by_metres).clamp(max=1.0)
        gripper_share = (noise / _reach(gripper).clamp_min(_TINY)).clamp(max=1.0)
        return torch.cat([path_share[:, None, None] * path, gripper_share[:, None, None] * gripper], dim=-1)

    def metres(self, shift: Tensor) -> Tensor:
        """Largest displacement of a step, (K,) m."""
        return _reach(shift[..., :3] * self.scale_m)


def _reach(shift: Tensor) -> Tensor:
    """Length of the longest row, (K, H, D) -> (K,)."""
    return shift.square().sum(dim=2).amax(dim=1).sqrt()
