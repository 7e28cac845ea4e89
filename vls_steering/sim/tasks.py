"""Success predicates.  Privileged: only the scorer and the scripted oracle call them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from vls_steering.sim.layout import SceneLayout
from vls_steering.sim.objects import LOOSE, PLATE, PLATE_RADIUS_M
from vls_steering.sim.world import SceneTruth

LIFTED_M = 0.10  # clearance between the object and what it stood on
LIFT_DWELL_S = 0.5
PUSHED_M = 0.06
ON_PLATE_M = PLATE_RADIUS_M - 0.015
AT_REST_M_S = 0.02
HAND_CLEAR_M = 0.05


class SkillKind(Enum):
    """What the base policy was shown."""

    LIFT = "lift"
    PLACE = "place"  # on the plate
    PUSH = "push"  # forward, along the base frame's x axis


@dataclass(frozen=True)
class Skill:
    """A kind of task and the object it is about."""

    kind: SkillKind
    target: str

    def __str__(self) -> str:
        return f"{self.kind.value} {self.target}"


class SkillScorer:
    """Watches the truth of one episode and says when a skill has been completed."""

    def __init__(self, layout: SceneLayout) -> None:
        self._layout = layout
        self._lifted_since_s: dict[str, float] = {}
        self._was_lifted: set[str] = set()

    def completed(self, truth: SceneTruth) -> frozenset[Skill]:
        """Skills whose predicate holds at this instant; call it at least every 0.1 s."""
        done = set()
        for name in self._layout.object_names:
            if self._lifted(name, truth):
                done.add(Skill(SkillKind.LIFT, name))
            if self._placed(name, truth):
                done.add(Skill(SkillKind.PLACE, name))
            if self._pushed(name, truth):
                done.add(Skill(SkillKind.PUSH, name))
        return frozenset(done)

    def _clearance_m(self, name: str, truth: SceneTruth) -> float:
        surface = self._layout.placement_of(name).surface_m
        return float(truth.positions[name][2]) - LOOSE[name].half_height_m - surface

    def _lifted(self, name: str, truth: SceneTruth) -> bool:
        between_fingers = np.linalg.norm(truth.positions[name] - truth.robot.tcp_position) < 0.05
        if self._clearance_m(name, truth) > 0.02:
            self._was_lifted.add(name)
        if self._clearance_m(name, truth) < LIFTED_M or not between_fingers:
            self._lifted_since_s.pop(name, None)
            return False
        since = self._lifted_since_s.setdefault(name, truth.stamp_s)
        return truth.stamp_s - since >= LIFT_DWELL_S

    def _placed(self, name: str, truth: SceneTruth) -> bool:
        if PLATE not in truth.positions:
            return False
        position = truth.positions[name]
        over_plate = np.linalg.norm(position[:2] - truth.positions[PLATE][:2]) < ON_PLATE_M
        resting = self._clearance_m(name, truth) < 0.03 and truth.speeds_m_s[name] < AT_REST_M_S
        released = truth.robot.gripper_width_m > 0.06 and truth.robot.tcp_position[2] - position[2] > HAND_CLEAR_M
        return bool(over_plate and resting and released)

    def _pushed(self, name: str, truth: SceneTruth) -> bool:
        # The truth's own layout: objects may have changed places since the start.
        moved = truth.positions[name][:2] - truth.layout.position_of(name)
        forward = moved[0] >= PUSHED_M and moved[0] > 2 * abs(moved[1])
        on_table = self._clearance_m(name, truth) < 0.01 and truth.speeds_m_s[name] < AT_REST_M_S
        return bool(forward and on_table and name not in self._was_lifted)
