"""Scripted skills with privileged positions: teacher of the base policy, oracle of solvable layouts.

A plan is a dense list of TCP targets, one per policy step, drawn as smooth curves through a few way-points.  Several
routes lead to the same object, so that a policy trained on the demonstrations has modes to choose from.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from scipy.interpolate import PchipInterpolator

from vls_steering.core.arrays import FloatArray
from vls_steering.sim.layout import SceneLayout
from vls_steering.sim.objects import GRASPABLES, PLATE_HEIGHT_M
from vls_steering.sim.tasks import Skill, SkillKind

POLICY_STEP_S = 0.1
CRUISE_M_S = 0.26
DESCENT_M_S = 0.14
PUSH_M_S = 0.12
HOVER_M = 0.09  # TCP above the grasp height before the last descent
LIFT_HEIGHT_M = 0.20
GRASP_STEPS, RELEASE_STEPS = 5, 4


class Route(Enum):
    """How the hand gets to the object."""

    STRAIGHT = "straight"
    OVER = "over"
    LEFT = "left"
    RIGHT = "right"


@dataclass(frozen=True)
class ScriptedPlan:
    """Targets for the end of each policy step."""

    tcp: FloatArray  # (T, 3) m
    gripper_open: np.ndarray  # (T,) bool

    @property
    def steps(self) -> int:
        return len(self.tcp)


def plan_skill(
    skill: Skill, layout: SceneLayout, start_tcp: FloatArray, route: Route, rng: np.random.Generator, bow_m: float = 0.0
) -> ScriptedPlan:
    """The whole motion of `skill` from `start_tcp`; `rng` varies speed, heights and the size of the detour.

    `bow_m` fixes the sideways or upward detour of the route; 0 draws it.
    """
    return _Planner(layout, start_tcp, route, rng, bow_m).plan(skill)


class _Planner:
    def __init__(
        self, layout: SceneLayout, start_tcp: FloatArray, route: Route, rng: np.random.Generator, bow_m: float
    ) -> None:
        self._layout = layout
        self._route = route
        self._rng = rng
        self._bow_m = bow_m or rng.uniform(0.10, 0.20)
        self._speed = rng.uniform(0.85, 1.15)
        self._tcp = [np.asarray(start_tcp, dtype=float)]
        self._open: list[bool] = []

    def plan(self, skill: Skill) -> ScriptedPlan:
        if skill.kind is SkillKind.PUSH:
            self._push(skill.target)
        else:
            self._grasp(skill.target)
            self._lift()
            if skill.kind is SkillKind.PLACE:
                self._place(skill.target)
            else:
                self._wait(6, gripper_open=False)
        return ScriptedPlan(np.array(self._tcp[1:]), np.array(self._open))

    def _grasp(self, target: str) -> None:
        x, y = self._layout.position_of(target)
        surface = self._layout.placement_of(target).surface_m
        height = surface + max(0.012, GRASPABLES[target].half_height_m + self._rng.uniform(-0.004, 0.003))
        hover = np.array([x, y, height + HOVER_M + self._rng.uniform(-0.02, 0.03)])
        self._travel(hover, gripper_open=True)
        self._move([np.array([x, y, height])], DESCENT_M_S, gripper_open=True)
        self._wait(GRASP_STEPS, gripper_open=False)

    def _lift(self) -> None:
        up = self._tcp[-1] + [0, 0, LIFT_HEIGHT_M + self._rng.uniform(-0.02, 0.04)]
        self._move([up], 0.8 * CRUISE_M_S, gripper_open=False)

    def _place(self, target: str) -> None:
        assert self._layout.plate_xy_m is not None
        x, y = np.array(self._layout.plate_xy_m) + self._rng.uniform(-0.012, 0.012, 2)
        release_z = PLATE_HEIGHT_M + GRASPABLES[target].half_height_m + 0.008
        carry = np.array([x, y, release_z + 0.13])
        self._move([carry], CRUISE_M_S, gripper_open=False)
        self._move([np.array([x, y, release_z])], DESCENT_M_S, gripper_open=False)
        self._wait(RELEASE_STEPS, gripper_open=True)
        self._move([np.array([x, y, release_z + 0.12])], CRUISE_M_S, gripper_open=True)

    def _push(self, target: str) -> None:
        x, y = self._layout.position_of(target)
        depth = GRASPABLES[target].half_size_m[0]
        behind = np.array([x - depth - self._rng.uniform(0.045, 0.06), y, 0.022])
        self._travel(behind + [0, 0, HOVER_M], gripper_open=False)
        self._move([behind], DESCENT_M_S, gripper_open=False)
        reach = depth + 0.02 + self._rng.uniform(0.115, 0.145)
        self._move([behind + [reach, 0, 0]], PUSH_M_S, gripper_open=False)
        self._move([behind + [reach - 0.03, 0, 0.12]], CRUISE_M_S, gripper_open=False)

    def _travel(self, goal: FloatArray, gripper_open: bool) -> None:
        """To the hover pose by the chosen route."""
        start = self._tcp[-1]
        middle = (start + goal) / 2
        along = goal[:2] - start[:2]
        distance = np.linalg.norm(along)
        if self._route is Route.STRAIGHT or distance < 0.03:
            self._move([goal], CRUISE_M_S, gripper_open)
            return
        if self._route is Route.OVER:
            top = max(start[2], goal[2]) + 0.6 * self._bow_m
            shares = (0.25, self._rng.uniform(0.8, 1.0))
            via = [np.array([*(start + share * (goal - start))[:2], top]) for share in shares]
        else:
            sideways = np.array([-along[1], along[0]]) / distance
            sign = 1.0 if self._route is Route.LEFT else -1.0
            via = [np.array([*(middle[:2] + sign * self._bow_m * sideways), middle[2]])]
        self._move([*via, goal], CRUISE_M_S, gripper_open)

    def _move(self, points: list[FloatArray], speed_m_s: float, gripper_open: bool) -> None:
        """A shape-preserving curve through the points, with a smooth start and stop."""
        knots = np.array([self._tcp[-1], *points])
        lengths = np.linalg.norm(np.diff(knots, axis=0), axis=1)
        knots, lengths = knots[np.r_[True, lengths > 1e-6]], lengths[lengths > 1e-6]
        if len(knots) < 2:
            return
        parameter = np.r_[0.0, np.cumsum(lengths)]
        curve = PchipInterpolator(parameter, knots) if len(knots) > 2 else None
        duration_s = parameter[-1] / (speed_m_s * self._speed) + 0.25
        steps = max(2, round(duration_s / POLICY_STEP_S))
        for step in range(1, steps + 1):
            fraction = step / steps
            # Between a ramp and a cosine: no jerk at the ends, near-constant speed between.
            eased = 0.5 * fraction + 0.5 * (fraction - np.sin(2 * np.pi * fraction) / (2 * np.pi))
            s = eased * parameter[-1]
            point = curve(s) if curve is not None else knots[0] + (knots[1] - knots[0]) * (s / parameter[-1])
            self._append(point, gripper_open)

    def _wait(self, steps: int, gripper_open: bool) -> None:
        for _ in range(steps):
            self._append(self._tcp[-1], gripper_open)

    def _append(self, tcp: FloatArray, gripper_open: bool) -> None:
        self._tcp.append(np.asarray(tcp, dtype=float))
        self._open.append(gripper_open)
