"""One evaluation: a rollout, the scene it happens in, and how minima and maxima are read."""

from __future__ import annotations

import torch
from torch import Tensor

from vls_steering.rewards.grasp import carried, gripped_by_then, still_held
from vls_steering.rewards.rollout import Rollout, Scene
from vls_steering.rewards.semantics import Semantics


class Context:
    """What the words of a program are evaluated in; shared by all terms of one evaluation."""

    def __init__(self, rollout: Rollout, scene: Scene, semantics: Semantics) -> None:
        self.rollout = rollout
        self.scene = scene
        self.semantics = semantics
        self._positions: dict[str, Tensor] = {}
        self._in_hand: dict[str, Tensor] = {}

    def position(self, name: str) -> Tensor:
        """(K or 1, H or 1, 3) m: where the object is at each step; the hand carries what it holds or grips."""
        if name not in self._positions:
            now = self.scene.positions[self.scene.index[name]].reshape(1, 1, 3)
            if self._movable(name):
                now = now + carried(self.rollout, self.scene.tcp, self.in_hand(name))
            self._positions[name] = now
        return self._positions[name]

    def in_hand(self, name: str) -> Tensor:
        """(K, H) in [0, 1]: the object is in the hand, by measurement at the start and by prediction from then on."""
        if name not in self._in_hand:
            if name == self.scene.held:
                self._in_hand[name] = still_held(self.rollout, self.scene.gripper_width)
            elif self._movable(name):
                at, size = self.scene.positions[self.scene.index[name]], self.size(name)
                self._in_hand[name] = gripped_by_then(self.rollout, at, size[:2].amin())
            else:
                self._in_hand[name] = torch.zeros_like(self.rollout.gripper_width)
        return self._in_hand[name]

    def _movable(self, name: str) -> bool:
        # One hand: while it holds something, nothing else moves.
        return name == self.scene.held or (self.scene.held is None and name in self.scene.graspable)

    def size(self, name: str) -> Tensor:
        """(3,) m, axis-aligned extents."""
        return self.scene.sizes[self.scene.index[name]]

    def top(self, name: str) -> Tensor:
        """Height of an object's upper face at each step, m, base frame."""
        return self.position(name)[..., 2] + self.size(name)[2] / 2

    def spread(self, values: Tensor) -> Tensor:
        """Expand to (K, H)."""
        return values.expand(self.rollout.gripper_width.shape)

    def constant(self, value: float) -> Tensor:
        """(1, 1) tensor of the rollout's type and device."""
        return self.rollout.tcp.new_full((1, 1), value)
