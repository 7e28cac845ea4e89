"""The embedded frozen policy: feature normaliser + conditional U-Net behind the FrozenPolicy protocol,
trained as a diffusion or as a flow."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor

from vls_steering.core.types import Observation
from vls_steering.policies.base import ActionSpace, Encoding, NoiseSchedule
from vls_steering.policies.exported import ExportedNetwork
from vls_steering.policies.features import FeatureNormaliser, observation_features
from vls_steering.policies.process import Process
from vls_steering.policies.unet import ConditionalUNet


class NetworkPolicy:
    """Weights are frozen on construction: evaluation mode, no gradient with respect to them."""

    def __init__(
        self,
        network: ConditionalUNet,
        normaliser: FeatureNormaliser,
        action_space: ActionSpace,
        process: Process,
        name: str,
        sha256: str,
        exported: ExportedNetwork | None = None,
    ) -> None:
        """`exported` is the same network for passes without a gradient; without it torch makes them too."""
        self.network = network.eval().requires_grad_(False)
        self.normaliser = normaliser
        self.action_space = action_space
        self.process = process
        self.schedule: NoiseSchedule = process.schedule
        self.name = name
        self.sha256 = sha256
        self._exported = exported

    def encode(self, observations: Sequence[Observation]) -> Encoding:
        """Once per tick -> (1, C); uses the last observation and the one a policy step earlier."""
        parameter = next(self.network.parameters())
        features = observation_features(observations, self.action_space.step_s).to(parameter)
        with torch.no_grad():
            return self.network.embed(self.normaliser.apply(features))

    def predict_clean(self, encoding: Encoding, x: Tensor, level: Tensor) -> Tensor:
        """Noisy (K, H, 4), level (K,), encoding (1, C) -> clean estimate (K, H, 4)."""
        differentiable = torch.is_grad_enabled() and x.requires_grad
        forward = self.network if self._exported is None or differentiable else self._exported
        return self.process.clean(forward(x, level, encoding), x, level)

    def on(self, device: str) -> NetworkPolicy:
        """A copy in torch alone, on `device`."""
        network = copy.deepcopy(self.network).to(device)
        return NetworkPolicy(network, self.normaliser, self.action_space, self.process, self.name, self.sha256)
