"""A program rehearsed without robot, model or simulator: does following the reward lead where the stages say?

The world is kinematic: a hand that goes where it is told, objects that are gripped, carried, let go and pushed.  In it
the best of a few hundred simple motions is executed, again and again, until the stage is done or nothing helps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from vls_steering.core.arrays import FloatArray
from vls_steering.core.types import DOWN_QUAT_XYZW, GRIPPER_OPEN_M, Keypoints, Observation, RobotState
from vls_steering.rewards.compile import CompiledStage
from vls_steering.rewards.context import Context
from vls_steering.rewards.evaluate import compile_expression
from vls_steering.rewards.expression import Call, Text, walk
from vls_steering.rewards.grasp import release_gap_m
from vls_steering.rewards.rollout import GRASPABLE_HEIGHT_M, HOLD_RADIUS_M, Rollout, Scene
from vls_steering.rewards.semantics import Exact

HOME_M = (0.40, 0.0, 0.30)
HORIZON, STEP_S = 16, 0.1
SPEED_M_S = 0.35
MAX_CHUNKS = 12
# Steps of closed fingers at an object before it is held, as in grasp.CLOSING_TIME_S.
_CLOSING_STEPS = 3
_POINT_WORDS = frozenset({"point", "offset", "above", "rest", "midpoint"})
_CLOSED_M, _OPEN_M = 0.02, 0.06
# A push is followed in pieces this short, so that a fast hand does not jump into what it shoves.
_CONTACT_STEP_M = 0.005
_FINGER_M = 0.008
# What is set down may have sunk this much into what carries it.
_SUNK_M = 0.01
_ROUNDING_M = 1e-6
_PATTERNS = 4
# Detours tried, m off the straight line at its middle: none, over, and to either side.
_ARCHES = (
    (0.0, 0.0, 0.0),
    (0.0, 0.0, 0.12),
    (0.0, 0.0, 0.25),
    (0.0, 0.15, 0.05),
    (0.0, -0.15, 0.05),
    (0.15, 0.0, 0.05),
)


@dataclass(frozen=True)
class World:
    """Hand, objects, and what is held."""

    keypoints: Keypoints
    tcp: FloatArray  # (3,) m
    width_m: float = GRIPPER_OPEN_M
    held: str | None = None
    stamp_s: float = 0.0

    @property
    def observation(self) -> Observation:
        """What the arm and a perfect perception would report."""
        width = self.width_m
        if self.held is not None:
            width = float(self._size(self.held)[:2].min())
        robot = RobotState(
            self.stamp_s, np.zeros(7), np.zeros(7), self.tcp, np.array(DOWN_QUAT_XYZW), width, self.held is not None
        )
        return Observation(robot, self.keypoints)

    def position(self, name: str) -> FloatArray:
        """(3,) m."""
        point = self.keypoints.find(name)
        assert point is not None, name
        return point.position

    def _size(self, name: str) -> FloatArray:
        point = self.keypoints.find(name)
        assert point is not None, name
        return point.size

    def after(self, tcp: FloatArray, widths: FloatArray) -> World:
        """The world at the end of a chunk: tcp (H, 3) m, widths (H,) m."""
        places = {point.name: point.position.copy() for point in self.keypoints.points}
        held, here, closing = self.held, self.tcp, 0
        ready, last = self.width_m >= _OPEN_M, self.width_m
        for target, width in zip(tcp, widths, strict=True):
            reached = self._above_what_is_there(places, held, here, target)
            if held is None:
                self._push(places, here, reached - here, max(last, float(width)))
            else:
                places[held] = places[held] + reached - here
            here, last = reached, float(width)
            if held is not None and width >= self._narrowest(held) + release_gap_m(self._narrowest(held)) - _ROUNDING_M:
                half = self._size(held)[2] / 2
                places[held][2] = self._support(places, held, places[held], places[held][2] - half) + half
                held = None
            near = self._graspable(places, here) if held is None else None
            # Fingers that come closed do not get around the object.
            ready = width >= _OPEN_M or (ready and near is not None) or (ready and width > _CLOSED_M)
            closing = closing + 1 if near is not None and ready and width < self._narrowest(near) else 0
            if near is not None and closing >= _CLOSING_STEPS:
                held = near
        points = tuple(replace(point, position=places[point.name]) for point in self.keypoints.points)
        stamp = self.stamp_s + HORIZON * STEP_S
        return World(Keypoints(stamp, points), here, float(widths[-1]), held, stamp)

    def _narrowest(self, name: str) -> float:
        return float(self._size(name)[:2].min())

    def _above_what_is_there(
        self, places: dict[str, FloatArray], held: str | None, here: FloatArray, target: FloatArray
    ) -> FloatArray:
        """Where a hand that is told to go to `target` gets: neither it nor what it holds sinks into what is below."""
        lowest = 0.0
        if held is not None:
            place, half = places[held], float(self._size(held)[2]) / 2
            support = self._support(places, held, place + target - here, float(place[2]) - half)
            lowest = support + half - float((place - here)[2])
        return np.array([target[0], target[1], max(float(target[2]), lowest)])

    def _push(self, places: dict[str, FloatArray], here: FloatArray, move: FloatArray, width: float) -> None:
        """Closed fingers low over the table shove what they run into."""
        if width > _CLOSED_M:
            return
        pieces = max(1, math.ceil(float(np.linalg.norm(move)) / _CONTACT_STEP_M))
        piece = move / pieces
        for number in range(1, pieces + 1):
            at = here + number * piece
            for name, place in places.items():
                half = self._size(name) / 2
                inside = np.abs(at[:2] - place[:2]) <= half[:2] + _FINGER_M
                if inside.all() and at[2] <= place[2] + half[2] and float((place - at)[:2] @ piece[:2]) > 0.0:
                    places[name] = place + np.array([piece[0], piece[1], 0.0])

    def _graspable(self, places: dict[str, FloatArray], here: FloatArray) -> str | None:
        """The object between the fingers, if one is there and fits."""
        near = [
            name
            for name, place in places.items()
            if np.linalg.norm(place - here) <= 0.75 * HOLD_RADIUS_M
            and self._size(name)[:2].min() < GRIPPER_OPEN_M
            and self._size(name)[2] <= GRASPABLE_HEIGHT_M
        ]
        return min(near, key=lambda name: float(np.linalg.norm(places[name] - here)), default=None)

    def _support(self, places: dict[str, FloatArray], name: str, at: FloatArray, below_m: float) -> float:
        """Height of what carries an object at `at` (3,) m: the highest top under its middle that is no higher than
        `below_m`, m."""
        tops = [
            float(place[2] + self._size(other)[2] / 2)
            for other, place in places.items()
            if other != name and (np.abs(place[:2] - at[:2]) <= self._size(other)[:2] / 2).all()
        ]
        return max((top for top in tops if top <= below_m + _SUNK_M), default=0.0)


@dataclass(frozen=True)
class Rehearsal:
    """How one stage went."""

    before: World
    after: World
    done: bool
    blocked: bool  # no motion keeps the safety terms
    motions: tuple[tuple[World, Rollout], ...]  # the chunks that were executed, each with where it started


def rehearse(stage: CompiledStage, start: World, seed: int = 0) -> Rehearsal:
    """Follow the stage's reward from `start` until its end is measured or nothing helps any more."""
    world, motions, blocked = start, [], False
    for number in range(MAX_CHUNKS):
        if stage.done(world.observation):
            break
        scene = Scene.from_observation(world.observation)
        rollout = candidates(stage, world, scene, seed + number)
        with torch.no_grad():
            score = stage.score(rollout, scene) + _obedience(stage, rollout, scene)
            safe = stage.safety(rollout, scene) >= min(0.0, stage.safety_now(scene)) - 1e-4
        if not bool(safe.any()):
            blocked = True
            break
        best = int(torch.where(safe & torch.isfinite(score), score, -torch.inf).argmax())
        chosen = Rollout(rollout.tcp[best : best + 1], rollout.gripper_width[best : best + 1], rollout.times_s)
        motions.append((world, chosen))
        world = world.after(chosen.tcp[0].double().numpy(), chosen.gripper_width[0].double().numpy())
    return Rehearsal(start, world, stage.done(world.observation), blocked, tuple(motions))


def _obedience(stage: CompiledStage, rollout: Rollout, scene: Scene) -> Tensor:
    """(K,) 0 for the use of the gripper that the stage's intent likes best on each path, -inf for the others.

    What is let go on the last step is out of the way of every keep-out: a path must not be bought by that.
    """
    missed = stage.explain(rollout, scene)["gripper: 0"].reshape(_PATTERNS, -1)
    return torch.where(missed >= missed.amax(0) - 1e-6, 0.0, -torch.inf).reshape(-1)


def candidates(stage: CompiledStage, world: World, scene: Scene, seed: int = 0) -> Rollout:
    """Straight and arched ways to every place that the stage speaks of, with four ways to use the gripper."""
    goals = torch.tensor(np.array(list(_goals(stage, world, scene, np.random.default_rng(seed)))), dtype=torch.float32)
    paths = torch.cat([_paths(world, goals, torch.tensor(arch)) for arch in _ARCHES])  # (G, H, 3)
    arrived = (paths - paths[:, -1:]).norm(dim=-1) < 0.01
    opened = torch.full_like(paths[..., 0], GRIPPER_OPEN_M)
    shut = torch.zeros_like(opened)
    patterns = [opened, shut, torch.where(arrived, shut, opened), torch.where(arrived, opened, shut)]
    times = STEP_S * torch.arange(1, HORIZON + 1)
    return Rollout(paths.repeat(len(patterns), 1, 1), torch.cat(patterns), times)


def _goals(stage: CompiledStage, world: World, scene: Scene, generator: np.random.Generator) -> Iterator[FloatArray]:
    here = world.tcp
    yield here
    for lift in (0.05, 0.12, -0.05):
        yield here + np.array([0.0, 0.0, lift])
    carried = world.position(world.held) - here if world.held is not None else np.zeros(3)
    places = [world.position(name) for name in sorted(stage.objects)]
    places += [place + np.array([0.0, 0.0, lift]) for place in places for lift in (0.09, 0.16)]
    places += _named_points(stage, scene)
    for place in places:
        yield place
        if world.held is not None:
            yield place - carried
    yield from here + 0.15 * generator.standard_normal((24, 3))
    # The middle of a place may be inside a margin where its edge is not.
    chosen = np.array(places)[generator.integers(len(places), size=16)] if places else np.empty((0, 3))
    yield from chosen - carried + 0.015 * generator.standard_normal(chosen.shape)


def _named_points(stage: CompiledStage, scene: Scene) -> list[FloatArray]:
    """The points that the stage's expressions make."""
    context = Context(scene.at_rest(), scene, Exact())
    nodes = {
        node for e in stage.expressions for node in walk(e) if isinstance(node, Call) and node.name in _POINT_WORDS
    }
    known = [n for n in nodes if all(t.value in scene.index for t in walk(n) if isinstance(t, Text))]
    values = [compile_expression(node)(context) for node in sorted(known, key=repr)]
    return [value.reshape(-1, 3)[0].double().numpy() for value in values]


def _paths(world: World, goals: Tensor, arch: Tensor) -> Tensor:
    """(G, H, 3): towards each goal (G, 3) at full speed, `arch` (3,) metres off the straight line at its middle."""
    start = torch.tensor(world.tcp, dtype=torch.float32)
    length = (goals - start).norm(dim=-1).clamp(min=1e-6) + 2 * arch.norm()
    share = torch.arange(1, HORIZON + 1) * STEP_S * SPEED_M_S / length.unsqueeze(-1)
    share = share.clamp(max=1.0).unsqueeze(-1)  # (G, H, 1)
    paths: Tensor = start + share * (goals - start).unsqueeze(1) + arch * 4 * share * (1 - share)
    return paths
