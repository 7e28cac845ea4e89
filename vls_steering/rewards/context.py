"""One evaluation: a rollout, the scene it happens in, and how minima and maxima are read."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor

from vls_steering.rewards.body import body_clearance
from vls_steering.rewards.grasp import carried, gripped_by_then, still_held
from vls_steering.rewards.rollout import Rollout, Scene
from vls_steering.rewards.semantics import Semantics


class Context:
    """What the words of a program are evaluated in; shared by all terms of one evaluation."""

    def __init__(self, rollout: Rollout, scene: Scene, semantics: Semantics, obstacles: tuple[str, ...] = ()) -> None:
        """`obstacles` are the objects that the program keeps the body clear of: their clearances share one batch."""
        self.rollout = rollout
        self.scene = scene
        self.semantics = semantics
        self._obstacles = obstacles
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
        now = self.scene.position(name)
        if not self._movable(name) or self._stays_open(name):
            return now
        in_hand = self.in_hand(name)
        return now if _known_zero(in_hand) else now + carried(self.rollout, self.scene.tcp, in_hand)

    def in_hand(self, name: str) -> Tensor:
        """(K, H) in [0, 1]: the object is in the hand, by measurement at the start and by prediction from then on."""
        value: Tensor = self.once(("in hand", name), lambda context: context._in_hand(name))
        return value

    def _in_hand(self, name: str) -> Tensor:
        if name == self.scene.held:
            return still_held(self.rollout, self.scene.gripper_width)
        if self._movable(name):
            return gripped_by_then(self.rollout, self.scene.position(name), self.scene.narrowest(name))
        return torch.zeros_like(self.rollout.gripper_width)

    def _movable(self, name: str) -> bool:
        # One hand: while it holds something, nothing else moves.
        return name == self.scene.held or (self.scene.held is None and name in self.scene.graspable)

    def _stays_open(self, name: str) -> bool:
        """No particle ever closes its fingers as far as this object is wide, for all one can tell without waiting."""
        if name == self.scene.held or self.rollout.tcp.device.type != "cpu":
            return False
        least: float = self.once("least width", lambda context: float(context.rollout.gripper_width.detach().amin()))
        return least >= self.scene.narrowest(name)

    def size(self, name: str) -> Tensor:
        """(3,) m, axis-aligned extents."""
        return self.scene.size(name)

    def top(self, name: str) -> Tensor:
        """Height of an object's upper face at each step, m, base frame."""
        return self.position(name)[..., 2] + self.size(name)[2] / 2

    def body_clearance(self, name: str) -> Tensor:
        """(K, H) m: signed distance between the nearest sphere of the body and the object's box."""
        if name not in self._obstacles:
            return self._body_clearances((name,))[..., 0]
        every = self.once("body clearances", lambda context: context._body_clearances(context._obstacles).unbind(-1))
        value: Tensor = every[self._obstacles.index(name)]
        return value

    def _body_clearances(self, names: tuple[str, ...]) -> Tensor:
        places = torch.broadcast_tensors(*[self.position(name) for name in names])  # type: ignore[no-untyped-call]
        sizes = torch.stack([self.size(name) for name in names])
        return body_clearance(self.rollout.tcp, self.rollout.gripper_width, torch.stack(places, -2), sizes)

    def spread(self, values: Tensor) -> Tensor:
        """Expand to (K, H)."""
        shape = self.rollout.gripper_width.shape
        return values if values.shape == shape else values.expand(shape)

    def constant(self, value: float) -> Tensor:
        """(1, 1) tensor of the rollout's type and device."""
        return self.rollout.tcp.new_full((1, 1), value)


def _known_zero(values: Tensor) -> bool:
    # Asking costs nothing on a CPU and saves the motion of an object that nobody touches; a GPU would have to wait.
    return values.device.type == "cpu" and not bool(values.any())
