"""One evaluation: a rollout, the scene it happens in, and how minima and maxima are read."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vls_steering.core.errors import StreamFault
from vls_steering.rewards.body import body_clearance
from vls_steering.rewards.geometry import constants
from vls_steering.rewards.grasp import carried, gripped_by_then, still_held
from vls_steering.rewards.rollout import Rollout, Scene
from vls_steering.rewards.semantics import Semantics

_DOWN = (0.0, 0.0, -1.0)


@dataclass(frozen=True)
class Region:
    """An axis-aligned box."""

    center: Tensor  # (K or 1, H or 1, 3) m
    size: Tensor  # (3,) m, full extents
    name: str = ""  # of the object whose box it is


class Past:
    """What was measured since the stage began, evaluated once however often it is asked for."""

    def __init__(self, samples: tuple[Context, ...], times_s: tuple[float, ...]) -> None:
        """`samples` are exact contexts at rest; `times_s` their times from now, none in the future."""
        self.samples = samples
        self.times_s = times_s
        self._recalled: dict[Hashable, list[float]] = {}

    def recall(self, run: Callable[[Context], Any]) -> list[float]:
        """(P,) the value at each sample."""
        if run not in self._recalled:
            self._recalled[run] = [float(sample.once(run, run).reshape(-1)[0]) for sample in self.samples]
        return self._recalled[run]


class Context:
    """What the words of a program are evaluated in; shared by all terms of one evaluation."""

    def __init__(
        self,
        rollout: Rollout,
        scene: Scene,
        semantics: Semantics,
        obstacles: tuple[str, ...] = (),
        past: Past | None = None,
    ) -> None:
        """`obstacles` are the objects that the program keeps the body clear of: their clearances share one batch.

        With a past, conditions along time are judged from its first sample on; without, from now on.
        """
        self.rollout = rollout
        self.scene = scene
        self.semantics = semantics
        self.past = past
        self._obstacles = obstacles
        self._values: dict[Hashable, Any] = {}

    def from_now(self) -> Context:
        """The same evaluation for what judges the chunk alone; itself when there is no past."""
        if self.past is None:
            return self
        plain: Context = self.once("from now", lambda context: context._without_past())
        return plain

    def _without_past(self) -> Context:
        return Context(self.rollout, self.scene, self.semantics, self._obstacles)

    def once(self, key: Hashable, compute: Callable[[Context], Any]) -> Any:
        """The value of `compute`, which runs only for the first asker of `key`."""
        if key not in self._values:
            self._values[key] = compute(self)
        return self._values[key]

    @property
    def times_s(self) -> Tensor:
        """(P + H,) s from now: samples of the past, then steps of the chunk."""
        times = self.rollout.times_s
        return times if self.past is None else torch.cat([times.new_tensor(self.past.times_s), times])

    @property
    def start_s(self) -> Tensor:
        """(1,) s from now: where windows are counted from."""
        start = self.rollout.times_s.new_zeros(1)
        return start if self.past is None or not self.past.times_s else start + self.past.times_s[0]

    def along_time(self, run: Callable[[Context], Any]) -> Tensor:
        """(K, P + H) values of a condition or quantity at each step; as `run` gives them when there is no past."""
        now: Tensor = run(self)
        if self.past is None:
            return now
        before = now.new_tensor(self.past.recall(run)).expand(self.rollout.tcp.shape[0], -1)
        return torch.cat([before, self.spread(now)], 1)

    def spread_time(self, values: Tensor) -> Tensor:
        """Expand to (K, P + H)."""
        return self.spread(values) if self.past is None else values.expand(self.rollout.tcp.shape[0], -1)

    def approach(self) -> Tensor:
        """(K, H, 3) or (3,): unit vector out of the hand at each step."""
        tcp = self.rollout.tcp
        down = constants(_DOWN, tcp.dtype, tcp.device)
        return down if self.rollout.approach is None else self.rollout.approach

    def joint(self, index: int) -> Tensor:
        """(K or 1, H or 1) rad: a joint's predicted positions, or its measured one when none are predicted."""
        if self.rollout.joints is not None:
            return self.rollout.joints[..., index]
        if self.scene.joints is None:
            raise StreamFault("the program needs joint positions, which were not measured")
        return self.scene.joints[index].reshape(1, 1)

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

    def body_clearance(self, region: Region) -> Tensor:
        """(K, H) m: signed distance between the nearest sphere of the body and the box."""
        if region.name not in self._obstacles:
            return self._body_clearances((region,))[..., 0]
        every = self.once("body clearances", lambda context: context._obstacle_clearances())
        value: Tensor = every[self._obstacles.index(region.name)]
        return value

    def _obstacle_clearances(self) -> tuple[Tensor, ...]:
        regions = tuple(Region(self.position(name), self.size(name)) for name in self._obstacles)
        return self._body_clearances(regions).unbind(-1)

    def _body_clearances(self, regions: tuple[Region, ...]) -> Tensor:
        centers = torch.broadcast_tensors(*[region.center for region in regions])  # type: ignore[no-untyped-call]
        sizes = torch.stack([region.size for region in regions])
        return body_clearance(self.rollout.tcp, self.rollout.gripper_width, torch.stack(centers, -2), sizes)

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
