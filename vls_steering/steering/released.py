"""Guidance as VLS's released code does it, for comparison (arXiv 2602.03973, Vision-Language-Steering/code).

Five things differ from what the method says: the reward looks at the noisy sample, its gradient is divided
by one norm over the whole batch, so that every particle's pull shrinks with the number of particles, the
repulsion between particles is the gradient of 1 / distance, without a bandwidth, and the last weights are of
the best reward on record instead of the last one.  Of the n steps that are executed before the next plan, the
reward sees the first n - 1 and the repulsion all n; the rest of the chunk counts for nothing.  These steps
are `reward_s` and `path_s` of the preset, with the n = 8 of 16 that it executes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vls_steering.policies.base import ActionSpace
from vls_steering.steering.bounds import Bounds
from vls_steering.steering.guide import Estimate, Predict, finite, keep
from vls_steering.steering.objective import Objective

_TINY = 1e-8
_FREE = 1e9  # no bound at all


class NoisySampleGuided:
    """`eps - strength * sigma * g` with g the batch-normalised gradient at the noisy sample; positions only."""

    def __init__(self, objective: Objective, strength: float, limit: float) -> None:
        """`limit` is the scheduler's clip of the clean estimate, normalised units; 0 = none."""
        self._objective = objective
        self._strength = strength
        self._limit = limit
        self._bounds = Bounds(_FREE, _FREE, objective.action_space.scale(objective.anchor))

    def estimate(self, predict: Predict, x: Tensor, alpha: Tensor, sigma: Tensor) -> Estimate:
        with torch.no_grad():
            raw = predict(x)
        with torch.enable_grad():
            noisy = x.detach().requires_grad_()
            score = self._objective.score(noisy)
            slope = torch.zeros_like(x)
            if score.requires_grad:
                (slope,) = torch.autograd.grad(score.sum(), noisy)
        alive = finite(raw) & finite(score) & finite(slope)
        slope = keep(slope, alive)
        norm = slope.norm()
        pull = slope / (norm + _TINY) if float(norm) > _TINY else slope
        shift = (self._strength * sigma.square() / alpha)[:, None, None] * _positions(pull)
        return _moved(keep(raw, finite(raw)), shift, self._limit, alive, self._bounds)


class InverseDistance:
    """`eps + strength * gradient of the sum of 1 / distance` over pairs of noisy paths, in metres."""

    def __init__(self, space: ActionSpace, strength: float, limit: float, path_s: float, like: Tensor) -> None:
        """`path_s` is the part of the paths that counts, 0 = all; `limit` as above."""
        self._steps = max(round(path_s / space.step_s), 1) if path_s > 0.0 else space.horizon
        self._strength = strength
        self._limit = limit
        self._bounds = Bounds(_FREE, _FREE, space.scale(like))

    def estimate(self, predict: Predict, x: Tensor, alpha: Tensor, sigma: Tensor) -> Estimate:
        with torch.no_grad():
            raw = predict(x)
        scale = self._bounds.scale_m[: self._steps]
        paths = (x[:, : self._steps, :3] * scale).flatten(1)
        apart = paths[:, None] - paths[None, :]
        distance = (apart.square().sum(dim=2) + 1e-6).sqrt()
        # Both orders of a pair count, and so does the distance's own offset: the gradient of sum 1 / (d + 1e-6).
        steep = 2.0 / (distance * (distance + 1e-6).square())
        slope = -(steep[:, :, None] * apart).sum(dim=1).view(len(x), -1, 3) * scale
        alive = finite(raw) & finite(slope)
        push = torch.zeros_like(x)
        push[:, : self._steps, :3] = keep(slope, alive)
        shift = -(self._strength * sigma / alpha)[:, None, None] * push
        return _moved(keep(raw, finite(raw)), shift, self._limit, alive, self._bounds)


def _moved(raw: Tensor, shift: Tensor, limit: float, alive: Tensor, bounds: Bounds) -> Estimate:
    clean = raw + shift
    if limit > 0.0:
        clean = clean.clamp(-limit, limit)
    return Estimate(raw, clean, bounds.metres(clean - raw), alive)


def _positions(pull: Tensor) -> Tensor:
    return torch.cat([pull[..., :3], torch.zeros_like(pull[..., 3:])], dim=-1)
