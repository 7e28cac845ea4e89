"""What a network was trained to say about a noisy chunk, and how that becomes a clean estimate.

Steering only ever asks for the clean estimate, so a diffusion and a flow-matching policy look the same to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

from torch import Tensor

from vls_steering.policies.base import CosineSchedule, FlowSchedule, NoiseSchedule

ProcessName: TypeAlias = Literal["diffusion", "flow"]


class Process(Protocol):
    """A noise schedule and the network's output under it."""

    @property
    def name(self) -> ProcessName: ...

    @property
    def schedule(self) -> NoiseSchedule: ...

    def clean(self, output: Tensor, x: Tensor, level: Tensor) -> Tensor:
        """The clean chunk that the network's output (K, H, A) at noisy `x` (K, H, A), level (K,) stands for."""
        ...

    def target(self, clean: Tensor, noise: Tensor) -> Tensor:
        """What the output should be for `x = alpha clean + sigma noise`, (B, H, A)."""
        ...

    def level_weight(self, level: Tensor, cap: float) -> Tensor:
        """Loss weight (B,) of the squared error at each level."""
        ...


@dataclass(frozen=True)
class Diffusion:
    """Clean-sample prediction on the variance-preserving cosine schedule."""

    schedule: CosineSchedule = field(default_factory=CosineSchedule)
    name: ProcessName = "diffusion"

    def clean(self, output: Tensor, x: Tensor, level: Tensor) -> Tensor:
        return output

    def target(self, clean: Tensor, noise: Tensor) -> Tensor:
        return clean

    def level_weight(self, level: Tensor, cap: float) -> Tensor:
        """min(1/sigma^2, cap): min-SNR (Hang et al. 2023) for velocity targets, written for clean-sample
        prediction: fine levels count more, pure noise still counts."""
        return self.schedule.sigma(level).square().clamp_min(1.0 / cap).reciprocal()


@dataclass(frozen=True)
class Flow:
    """Velocity prediction on the straight path (flow matching, Lipman et al. 2023; pi0's orientation)."""

    schedule: FlowSchedule = field(default_factory=FlowSchedule)
    name: ProcessName = "flow"

    def clean(self, output: Tensor, x: Tensor, level: Tensor) -> Tensor:
        """`x - level v`, exact because `x` is linear in the level."""
        return x - level[:, None, None] * output

    def target(self, clean: Tensor, noise: Tensor) -> Tensor:
        """dx/dlevel = noise - (1 - alpha_floor) clean."""
        return noise - (1.0 - self.schedule.alpha_floor) * clean

    def level_weight(self, level: Tensor, cap: float) -> Tensor:
        """All alike: an error of the velocity is an error of the clean chunk times the level."""
        return level.new_ones(level.shape)


def make_process(name: ProcessName, alpha_floor: float) -> Process:
    """The process that a policy card names."""
    return Diffusion(CosineSchedule(alpha_floor)) if name == "diffusion" else Flow(FlowSchedule(alpha_floor))
