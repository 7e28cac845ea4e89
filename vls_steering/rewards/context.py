"""One evaluation: a rollout, the scene it happens in, and how minima and maxima are read."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

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
        self._values: dict[Hashable, Any] = {}

    def once(self, key: Hashable, compute: Callable[[Context], Any]) -> Any:
        """The value of `compute`, which runs only for the first asker of `key`."""
        if key not in self._values:
            self._values[key] = compute(self)
        return self._values[key]

    def position(self, name: str) -> Tensor:
        """(K or 1, H or 1, 3) m: where the object is at each step; the hand carries what it holds or grips."""
        value: Tensor = self.once(("position", name), lambda context: context._position(name))
        return value

    def _position(self, name: str) -> Tensor:
        now = self.scene.positions[self.scene.index[name]].reshape(1, 1, 3)
        return now + carried(self.rollout, self.scene.tcp, self.in_hand(name)) if self._movable(name) else now

    def in_hand(self, name: str) -> Tensor:
        """(K, H) in [0, 1]: the object is in the hand, by measurement at the start and by prediction from then on."""
        value: Tensor = self.once(("in hand", name), lambda context: context._in_hand(name))
        return value

    def _in_hand(self, name: str) -> Tensor:
        if name == self.scene.held:
            return still_held(self.rollout, self.scene.gripper_width)
        if self._movable(name):
            position = self.scene.positions[self.scene.index[name]]
            return gripped_by_then(self.rollout, position, self.size(name)[:2].amin())
        return torch.zeros_like(self.rollout.gripper_width)

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
