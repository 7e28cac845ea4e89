"""Proof by demonstration that a layout can be solved: the privileged script tries every route until one succeeds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vls_steering.core.errors import ConfigurationError
from vls_steering.robots.kinematics import ArmKinematics, UnreachablePose
from vls_steering.sim.layout import SceneLayout
from vls_steering.sim.scenes import draw_layout
from vls_steering.sim.scripted import POLICY_STEP_S, Route, plan_skill
from vls_steering.sim.stepper import TcpStepper
from vls_steering.sim.tasks import Skill, SkillScorer
from vls_steering.sim.world import World

BOWS_M = (0.12, 0.16, 0.20, 0.24)
MAX_REDRAWS = 200


class Oracle:
    """Owns one world for its trials; slow (a few seconds a layout), exact and seeded."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._stepper = TcpStepper(world, ArmKinematics())

    def solution(self, layout: SceneLayout, skill: Skill) -> Route | None:
        """A route that completes `skill` without touching the obstacle, or None."""
        for route in (Route.STRAIGHT, Route.OVER, Route.LEFT, Route.RIGHT):
            for bow_m in BOWS_M if route is not Route.STRAIGHT else (0.0,):
                if self.succeeds(layout, skill, route, bow_m):
                    return route
        return None

    def succeeds(self, layout: SceneLayout, skill: Skill, route: Route, bow_m: float) -> bool:
        """Whether one scripted attempt completes the skill, untouched."""
        world, scorer = self._world, SkillScorer(layout)
        world.reset(layout)
        self._stepper.reset()
        start = world.robot_state().tcp_position
        plan = plan_skill(skill, layout, start, route, np.random.default_rng(layout.seed), bow_m)
        for target, gripper_open in zip(plan.tcp, plan.gripper_open, strict=True):
            try:
                self._stepper.step_to(target, bool(gripper_open), POLICY_STEP_S)
            except UnreachablePose:
                return False
            truth = world.truth()
            if truth.obstacle_touches:
                return False
            if skill in scorer.completed(truth):
                return True
        return False

    def draw_solvable(self, scene: str, seed: int, skill: Skill) -> SceneLayout:
        """The first layout of the seed's sequence in which the skill is proven possible.

        With an obstacle, layouts in which it is not in the way (the straight route succeeds) are skipped too.
        """
        for attempt in range(MAX_REDRAWS):
            # Spread the redraws so that neighbouring seeds never share a layout.
            layout = draw_layout(scene, seed + attempt * 1_000_003, skill.target)
            layout = replace(layout, seed=seed)
            if layout.obstacle is not None and self.succeeds(layout, skill, Route.STRAIGHT, 0.0):
                continue
            if self.solution(layout, skill) is not None:
                return layout
        raise ConfigurationError(f"no solvable {scene} layout for {skill} near seed {seed}")
