"""One evaluation: a rollout, the scene it happens in, and how minima and maxima are read."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from vls_steering.rewards.rollout import Rollout, Scene
from vls_steering.rewards.semantics import Semantics

# How much wider than the held object the fingers are told to open before it is out of the hand.
RELEASE_GAP_M = 0.02


class Context:
    """What the words of a program are evaluated in; shared by all terms of one evaluation."""

    def __init__(self, rollout: Rollout, scene: Scene, semantics: Semantics) -> None:
        self.rollout = rollout
        self.scene = scene
        self.semantics = semantics

    def position(self, name: str) -> Tensor:
        """(K or 1, H or 1, 3) m: where the object is at each step; the held one is carried by the hand."""
        now = self.scene.positions[self.scene.index[name]].reshape(1, 1, 3)
        return now + self.carried if name == self.scene.held else now

    def size(self, name: str) -> Tensor:
        """(3,) m, axis-aligned extents."""
        return self.scene.sizes[self.scene.index[name]]

    def top(self, name: str) -> Tensor:
        """Height of an object's upper face at each step, m, base frame."""
        return self.position(name)[..., 2] + self.size(name)[2] / 2

    @cached_property
    def attachment(self) -> Tensor:
        """(K, H) in [0, 1]: the held object is still in the hand; once let go it stays let go."""
        closed = (self.scene.gripper_width + RELEASE_GAP_M - self.rollout.gripper_width) / RELEASE_GAP_M
        return torch.cummin(closed.clamp(0.0, 1.0), dim=1).values

    @cached_property
    def carried(self) -> Tensor:
        """(K, H, 3) m: how far the held object has moved from where it is now."""
        before = self.scene.tcp.expand(self.rollout.tcp.shape[0], 1, 3)
        steps = torch.diff(self.rollout.tcp, dim=1, prepend=before)
        return torch.cumsum(self.attachment.unsqueeze(-1) * steps, dim=1)

    def spread(self, values: Tensor) -> Tensor:
        """Expand to (K, H)."""
        return values.expand(self.rollout.gripper_width.shape)

    def constant(self, value: float) -> Tensor:
        """(1, 1) tensor of the rollout's type and device."""
        return self.rollout.tcp.new_full((1, 1), value)
