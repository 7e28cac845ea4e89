"""The clean estimate of a noisy chunk, with or without the reward's pull on it.

The exact guided estimate is `a + (sigma^2 / alpha) J^T grad r(a)`, J the network's Jacobian.  Taking the
gradient on the clean estimate is what makes it work: on the noisy sample, as VLS's released code does,
the reward judges noise.  Everything here is per particle, so the pull on one never depends on how many
others there are, and a broken reward on one leaves the others alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from vls_steering.steering.bounds import Bounds
from vls_steering.steering.objective import Objective
from vls_steering.steering.settings import GuideSettings

Predict = Callable[[Tensor], Tensor]  # noisy (K, H, A) -> clean estimate (K, H, A)


@dataclass(frozen=True)
class Estimate:
    """The clean chunk as the network sees it and as the reward would have it."""

    raw: Tensor  # (K, H, A), unguided
    clean: Tensor  # (K, H, A), guided
    shift_m: Tensor  # (K,), largest displacement of a step by the guidance
    alive: Tensor  # (K,) bool: estimate, reward and gradient are finite


class Estimator(Protocol):
    """How a noisy chunk becomes a clean estimate."""

    def estimate(self, predict: Predict, x: Tensor, alpha: Tensor, sigma: Tensor) -> Estimate:
        """`x` (K, H, A) with `alpha`, `sigma` (K,) of each particle's level."""
        ...


class Unguided:
    """The network's word."""

    def estimate(self, predict: Predict, x: Tensor, alpha: Tensor, sigma: Tensor) -> Estimate:
        with torch.no_grad():
            raw = predict(x)
        alive = finite(raw)
        raw = keep(raw, alive)
        return Estimate(raw, raw, torch.zeros_like(alpha), alive)


class Guided:
    """The network's word bent by the gradient of the objective.

    The knobs are those of training-free guidance (TFG, Ye et al. 2024): `rho` through the network, `mu` on the
    estimate itself, `gamma` smoothing, `n_iter`.
    """

    def __init__(
        self,
        objective: Objective,
        strength: float,
        clip_share: float,
        settings: GuideSettings,
        nudges: Tensor | None = None,
    ) -> None:
        """`strength` is the inverse temperature of the reward; `clip_share` scales the permitted shift.

        A steep reward saturates the clip at any strength, so a strength that is to fade must shrink both.
        `nudges` (N, H, A) are standard normal draws for `gamma`, the same for every particle and step.
        """
        space = objective.action_space
        self._objective = objective
        self._strength = strength
        self._settings = settings
        self._mu = settings.mu if settings.mode != "through" else 0.0
        self._rho = settings.rho if settings.mode != "x0" else 0.0
        self._nudges = nudges if settings.gamma > 0.0 else None
        gripper = float(settings.gripper)
        self._free = torch.tensor([gripper if dim == "gripper" else 1.0 for dim in space.dims]).to(objective.anchor)
        self._kernel = _smoothing_kernel(space.horizon, settings.smoothing_steps).to(objective.anchor)
        self._bounds = Bounds(settings.clip_sigma * clip_share, settings.trust_m, space.scale(objective.anchor))

    def estimate(self, predict: Predict, x: Tensor, alpha: Tensor, sigma: Tensor) -> Estimate:
        raw, score, slope, pull = self._look(predict, x, sigma)
        alive = finite(raw) & finite(score) & finite(slope) & finite(pull)
        raw, score = keep(raw, finite(raw)), keep(score, alive)
        shift = self._shift(raw, score, keep(slope, alive), keep(pull, alive), alpha, sigma)
        for _ in range(self._settings.n_iter - 1):
            score, slope = self._slope(raw + shift, sigma)
            further = finite(score) & finite(slope)
            score, slope = keep(score, further), keep(slope, further)
            more = self._shift(raw + shift, score, slope, self._spread(slope), alpha, sigma)
            shift, alive = self._bounds.within(shift + more, sigma), alive & further
        return Estimate(raw, raw + shift, self._bounds.metres(shift), alive)

    def _look(self, predict: Predict, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Estimate (K, H, A), reward (K,), its gradient on the estimate, and the direction of the shift."""
        if self._rho == 0.0:
            with torch.no_grad():
                raw = predict(x).detach()
            score, slope = self._slope(raw, sigma)
            return raw, score, slope, self._spread(slope)
        with torch.enable_grad():
            noisy = x.detach().requires_grad_()
            raw = predict(noisy)
            score = self._score(raw, sigma)
            slope, through = _gradients(score, raw, noisy)
        pull = self._rho * through
        if self._mu > 0.0:
            pull = pull + self._spread(slope)
        return raw.detach(), score.detach(), slope, pull

    def _slope(self, clean: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """Reward (K,) and its gradient (K, H, A) on clean chunks."""
        with torch.enable_grad():
            clean = clean.detach().requires_grad_()
            score = self._score(clean, sigma)
            (slope,) = _gradients(score, clean)
        return score.detach(), slope

    def _score(self, clean: Tensor, sigma: Tensor) -> Tensor:
        """Reward (K,); with `gamma` of a chunk blurred by gamma * sigma: log E exp(strength r) / strength."""
        if self._nudges is None:
            return self._objective.score(clean)
        blurred = clean + self._settings.gamma * sigma[:, None, None] * self._nudges[:, None]
        scores = self._objective.score(blurred.flatten(0, 1)).view(len(self._nudges), -1)
        strength = max(self._strength, _TINY)
        return ((strength * scores).logsumexp(dim=0) - math.log(len(self._nudges))) / strength

    def _spread(self, slope: Tensor) -> Tensor:
        """The pull on the estimate itself, spread along the chunk.

        Without the Jacobian one step could be torn out of the chunk: spread the pull over its neighbours,
        CHOMP's covariant gradient (Ratliff et al. 2009).  A gripper switches, it has no neighbours.
        """
        return self._mu * torch.cat([self._kernel @ slope[..., :3], slope[..., 3:]], dim=-1)

    def _shift(self, clean: Tensor, score: Tensor, slope: Tensor, pull: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """(K, H, A), damped and within bounds."""
        shift = (self._strength * sigma.square() / alpha)[:, None, None] * pull * self._free
        if self._settings.damping == "curvature":
            shift = self._damped(clean, shift, score, slope, alpha, sigma)
        return self._bounds.within(shift, sigma)

    def _damped(
        self, clean: Tensor, shift: Tensor, score: Tensor, slope: Tensor, alpha: Tensor, sigma: Tensor
    ) -> Tensor:
        """The shift times 1 / (1 + beta V): what is left of a pull of curvature beta when the prior resists.

        V is the variance of the clean chunk given the noisy one inside a mode; beta comes from one more
        evaluation of the reward, at the end of the permitted shift.  Exact for Gaussian data and a quadratic
        reward.  V is the variance *within* a mode, so at high noise a shift may still overshoot: that is
        what carries a particle from one mode to another.
        """
        data = self._settings.mode_std**2
        variance = data * sigma.square() / (alpha.square() * data + sigma.square())
        probe = self._bounds.within(shift, sigma)
        with torch.no_grad():
            reached = self._score(clean + probe, sigma)
        shortfall = (slope * probe).sum(dim=(1, 2)) - (reached - score)
        curvature = 2.0 * shortfall / probe.square().sum(dim=(1, 2)).clamp_min(_TINY)
        factor = 1.0 / (1.0 + self._strength * variance * curvature.clamp_min(0.0))
        return torch.where(torch.isfinite(reached), factor, torch.zeros_like(factor))[:, None, None] * shift


_TINY = 1e-12


def finite(value: Tensor) -> Tensor:
    """Particles whose value is a number throughout, (K, ...) -> (K,) bool."""
    return torch.isfinite(value.reshape(len(value), -1)).all(dim=1)


def keep(value: Tensor, alive: Tensor) -> Tensor:
    """Zeros for the particles that are not alive."""
    return torch.where(alive.view(-1, *[1] * (value.dim() - 1)), value, torch.zeros_like(value))


def _gradients(score: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    """Gradient of each particle's own score; zeros where the score does not depend on an input."""
    if not score.requires_grad:
        return tuple(torch.zeros_like(value) for value in inputs)
    found = torch.autograd.grad(score, inputs, torch.ones_like(score), allow_unused=True)
    return tuple(
        torch.zeros_like(value) if gradient is None else gradient for value, gradient in zip(inputs, found, strict=True)
    )


def _smoothing_kernel(horizon: int, correlation_steps: float) -> Tensor:
    """(H, H) Gaussian correlation between steps, unit diagonal; the identity when the length is 0."""
    steps = torch.arange(horizon, dtype=torch.float32)
    if correlation_steps == 0.0:
        return torch.eye(horizon)
    return torch.exp(-0.5 * ((steps[:, None] - steps[None, :]) / correlation_steps).square())
