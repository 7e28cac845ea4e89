"""`vls collect`: scripted demonstrations for the base policy, with disturbances it must recover from.

Play: a placed or pushed object is often followed by another skill, so that the data has no dead ends but a held
object.  The script's targets are recorded; what is executed is the target plus a slowly varying disturbance (DART,
Laskey et al. 2017), so that the data shows how to come back.  Only completed skills are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from vls_steering.core.arrays import FloatArray
from vls_steering.policies.features import OBJECT_SLOTS
from vls_steering.robots.kinematics import ArmKinematics, UnreachablePose
from vls_steering.sim.layout import SceneLayout
from vls_steering.sim.scripted import POLICY_STEP_S, Route, plan_skill
from vls_steering.sim.stepper import TcpStepper
from vls_steering.sim.tables import draw_training_layout
from vls_steering.sim.tasks import Skill, SkillKind, SkillScorer
from vls_steering.sim.world import SceneTruth, World

SKILL_SHARES = {SkillKind.LIFT: 0.4, SkillKind.PLACE: 0.4, SkillKind.PUSH: 0.2}
START_BOX_M = (np.array([0.32, -0.28, 0.12]), np.array([0.62, 0.28, 0.42]))
RANDOM_START_SHARE = 0.40
CHAINED_SHARE = 0.7
# Starts above an object with closed, empty fingers: the state after a missed grasp.
MISSED_GRASP_SHARE = 0.25


@dataclass(frozen=True)
class Demonstration:
    """One kept episode; T policy steps, M object slots."""

    seed: int
    skill: str
    route: str
    tcp: FloatArray  # (T, 3) measured
    gripper_width: FloatArray  # (T,)
    objects: FloatArray  # (T, M, 3)
    present: np.ndarray  # (M,) bool
    action_tcp: FloatArray  # (T, 3) target for the end of the step
    action_open: np.ndarray  # (T,) bool
    ends_at_rest: bool  # the last pose is one to stay in: an object is held up


class Collector:
    """Runs one demonstration a seed in one world."""

    def __init__(self) -> None:
        self._world = World(draw_training_layout(0))
        self._stepper = TcpStepper(self._world, ArmKinematics())

    def demonstrate(self, seed: int) -> Demonstration | None:
        """The episode of `seed`, or None when the skill was not completed (blocked, jammed, out of reach)."""
        rng = np.random.default_rng([seed, 11])
        layout = draw_training_layout(seed)
        skill, route = _draw_skill(layout, rng), list(Route)[rng.integers(len(Route))]
        start = rng.random()
        if start < MISSED_GRASP_SHARE:
            layout = _started_after_miss(layout, layout.object_names[rng.integers(len(layout.object_names))], rng)
        elif start < MISSED_GRASP_SHARE + RANDOM_START_SHARE:
            layout = _started_elsewhere(layout, rng)
        try:
            self._world.reset(layout)
            self._stepper.reset()
            return self._run(seed, skill, route, layout, rng)
        except UnreachablePose:
            return None

    def _run(
        self, seed: int, skill: Skill, route: Route, layout: SceneLayout, rng: np.random.Generator
    ) -> Demonstration | None:
        steps, skills = _Steps(), [skill]
        if not self._perform(skill, route, layout, rng, steps):
            return None
        if skill.kind is not SkillKind.LIFT and rng.random() < CHAINED_SHARE:
            moved = _as_it_stands(layout, self._world.truth())
            others = [name for name in moved.object_names if name != skill.target]
            following = _draw_skill(replace(moved, objects=tuple(o for o in moved.objects if o.name in others)), rng)
            complete = steps.count
            if self._perform(following, list(Route)[rng.integers(len(Route))], moved, rng, steps):
                skills.append(following)
            else:
                steps.cut(complete)
        present = np.array([name in self._world.truth().positions for name in OBJECT_SLOTS])
        return steps.demonstration(seed, skills, route, present)

    def _perform(
        self, skill: Skill, route: Route, layout: SceneLayout, rng: np.random.Generator, steps: _Steps
    ) -> bool:
        """One scripted skill from wherever the arm is, recorded in `steps`; False when it was not completed."""
        world, scorer = self._world, SkillScorer(layout)
        plan = plan_skill(skill, layout, world.robot_state().tcp_position, route, rng)
        disturbance, completed = _Disturbance(rng), False
        for target, gripper_open in zip(plan.tcp, plan.gripper_open, strict=True):
            truth = world.truth()
            steps.add(truth, target, bool(gripper_open))
            push = disturbance.next(near_object=self._near_object(skill, truth.positions, truth.robot.tcp_position))
            self._stepper.step_to(np.maximum(target + push, [-1, -1, 0.012]), bool(gripper_open), POLICY_STEP_S)
            completed |= skill in scorer.completed(world.truth())
        return completed

    @staticmethod
    def _near_object(skill: Skill, positions: dict[str, FloatArray], tcp: FloatArray) -> bool:
        return bool(np.linalg.norm(positions[skill.target] - tcp) < 0.06)


class _Steps:
    """Grows one step at a time."""

    def __init__(self) -> None:
        self._tcp: list[FloatArray] = []
        self._width: list[float] = []
        self._objects: list[FloatArray] = []
        self._action_tcp: list[FloatArray] = []
        self._action_open: list[bool] = []

    @property
    def count(self) -> int:
        return len(self._tcp)

    def add(self, truth: SceneTruth, target: FloatArray, gripper_open: bool) -> None:
        self._tcp.append(truth.robot.tcp_position)
        self._width.append(truth.robot.gripper_width_m)
        self._objects.append(np.array([truth.positions.get(name, np.zeros(3)) for name in OBJECT_SLOTS]))
        self._action_tcp.append(target)
        self._action_open.append(gripper_open)

    def cut(self, count: int) -> None:
        """Forget everything after the first `count` steps."""
        for column in (self._tcp, self._width, self._objects, self._action_tcp, self._action_open):
            del column[count:]

    def demonstration(self, seed: int, skills: list[Skill], route: Route, present: np.ndarray) -> Demonstration:
        return Demonstration(
            seed=seed,
            skill=" then ".join(str(skill) for skill in skills),
            route=route.value,
            tcp=np.array(self._tcp),
            gripper_width=np.array(self._width),
            objects=np.array(self._objects),
            present=present,
            action_tcp=np.array(self._action_tcp),
            action_open=np.array(self._action_open),
            ends_at_rest=skills[-1].kind is SkillKind.LIFT,
        )


class _Disturbance:
    """Ornstein-Uhlenbeck offsets, strong in free space, weak at the object; sometimes none at all."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._scale_m = rng.choice([0.0, 0.008, 0.018], p=[0.25, 0.45, 0.30])
        self._offset = np.zeros(3)

    def next(self, near_object: bool) -> FloatArray:
        self._offset = 0.7 * self._offset + self._scale_m * 0.7 * self._rng.standard_normal(3)
        return self._offset * (0.25 if near_object else 1.0)


def _started_elsewhere(layout: SceneLayout, rng: np.random.Generator) -> SceneLayout:
    low, high = START_BOX_M
    x, y, z = rng.uniform(low, high)
    return replace(layout, home_tcp_m=(x, y, z))


def _started_after_miss(layout: SceneLayout, target: str, rng: np.random.Generator) -> SceneLayout:
    x, y = layout.position_of(target)
    z = rng.uniform(0.03, 0.16)
    if z < 0.075:  # lower than the object's top: beside it, across the fingers' plane
        x += rng.choice([-1.0, 1.0]) * rng.uniform(0.055, 0.08)
    x, y = x + rng.uniform(-0.02, 0.02), y + rng.uniform(-0.04, 0.04)
    return replace(layout, home_tcp_m=(x, y, z), home_gripper_width_m=0.0)


def _as_it_stands(layout: SceneLayout, truth: SceneTruth) -> SceneLayout:
    """The layout with every object where it is now."""
    objects = tuple(
        replace(o, x_m=float(truth.positions[o.name][0]), y_m=float(truth.positions[o.name][1])) for o in layout.objects
    )
    return replace(layout, objects=objects)


def _draw_skill(layout: SceneLayout, rng: np.random.Generator) -> Skill:
    kinds = [kind for kind in SKILL_SHARES if kind is not SkillKind.PLACE or layout.plate_xy_m is not None]
    shares = np.array([SKILL_SHARES[kind] for kind in kinds])
    kind = kinds[rng.choice(len(kinds), p=shares / shares.sum())]
    return Skill(kind, layout.object_names[rng.integers(len(layout.object_names))])


def collect(first_seed: int, attempts: int, out: Path, jobs: int, progress: Callable[[int, int], None]) -> int:
    """Attempt `attempts` demonstrations from `first_seed` on, write the kept ones to `out` (npz); returns their count.

    `progress(done, kept)` is called as attempts finish.
    """
    kept: list[Demonstration] = []
    blocks = [range(s, min(s + 25, first_seed + attempts)) for s in range(first_seed, first_seed + attempts, 25)]
    done = 0
    with ProcessPoolExecutor(jobs) as pool:
        for block, demonstrations in zip(blocks, pool.map(_demonstrate_block, blocks), strict=True):
            kept.extend(demonstrations)
            done += len(block)
            progress(done, len(kept))
    _write(out, kept)
    return len(kept)


@cache
def _collector() -> Collector:
    """One world a worker process: building it takes as long as several demonstrations."""
    return Collector()


def _demonstrate_block(seeds: range) -> list[Demonstration]:
    return list(_kept(_collector(), seeds))


def _kept(collector: Collector, seeds: range) -> Iterator[Demonstration]:
    for seed in seeds:
        demonstration = collector.demonstrate(seed)
        if demonstration is not None:
            yield demonstration


def _write(out: Path, kept: list[Demonstration]) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    lengths = [len(d.tcp) for d in kept]
    np.savez_compressed(
        out,
        tcp=np.concatenate([d.tcp for d in kept]).astype(np.float32),
        gripper_width=np.concatenate([d.gripper_width for d in kept]).astype(np.float32),
        objects=np.concatenate([d.objects for d in kept]).astype(np.float32),
        present=np.repeat(np.array([d.present for d in kept]), lengths, axis=0),
        action_tcp=np.concatenate([d.action_tcp for d in kept]).astype(np.float32),
        action_open=np.concatenate([d.action_open for d in kept]),
        episode=np.repeat(np.arange(len(kept)), lengths),
        skill=np.array([d.skill for d in kept]),
        route=np.array([d.route for d in kept]),
        seed=np.array([d.seed for d in kept]),
        ends_at_rest=np.array([d.ends_at_rest for d in kept]),
    )
