"""The clean estimate of a noisy chunk, with or without the reward's pull on it.

The exact guided estimate is `a + (sigma^2 / alpha) J^T grad r(a)`, J the network's Jacobian.  Taking the
gradient on the clean estimate is what makes it work: on the noisy sample, as VLS's released code does,
the reward judges noise.  Everything here is per particle, so the pull on one never depends on how many
others there are, and a broken reward on one leaves the others alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

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
        alive = _finite(raw)
        raw = _keep(raw, alive)
        return Estimate(raw, raw, torch.zeros_like(alpha), alive)


class Guided:
    """The network's word bent by the gradient of the objective."""

    def __init__(self, objective: Objective, strength: float, clip_share: float, settings: GuideSettings) -> None:
        """`strength` is the inverse temperature of the reward; `clip_share` scales the permitted shift.

        A steep reward saturates the clip at any strength, so a strength that is to fade must shrink both.
        """
        space = objective.action_space
        self._objective = objective
        self._strength = strength
        self._clip_sigma = settings.clip_sigma * clip_share
        self._settings = settings
        gripper = float(settings.gripper)
        self._free = torch.tensor([gripper if dim == "gripper" else 1.0 for dim in space.dims]).to(objective.anchor)
        self._kernel = _smoothing_kernel(space.horizon, settings.smoothing_steps).to(objective.anchor)
        self._scale_m = space.scale(objective.anchor)

    def estimate(self, predict: Predict, x: Tensor, alpha: Tensor, sigma: Tensor) -> Estimate:
        raw, score, slope, pull = self._gradient(predict, x)
        alive = _finite(raw) & _finite(score) & _finite(slope) & _finite(pull)
        raw, score = _keep(raw, _finite(raw)), _keep(score, alive)
        slope, pull = _keep(slope, alive), _keep(pull, alive)

        shift = (self._strength * sigma.square() / alpha)[:, None, None] * pull * self._free
        if self._settings.damping == "curvature":
            shift = self._damped(raw, shift, score, slope, alpha, sigma)
        shift = self._share(shift, sigma)[:, None, None] * shift
        return Estimate(raw, raw + shift, self._metres(shift), alive)

    def _gradient(self, predict: Predict, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Estimate (K, H, A), reward (K,), its gradient on the estimate, and the direction of the shift."""
        with torch.enable_grad():
            if self._settings.mode == "through":
                noisy = x.detach().requires_grad_()
                raw = predict(noisy)
                score = self._objective.score(raw)
                slope, pull = _gradients(score, raw, noisy)
            else:
                with torch.no_grad():
                    estimate = predict(x)
                raw = estimate.detach().requires_grad_()
                score = self._objective.score(raw)
                (slope,) = _gradients(score, raw)
                # Without the Jacobian one step could be torn out of the chunk: spread the pull over its
                # neighbours, CHOMP's covariant gradient (Ratliff et al. 2009).  A gripper switches, it has none.
                pull = torch.cat([self._kernel @ slope[..., :3], slope[..., 3:]], dim=-1)
        return raw.detach(), score.detach(), slope, pull

    def _share(self, shift: Tensor, sigma: Tensor) -> Tensor:
        """Share of the shift, (K,) in [0, 1], that clip and trust region let through."""
        reach = _reach(shift)
        by_noise = self._clip_sigma * sigma / reach.clamp_min(_TINY)
        by_metres = self._settings.trust_m / self._metres(shift).clamp_min(_TINY)
        return torch.minimum(by_noise, by_metres).clamp(max=1.0)

    def _damped(self, raw: Tensor, shift: Tensor, score: Tensor, slope: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """The shift times 1 / (1 + beta V): what is left of a pull of curvature beta when the prior resists.

        V is the variance of the clean chunk given the noisy one inside a mode; beta comes from one more
        evaluation of the reward, at the end of the permitted shift.  Exact for Gaussian data and a quadratic
        reward.  V is the variance *within* a mode, so at high noise a shift may still overshoot: that is
        what carries a particle from one mode to another.
        """
        data = self._settings.mode_std**2
        variance = data * sigma.square() / (alpha.square() * data + sigma.square())
        probe = self._share(shift, sigma)[:, None, None] * shift
        with torch.no_grad():
            reached = self._objective.score(raw + probe)
        shortfall = (slope * probe).sum(dim=(1, 2)) - (reached - score)
        curvature = 2.0 * shortfall / probe.square().sum(dim=(1, 2)).clamp_min(_TINY)
        factor = 1.0 / (1.0 + self._strength * variance * curvature.clamp_min(0.0))
        return torch.where(torch.isfinite(reached), factor, torch.zeros_like(factor))[:, None, None] * shift

    def _metres(self, shift: Tensor) -> Tensor:
        """Largest displacement of a step, (K,) m."""
        return _reach(shift[..., :3] * self._scale_m)


_TINY = 1e-12


def _gradients(score: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    """Gradient of each particle's own score; zeros where the score does not depend on an input."""
    if not score.requires_grad:
        return tuple(torch.zeros_like(value) for value in inputs)
    found = torch.autograd.grad(score, inputs, torch.ones_like(score), allow_unused=True)
    return tuple(
        torch.zeros_like(value) if gradient is None else gradient for value, gradient in zip(inputs, found, strict=True)
    )


def _reach(shift: Tensor) -> Tensor:
    """Length of the longest row, (K, H, D) -> (K,)."""
    return shift.square().sum(dim=2).amax(dim=1).sqrt()


def _finite(value: Tensor) -> Tensor:
    """(K, ...) -> (K,) bool."""
    return torch.isfinite(value.reshape(len(value), -1)).all(dim=1)


def _keep(value: Tensor, alive: Tensor) -> Tensor:
    """Zeros for the particles that are not alive."""
    return torch.where(alive.view(-1, *[1] * (value.dim() - 1)), value, torch.zeros_like(value))


def _smoothing_kernel(horizon: int, correlation_steps: float) -> Tensor:
    """(H, H) Gaussian correlation between steps, unit diagonal; the identity when the length is 0."""
    steps = torch.arange(horizon, dtype=torch.float32)
    if correlation_steps == 0.0:
        return torch.eye(horizon)
    return torch.exp(-0.5 * ((steps[:, None] - steps[None, :]) / correlation_steps).square())
