"""What a recorded run amounts to, by the simulator's own judgement.  Privileged: nothing that moves the arm sees it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import mujoco
import numpy as np

from vls_steering.bench.recording import Recording
from vls_steering.core.arrays import FloatArray
from vls_steering.core.types import SetPoint
from vls_steering.safety.limits import FR3_LIMITS
from vls_steering.sim.model import body_name
from vls_steering.sim.objects import GRASPABLES, OBSTACLE
from vls_steering.sim.tasks import Skill, SkillKind, SkillScorer
from vls_steering.sim.world import SceneTruth, World

CONTROL_PERIOD_S = 0.01
JUMP_M = 0.08  # between two states: less than objects stand apart, more than any is carried
FAR_M = 1.0  # clearances beyond this are not computed
# One goal only: what comes after these words constrains the way, not the outcome.
_CONSTRAINT = re.compile(r"\b(but|while|without|avoid\w*|keep\w*|stay\w*)\b")
_GOALS = (
    (SkillKind.PLACE, re.compile(r"\b(put|place|set|move|drop)\b.*\b(on|onto|to|in)\b.*\bplate\b")),
    (SkillKind.PUSH, re.compile(r"\bpush\b")),
    (SkillKind.LIFT, re.compile(r"\b(pick|grab|grasp|take|lift|raise|get)\b")),
)


def goal_of(instruction: str) -> Skill | None:
    """The skill that the scorer can judge for this instruction, or None when it has no predicate for it.

    Deliberately small and independent of the planner: a program that misreads the instruction must not score itself.
    """
    text = " ".join(instruction.lower().split())
    task = _CONSTRAINT.split(text, maxsplit=1)[0]
    named = [name for name in GRASPABLES if re.search(rf"\b{name}\b", task)]
    kind = next((kind for kind, pattern in _GOALS if pattern.search(task)), None)
    return Skill(kind, named[0]) if kind is not None and len(named) == 1 else None


@dataclass(frozen=True)
class Verdict:
    """`success` is None when the scorer has no predicate for the instruction."""

    goal: str
    success: bool | None
    completed: tuple[str, ...]  # every skill completed, in order
    seconds: float | None  # from the start until the goal was reached
    collisions: int  # 1 when the obstacle was touched


@dataclass(frozen=True)
class Measures:
    """The run as the simulator saw it, one row per recorded state."""

    stamps_s: FloatArray = field(repr=False)  # (N,)
    tcp: FloatArray = field(repr=False)  # (N, 3) m
    gripper_m: FloatArray = field(repr=False)  # (N,)
    clearance_m: FloatArray = field(repr=False)  # (N,) obstacle to the nearest part of the arm; NaN without one
    speed_share: FloatArray = field(repr=False)  # (M,) of the set-points: fastest joint over its limit
    speed_stamps_s: FloatArray = field(repr=False)  # (M,)
    verdict: Verdict = field(repr=True)


def nothing_measured(goal: Skill | None) -> Measures:
    """Of a run that ended before anything could be recorded."""
    none = np.zeros(0)
    return Measures(none, np.zeros((0, 3)), none, none, none, none, _verdict(goal, {}, touched=False, start_s=0.0))


class Scorer:
    """Goes through recorded states with a world of its own.

    Between two states the physics is run again with the recorded set-points, so that a brief touch is not missed.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._obstacle = world.model.geom(body_name(OBSTACLE)).id
        self._arm_geoms = _collision_geoms(world.model)

    @property
    def world(self) -> World:
        """For others who need a model of the scene."""
        return self._world

    def measure(self, recording: Recording, goal: Skill | None) -> Measures:
        """Everything that is measured of a run; an obstacle touch is a failure whatever was achieved."""
        world, layout = self._world, recording.facts.layout
        world.reset(layout)
        scorer = SkillScorer(layout)
        rows: list[tuple[FloatArray, float, float]] = []
        completed: dict[str, float] = {}
        touched, before = False, None
        for state, end_s in zip(recording.states, _ends(recording.state_stamps_s), strict=True):
            world.restore(state)
            if before is not None and before.layout.exchange is not None:
                _exchange(world, before)
            truth = before = world.truth()
            for skill in sorted(scorer.completed(truth), key=str):
                completed.setdefault(str(skill), truth.stamp_s)
            rows.append((truth.robot.tcp_position, truth.robot.gripper_width_m, self._clearance_m()))
            touched |= self._touches_until(end_s, recording.set_points)
        stamps = recording.state_stamps_s
        points = recording.set_points
        return Measures(
            stamps_s=stamps,
            tcp=np.array([row[0] for row in rows]).reshape(-1, 3),
            gripper_m=np.array([row[1] for row in rows]),
            clearance_m=np.array([row[2] for row in rows]),
            speed_share=np.abs(points[:, 8:15] / FR3_LIMITS.velocity).max(axis=1, initial=0.0),
            speed_stamps_s=points[:, 0],
            verdict=_verdict(goal, completed, touched, float(stamps[0]) if len(stamps) else 0.0),
        )

    def _touches_until(self, end_s: float, set_points: FloatArray) -> bool:
        """Whether the obstacle is touched at the current state or before `end_s`."""
        world = self._world
        if world.layout.obstacle is None:
            return False
        pairs = world.data.contact.geom[: world.data.ncon]
        if (pairs == self._obstacle).any():
            return True
        before = world.obstacle_touches
        if len(set_points):
            while world.stamp_s < end_s - 0.5 * CONTROL_PERIOD_S:
                newest = int(np.searchsorted(set_points[:, 0], world.stamp_s + 0.5 * CONTROL_PERIOD_S)) - 1
                if newest >= 0:
                    world.apply(_set_point(set_points[newest]))
                world.step(CONTROL_PERIOD_S)
        return world.obstacle_touches > before

    def _clearance_m(self) -> float:
        world = self._world
        if world.layout.obstacle is None:
            return float("nan")
        distances = (
            mujoco.mj_geomDistance(world.model, world.data, self._obstacle, geom, FAR_M, None)
            for geom in self._arm_geoms
        )
        return float(min(distances))


def _exchange(world: World, before: SceneTruth) -> None:
    """Objects that changed places since `before` now belong where they are: to be put there is not to be pushed."""
    exchange, now = world.layout.exchange, world.truth().positions
    if exchange is None:
        return
    names = (exchange.first, exchange.second)
    jumps = (float(np.linalg.norm(now[name] - before.positions[name])) for name in names)
    if min(jumps) > JUMP_M:
        world.layout = world.layout.exchanged({name: now[name][:2] for name in names})


def _ends(stamps_s: FloatArray) -> FloatArray:
    """Until when to run on from each state: the next one's stamp; the last one stands."""
    return np.append(stamps_s[1:], stamps_s[-1:])


def _set_point(row: FloatArray) -> SetPoint:
    return SetPoint(float(row[0]), row[1:8], row[8:15], float(row[15]))


def _collision_geoms(model: mujoco.MjModel) -> list[int]:
    """Geoms of the moving arm and hand that can touch something."""
    geoms = []
    for geom in range(model.ngeom):
        body = model.body(model.geom_bodyid[geom]).name
        moves = body.startswith("fr3_link") or body == "hand" or body.endswith("finger")
        if moves and model.geom_contype[geom]:
            geoms.append(geom)
    return geoms


def _verdict(goal: Skill | None, completed: dict[str, float], touched: bool, start_s: float) -> Verdict:
    reached_s = completed.get(str(goal)) if goal is not None else None
    return Verdict(
        goal=str(goal) if goal is not None else "",
        success=None if goal is None else reached_s is not None and not touched,
        completed=tuple(completed),
        seconds=None if reached_s is None else round(reached_s - start_s, 2),
        collisions=int(touched),
    )
