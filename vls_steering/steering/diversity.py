"""Particles that keep apart while it is still open where they will end."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vls_steering.steering.bounds import Bounds
from vls_steering.steering.guide import Estimate, Estimator, Predict, keep


class Apart:
    """An estimator plus the repulsion of Stein variational gradient descent (Liu & Wang 2016) on clean paths.

    With k = exp(-d^2 / h), h = median^2 / log(K + 1) over the pairs of paths, a particle is pushed by
    `2 / (h K) sum_j k_ij (y_i - y_j)`, which enters like the gradient of a reward.  Here the particles do notice
    one another; nothing is pushed when there is one alone.
    """

    def __init__(self, inner: Estimator, strength: float, bounds: Bounds) -> None:
        self._inner = inner
        self._strength = strength
        self._bounds = bounds

    def estimate(self, predict: Predict, x: Tensor, alpha: Tensor, sigma: Tensor) -> Estimate:
        found = self._inner.estimate(predict, x, alpha, sigma)
        push = keep(repulsion(found.raw, self._bounds.scale_m, found.alive), found.alive)
        shift = (found.clean - found.raw) + (self._strength * sigma.square() / alpha)[:, None, None] * push
        shift = self._bounds.within(shift, sigma)
        return Estimate(found.raw, found.raw + shift, self._bounds.metres(shift), found.alive)


def repulsion(clean: Tensor, scale_m: Tensor, alive: Tensor) -> Tensor:
    """The push on normalised chunks (K, H, A) away from one another's positions; `alive` (K,) others count."""
    paths = (clean[..., :3] * scale_m).flatten(1)
    apart = paths[:, None] - paths[None, :]
    square = apart.square().sum(dim=2)
    pairs = (alive[:, None] & alive[None, :]).triu(diagonal=1)
    push = torch.zeros_like(clean)
    if not bool(pairs.any()):
        return push
    bandwidth = square[pairs].median().clamp_min(1e-12) / math.log(len(clean) + 1.0)
    weight = torch.exp(-square / bandwidth) * alive[None, :]
    along = (weight[:, :, None] * apart).sum(dim=1).view(len(clean), -1, 3)
    push[..., :3] = 2.0 / (bandwidth * len(clean)) * along * scale_m
    return push
