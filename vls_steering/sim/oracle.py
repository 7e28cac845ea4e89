"""Proof by demonstration that a layout can be solved: the privileged script tries every route until one succeeds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from vls_steering.core.errors import ConfigurationError
from vls_steering.robots.kinematics import ArmKinematics, UnreachablePose
from vls_steering.sim.layout import SceneLayout
from vls_steering.sim.scenes import draw_layout
from vls_steering.sim.scripted import POLICY_STEP_S, Route, plan_skill
from vls_steering.sim.stepper import TcpStepper
from vls_steering.sim.tasks import Skill, SkillKind, SkillScorer
from vls_steering.sim.world import World

BOWS_M = (0.12, 0.16, 0.20, 0.24)
MAX_REDRAWS = 200
EXCHANGE_PATIENCE_S = 5.0


class Oracle:
    """Owns one world for its trials; slow (a few seconds a layout), exact and seeded."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._stepper = TcpStepper(world, ArmKinematics())

    def solution(self, layout: SceneLayout, skill: Skill) -> Route | None:
        """A route that completes `skill` without touching what must not be touched, or None."""
        ways = ((route, bow_m) for route, bow_m in _ways() if self.succeeds(layout, skill, route, bow_m))
        return next((route for route, _ in ways), None)

    def succeeds(self, layout: SceneLayout, skill: Skill, route: Route, bow_m: float) -> bool:
        """Whether one scripted attempt completes the skill; it waits for objects that are going to change places."""
        world, scorer = self._world, SkillScorer(layout)
        world.reset(layout)
        self._stepper.reset()
        start = world.robot_state().tcp_position
        while world.layout.exchange is not None and world.stamp_s < EXCHANGE_PATIENCE_S:
            self._stepper.step_to(start, True, POLICY_STEP_S)
        plan = plan_skill(skill, world.layout, start, route, np.random.default_rng(layout.seed), bow_m)
        for target, gripper_open in zip(plan.tcp, plan.gripper_open, strict=True):
            try:
                self._stepper.step_to(target, bool(gripper_open), POLICY_STEP_S)
            except UnreachablePose:
                return False
            truth = world.truth()
            if truth.violated:
                return False
            if skill in scorer.completed(truth):
                return True
        return False

    def draw_solvable(self, scene: str, seed: int, skill: Skill) -> SceneLayout:
        """The first layout of the seed's sequence in which the skill is proven possible.

        Layouts whose obstacle or keep-out is not in the way (the straight route succeeds) are skipped too.
        """
        for layout in candidates(scene, seed, skill):
            route = self.solution(layout, skill)
            if route is not None and not (layout.hinders and route is Route.STRAIGHT):
                return layout
        raise ConfigurationError(f"no solvable {scene} layout for {skill} near seed {seed}")


def candidates(scene: str, seed: int, skill: Skill) -> Iterator[SceneLayout]:
    """The seed's sequence of layouts that hold what the skill is about; unproven."""
    for attempt in range(MAX_REDRAWS):
        # Spread the redraws so that neighbouring seeds never share a layout.
        layout = replace(draw_layout(scene, seed + attempt * 1_000_003, skill.target), seed=seed)
        has_goal = skill.kind is not SkillKind.PLACE or layout.plate_xy_m is not None
        if has_goal and skill.target in layout.object_names:
            yield layout


def _ways() -> Iterator[tuple[Route, float]]:
    """Routes with the size of their detour, the simplest first."""
    yield Route.STRAIGHT, 0.0
    for route in (Route.OVER, Route.LEFT, Route.RIGHT):
        for bow_m in BOWS_M:
            yield route, bow_m
