"""A policy whose every answer is known exactly: a Gaussian mixture over normalised chunks.

Posterior mean, score and reward-tilted law have closed forms, and the Jacobian follows by autograd, so
each claim about a sampler can be tested against the truth, for variance-preserving and flow schedules.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vls_steering.core.errors import ShapeError
from vls_steering.core.types import GRIPPER_OPEN_M, Observation
from vls_steering.policies.base import ActionSpace, CosineSchedule, Encoding, NoiseSchedule


@dataclass(frozen=True)
class GaussianMixture:
    """`sum_m w_m N(mean_m, diag(std_m^2))` over chunks."""

    log_weights: Tensor  # (M,), normalised
    means: Tensor  # (M, H, A)
    stds: Tensor  # (M, H, A), positive

    def __post_init__(self) -> None:
        if self.means.shape != self.stds.shape or self.log_weights.shape != self.means.shape[:1]:
            raise ShapeError(
                f"mixture of {tuple(self.log_weights.shape)} weights, {tuple(self.means.shape)} means, "
                f"{tuple(self.stds.shape)} standard deviations"
            )
        object.__setattr__(self, "log_weights", self.log_weights.log_softmax(dim=0))

    @property
    def weights(self) -> Tensor:
        """(M,), summing to 1."""
        return self.log_weights.exp()

    def mean(self) -> Tensor:
        """(H, A)."""
        return torch.einsum("m,mha->ha", self.weights, self.means)

    def variance(self) -> Tensor:
        """(H, A), of the whole mixture."""
        second = torch.einsum("m,mha->ha", self.weights, self.means.square() + self.stds.square())
        return second - self.mean().square()

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """(count, H, A)."""
        modes = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        noise = torch.randn((count, *self.means.shape[1:]), generator=generator, dtype=self.means.dtype)
        return self.means[modes] + self.stds[modes] * noise

    def responsibilities(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """P(mode | noisy x): x (K, H, A), alpha and sigma (K,) -> (K, M)."""
        return self._joint(x, alpha, sigma).softmax(dim=1)

    def log_density(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Log density of the noisy marginal `alpha * a + sigma * noise` at x (K, H, A) -> (K,)."""
        return self._joint(x, alpha, sigma).logsumexp(dim=1)

    def posterior_mean(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """E[clean | noisy x]: (K, H, A), alpha and sigma (K,) -> (K, H, A)."""
        alpha_, sigma_ = (value[:, None, None, None] for value in (alpha, sigma))
        means, variances = self.means.to(x), self.stds.to(x).square()
        gain = alpha_ * variances / (alpha_.square() * variances + sigma_.square())
        per_mode = means + gain * (x[:, None] - alpha_ * means)
        return torch.einsum("km,kmha->kha", self.responsibilities(x, alpha, sigma), per_mode)

    def score(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """Gradient of `log_density` with respect to x, by Tweedie's formula; sigma > 0."""
        alpha_, sigma_ = (value[:, None, None] for value in (alpha, sigma))
        return (alpha_ * self.posterior_mean(x, alpha, sigma) - x) / sigma_.square()

    def tilted(self, strength: Tensor, goal: Tensor) -> GaussianMixture:
        """The law proportional to `p(a) exp(-1/2 sum strength * (a - goal)^2)`, exactly.

        `strength` >= 0 and `goal` broadcast to (H, A); strength 0 leaves an entry free.
        """
        variances = self.stds.square()
        shrink = 1.0 + strength * variances
        log_mass = -0.5 * (shrink.log() + strength * (self.means - goal).square() / shrink)
        return GaussianMixture(
            self.log_weights + log_mass.sum(dim=(1, 2)),
            (self.means + strength * variances * goal) / shrink,
            (variances / shrink).sqrt(),
        )

    def _joint(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """log P(mode, noisy x), (K, M)."""
        alpha_, sigma_ = (value[:, None, None, None] for value in (alpha, sigma))
        variance = alpha_.square() * self.stds.to(x).square() + sigma_.square()
        residual = x[:, None] - alpha_ * self.means.to(x)
        per_entry = -0.5 * (residual.square() / variance + variance.log() + math.log(2.0 * math.pi))
        return self.log_weights.to(x) + per_entry.sum(dim=(2, 3))


class MixturePolicy:
    """FrozenPolicy over a GaussianMixture; the observation is ignored, the prediction is exact."""

    def __init__(
        self,
        mixture: GaussianMixture,
        action_space: ActionSpace,
        schedule: NoiseSchedule | None = None,
        name: str = "gaussian_mixture",
    ) -> None:
        if mixture.means.shape[1:] != (action_space.horizon, action_space.size):
            raise ShapeError(f"mixture over {tuple(mixture.means.shape[1:])}, action space is {action_space}")
        self.mixture = mixture
        self.action_space = action_space
        self.schedule: NoiseSchedule = schedule or CosineSchedule()
        self.name = name
        parts = (mixture.log_weights, mixture.means, mixture.stds)
        self.sha256 = hashlib.sha256(b"".join(part.double().numpy().tobytes() for part in parts)).hexdigest()

    def encode(self, observations: Sequence[Observation]) -> Encoding:
        if not observations:
            raise ShapeError("a policy needs at least one observation")
        return torch.zeros(1, 0)

    def predict_clean(self, encoding: Encoding, x: Tensor, level: Tensor) -> Tensor:
        return self.mixture.posterior_mean(x, self.schedule.alpha(level), self.schedule.sigma(level))


def make_gaussian(
    action_space: ActionSpace, mean: float = 0.0, std: float = 0.3, schedule: NoiseSchedule | None = None
) -> MixturePolicy:
    """One mode, the same mean and standard deviation (normalised) in every entry: every law stays Gaussian."""
    means = torch.full((1, action_space.horizon, action_space.size), mean)
    return MixturePolicy(GaussianMixture(torch.zeros(1), means, torch.full_like(means, std)), action_space, schedule)


def make_fan(
    action_space: ActionSpace,
    reach_m: float = 0.12,
    spread: float = 0.05,
    weights: tuple[float, ...] = (1.0, 1.0, 1.0),
    schedule: NoiseSchedule | None = None,
) -> MixturePolicy:
    """Straight descents that fan out in y, one mode per weight, gripper open; a rare mode is a small weight.

    `reach_m` is the y distance of the outer modes at the last step, `spread` the normalised standard deviation.
    """
    progress = torch.linspace(1.0 / action_space.horizon, 1.0, action_space.horizon)
    sides = torch.linspace(-1.0, 1.0, len(weights))
    offsets = torch.zeros(len(weights), action_space.horizon, 3)
    offsets[:, :, 1] = reach_m * sides[:, None] * progress
    offsets[:, :, 2] = -reach_m * progress
    means = action_space.encode(offsets, torch.full(offsets.shape[:2], GRIPPER_OPEN_M), torch.zeros(3))
    log_weights = torch.tensor(weights).log()
    return MixturePolicy(GaussianMixture(log_weights, means, torch.full_like(means, spread)), action_space, schedule)
