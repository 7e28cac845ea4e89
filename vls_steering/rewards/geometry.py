"""Distances whose gradients are finite everywhere and cheap: the inner loop of every tick."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

# Keeps 0 / 0 away.
_TINY = 1e-12


def safe_norm(vectors: Tensor) -> Tensor:
    """Euclidean norm over the last axis; torch gives it a zero gradient, not NaN, at zero."""
    length: Tensor = torch.linalg.vector_norm(vectors, dim=-1)
    return length


def box_distance(points: Tensor, center: Tensor, size: Tensor) -> Tensor:
    """Signed distance (...) m of points (..., 3) to an axis-aligned box; negative inside.

    `center` and `size` (full extents) broadcast with the points; the size carries no gradient.
    """
    result: Tensor = _BoxDistance.apply(points - center, size)  # type: ignore[no-untyped-call]
    return result


def segment_distance(points: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Distance (...) m of points (..., 3) to the segment between `start` and `end`, which broadcast."""
    along = end - start
    share = ((points - start) * along).sum(-1, keepdim=True) / (along.square().sum(-1, keepdim=True) + _TINY)
    return safe_norm(points - start - share.clamp(0.0, 1.0) * along)


def angle_between(first: Tensor, second: Tensor) -> Tensor:
    """Angle (...) rad in [0, pi] between directions (..., 3); atan2 keeps its gradient finite at 0 and pi."""
    first, second = torch.broadcast_tensors(first, second)  # type: ignore[no-untyped-call]
    cross = safe_norm(torch.linalg.cross(first, second, dim=-1))
    return torch.atan2(cross, (first * second).sum(-1))


def box_parts(outside: Tensor) -> tuple[Tensor, Tensor]:
    """From |point - center| - size / 2 (..., 3): the distance outside (...) and, negative or zero, the one inside."""
    return torch.linalg.vector_norm(outside.clamp(min=0.0), dim=-1), outside.amax(-1).clamp(max=0.0)


def outward_normal(relative: Tensor, outside: Tensor, away: Tensor, inside: Tensor) -> Tensor:
    """(..., 3) gradient of a box distance: through the nearest face inside, away from the nearest point outside."""
    share = outside.clamp(min=0.0) / away.clamp(min=_TINY).unsqueeze(-1)
    if inside.device.type != "cpu" or bool(inside.any()):
        face = torch.zeros_like(outside).scatter_(-1, outside.argmax(-1, keepdim=True), 1.0)
        share = share + face * (inside < 0.0).unsqueeze(-1)
    return share * relative.sign()


class _BoxDistance(torch.autograd.Function):
    """One node of the autograd graph where the plain expression has ten."""

    @staticmethod
    def forward(ctx: Any, relative: Tensor, size: Tensor) -> Tensor:
        outside = relative.abs() - size / 2
        away, inside = box_parts(outside)
        ctx.save_for_backward(relative, outside, away, inside)
        return away + inside

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return outward_normal(*ctx.saved_tensors) * gradient.unsqueeze(-1), None


@lru_cache(maxsize=256)
def constants(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """(N,) read-only: uploaded once instead of in every gradient."""
    return torch.tensor(values, dtype=dtype, device=device)
