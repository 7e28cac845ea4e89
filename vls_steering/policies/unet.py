"""1-D conditional U-Net over a short action chunk: noisy chunk, level and condition in, clean chunk out.

After Janner et al. 2022 and Chi et al. 2023 (Diffusion Policy), sized for a CPU: the parameters sit at
the short lengths (16 -> 8 -> 4 steps), where a row costs little, and one linear layer makes every FiLM
scale and shift of a pass.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from vls_steering.core.config import Settings


class UNetSettings(Settings):
    """Shape of the network; everything a checkpoint needs to rebuild it."""

    action_size: int = Field(4, ge=1, description="action dimensions A")
    horizon: int = Field(16, ge=4, description="steps H of a chunk; divisible by 2 per extra channel entry")
    feature_size: int = Field(48, ge=1, description="length of the feature vector")
    channels: tuple[int, ...] = Field((64, 128, 256), description="channels at length H, H/2, H/4, ...")
    condition_size: int = Field(256, ge=8, description="width of the condition embedding")
    groups: int = Field(8, ge=1, description="groups of the normalisation layers")
    level_frequencies: int = Field(16, ge=1, description="sine-cosine pairs that embed the noise level")
    near_field_gain: float = Field(5.0, ge=0.0, description="slope of the tanh copy of the features")


class ResidualBlock(nn.Module):
    """conv - norm - FiLM - SiLU - conv - norm - SiLU, plus the input."""

    def __init__(self, inputs: int, outputs: int, groups: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(inputs, outputs, 3, padding=1)
        self.first_norm = nn.GroupNorm(groups, outputs)
        self.second = nn.Conv1d(outputs, outputs, 3, padding=1)
        self.second_norm = nn.GroupNorm(groups, outputs)
        self.skip = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, film: Tensor) -> Tensor:
        """x (K, inputs, L), film (K, 2 * outputs) -> (K, outputs, L)."""
        scale, shift = film.unsqueeze(-1).chunk(2, dim=1)
        hidden = functional.silu(torch.addcmul(shift, self.first_norm(self.first(x)), 1.0 + scale))
        hidden = functional.silu(self.second_norm(self.second(hidden)))
        return torch.as_tensor(hidden + self.skip(x))


class ConditionalUNet(nn.Module):
    """Clean-sample prediction; `embed` runs once per observation, `forward` once per noise level."""

    def __init__(self, settings: UNetSettings) -> None:
        super().__init__()
        self.settings = settings
        width, channels, groups = settings.condition_size, settings.channels, settings.groups
        self.observation = nn.Sequential(
            nn.Linear(2 * settings.feature_size, 2 * width), nn.SiLU(), nn.Linear(2 * width, width)
        )
        self.level = nn.Linear(2 * settings.level_frequencies, width)
        self.mix = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.stem = nn.Conv1d(settings.action_size, channels[0], 3, padding=1)
        pairs = list(zip(channels[:-1], channels[1:], strict=True))
        self.down_blocks = nn.ModuleList(ResidualBlock(c, c, groups) for c in channels[:-1])
        self.downsample = nn.ModuleList(nn.Conv1d(c, d, 3, stride=2, padding=1) for c, d in pairs)
        self.middle = nn.ModuleList(ResidualBlock(channels[-1], channels[-1], groups) for _ in range(2))
        self.upsample = nn.ModuleList(nn.Conv1d(d, c, 1) for c, d in reversed(pairs))
        self.up_blocks = nn.ModuleList(ResidualBlock(2 * c, c, groups) for c in reversed(channels[:-1]))
        self.head = nn.Conv1d(channels[0], settings.action_size, 1)
        self.film_sizes = [2 * c for c in (*channels[:-1], channels[-1], channels[-1], *reversed(channels[:-1]))]
        self.film = nn.Linear(width, sum(self.film_sizes))
        # Every block starts as an unconditioned residual block.
        nn.init.zeros_(self.film.weight)
        nn.init.zeros_(self.film.bias)

    def embed(self, features: Tensor) -> Tensor:
        """Normalised features (B, F) -> condition (B, C).

        The tanh copy magnifies the last centimetres of an approach, where millimetres decide a grasp.
        """
        near = torch.tanh(features * self.settings.near_field_gain)
        return torch.as_tensor(self.observation(torch.cat([features, near], dim=-1)))

    def forward(self, x: Tensor, level: Tensor, condition: Tensor) -> Tensor:
        """Noisy x (K, H, A), level (K,), condition (K, C) or (1, C) -> clean chunk (K, H, A)."""
        hidden_condition = self.mix(condition + self.level(self._waves(level)))
        films = iter(self.film(hidden_condition).split(self.film_sizes, dim=1))
        hidden = self.stem(x.transpose(1, 2))
        skips = []
        for block, shrink in zip(self.down_blocks, self.downsample, strict=True):
            hidden = block(hidden, next(films))
            skips.append(hidden)
            hidden = shrink(hidden)
        for block in self.middle:
            hidden = block(hidden, next(films))
        for block, grow in zip(self.up_blocks, self.upsample, strict=True):
            # A 1x1 convolution commutes with nearest-neighbour repetition: project first, at half the length.
            hidden = grow(hidden).repeat_interleave(2, dim=2)
            hidden = block(torch.cat([hidden, skips.pop()], dim=1), next(films))
        return torch.as_tensor(self.head(hidden)).transpose(1, 2)

    def _waves(self, level: Tensor) -> Tensor:
        """(K,) in [0, 1] -> sines and cosines from half a period to 64 periods, (K, 2 * level_frequencies)."""
        count = self.settings.level_frequencies
        octaves = torch.linspace(0.0, 7.0, count, dtype=level.dtype, device=level.device)
        angles = level.unsqueeze(-1) * (math.pi * torch.exp2(octaves))
        return torch.cat([angles.sin(), angles.cos()], dim=-1)


def parameter_count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
