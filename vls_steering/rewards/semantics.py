"""Two readings of the same formula: exact (min and max) and smooth (for gradients).

Signal temporal logic assigns a formula a robustness: positive when it holds, by how much; negative when it fails.
The exact reading takes minima and maxima.  The smooth one never exceeds it, so "smooth > 0" still implies that the
formula holds:  min by the log-sum-exp bound, max by the Boltzmann average (Gilpin, Kurtz & Lin, "A smooth robustness
measure of signal temporal logic", IEEE L-CSS 2021).

Reductions run over the last axis.  `mask` (broadcastable, True = counts) selects a window; an empty window of a
minimum is +inf (a vacuous `always` holds), of a maximum -inf.  Values that may come from such windows themselves are
reduced with a mask, which keeps their infinities out of the gradient; without a mask they must be finite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor


class Semantics(Protocol):
    """How a formula's minima and maxima are taken."""

    def minimum(self, values: Tensor, mask: Tensor | None = None) -> Tensor: ...

    def maximum(self, values: Tensor, mask: Tensor | None = None) -> Tensor: ...

    def peak(self, values: Tensor) -> Tensor:
        """The largest value, for objectives: not a robustness, so only its order and gradient matter."""
        ...


@dataclass(frozen=True)
class Exact:
    """True minima and maxima: gates, progress, reports."""

    def minimum(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is not None:
            values = torch.where(mask, values, torch.inf)
        return values.amin(-1)

    def maximum(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is not None:
            values = torch.where(mask, values, -torch.inf)
        return values.amax(-1)

    def peak(self, values: Tensor) -> Tensor:
        return values.amax(-1)


@dataclass(frozen=True)
class Smooth:
    """Differentiable bounds from below; `sharpness` is tau, per unit of score (10 cm for lengths)."""

    sharpness: float = 30.0

    def minimum(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            return torch.logsumexp(-self.sharpness * values, -1) * (-1.0 / self.sharpness)
        counts = mask & ~values.isinf()
        # What does not count gets a finite stand-in, so that no inf - inf reaches the gradient.
        filled = torch.where(counts, -self.sharpness * values, _FAR_BELOW)
        least = torch.where(counts.any(-1), torch.logsumexp(filled, -1) * (-1.0 / self.sharpness), torch.inf)
        return torch.where((mask & values.isneginf()).any(-1), -torch.inf, least)

    def maximum(self, values: Tensor, mask: Tensor | None = None) -> Tensor:
        if mask is None:
            return (values * torch.softmax(self.sharpness * values, -1)).sum(-1)
        counts = mask & ~values.isinf()
        weights = torch.softmax(torch.where(counts, self.sharpness * values, _FAR_BELOW), -1)
        average = (torch.where(counts, values, 0.0) * weights).sum(-1)
        return torch.where(
            (mask & values.isposinf()).any(-1), torch.inf, torch.where(counts.any(-1), average, -torch.inf)
        )

    def peak(self, values: Tensor) -> Tensor:
        # Log-mean-exp: below the maximum too, and every weight of its gradient is positive (Boltzmann's are not).
        return (torch.logsumexp(self.sharpness * values, -1) - math.log(values.shape[-1])) / self.sharpness


_FAR_BELOW = -1e30


def window(times_s: Tensor, anchors_s: Tensor, after_s: float, before_s: float) -> Tensor:
    """(A, H) mask of the steps in the closed interval [anchor + after, anchor + before].

    times_s (H,) and anchors_s (A,) are seconds from now.  The interval is widened by a millisecond: step times are
    sums of floats and a closed end must be inside.
    """
    since = times_s.unsqueeze(0) - anchors_s.unsqueeze(1)
    return (since >= after_s - 1e-3) & (since <= before_s + 1e-3)
