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
    """The network's word bent by the gradient of the objective, `strength` being the inverse temperature of r."""

    def __init__(self, objective: Objective, strength: float, settings: GuideSettings) -> None:
        space = objective.action_space
        self._objective = objective
        self._strength = strength
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
        share = self._share(shift, sigma)
        if self._settings.damping == "curvature":
            rise = self._strength * (slope * shift).sum(dim=(1, 2))
            share = torch.minimum(share, self._damped(raw, shift, share, score, rise))
        shift = share[:, None, None] * shift
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
        by_noise = self._settings.clip_sigma * sigma / reach.clamp_min(_TINY)
        by_metres = self._settings.trust_m / self._metres(shift).clamp_min(_TINY)
        return torch.minimum(by_noise, by_metres).clamp(max=1.0)

    def _damped(self, raw: Tensor, shift: Tensor, share: Tensor, score: Tensor, rise: Tensor) -> Tensor:
        """Share of the shift at which pull and prior balance, 1 / (1 + beta V), (K,).

        One evaluation at the end of the permitted shift gives the reward's curvature beta along it; V is
        the prior variance that the undamped shift implies.  Exact where the reward is quadratic.
        """
        with torch.no_grad():
            reached = self._objective.score(raw + share[:, None, None] * shift)
        shortfall = share * rise - self._strength * (reached - score)
        curvature = (2.0 * shortfall / share.square().clamp_min(_TINY)).clamp_min(0.0)
        damped = rise / (rise + curvature).clamp_min(_TINY)
        return torch.where(torch.isfinite(reached), damped, torch.zeros_like(damped))

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
