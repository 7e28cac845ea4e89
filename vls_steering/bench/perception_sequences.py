"""Motions that a tracker must follow: scripts for the simulated arm, each a function of its seed.

Things are pushed and carried by the same scripts that taught the policy.  Two more scripts hide things from the front
camera: one holds the hand between a resting object and the camera, the other drags an object away behind the hand, so
that it moves while it cannot be seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from vls_steering.core.arrays import FloatArray
from vls_steering.core.errors import ConfigurationError
from vls_steering.core.types import DOWN_QUAT_XYZW
from vls_steering.robots.kinematics import NOMINAL_POSTURE, ArmKinematics, UnreachablePose
from vls_steering.sim.layout import SceneLayout
from vls_steering.sim.objects import GRASPABLES
from vls_steering.sim.scenes import draw_layout
from vls_steering.sim.scripted import POLICY_STEP_S, Route, plan_skill
from vls_steering.sim.tasks import Skill, SkillKind

ATTEMPTS = 40
CRUISE_M_S = 0.30
SWEEP_M_S = (0.30, 0.45)
DRAG_M_S = (0.16, 0.26)
DRAG_M = (0.05, 0.09)
HASTE_M_S = 0.50  # into the line of sight before a drag, and out of it afterwards
HIDDEN_PAUSE_S = (0.0, 0.4)  # of the hand on the line of sight; with coming and going about 1 s at most
LINE_SHARE = (0.22, 0.36)  # where on the way from object to camera the hand stops
HAND_ABOVE_TCP_M = 0.09  # middle of the hand's body
CLEARANCE_M = 0.14  # of the TCP over the table on the way from place to place
LOOK_AFTER_S = 1.2  # the last state is watched for this long


class MotionKind(Enum):
    """What happens to the target."""

    PUSHED = "pushed"
    CARRIED = "carried"
    HIDDEN = "hidden"  # at rest, behind the hand
    DRAGGED = "dragged"  # moved behind the hand


@dataclass(frozen=True)
class MotionSequence:
    """One script; a row for each `POLICY_STEP_S`."""

    kind: MotionKind
    layout: SceneLayout
    target: str
    tcp: FloatArray  # (T, 3) m, base frame
    gripper_open: np.ndarray  # (T,) bool


def draw_sequence(seed: int, eye: FloatArray) -> MotionSequence:
    """The script that `seed` names; kinds take turns.  `eye` (3,) m is where the camera is that things hide from.

    Raises ConfigurationError when nothing within reach was found, which ATTEMPTS makes unlikely.
    """
    rng = np.random.default_rng([seed, 11])
    kind = tuple(MotionKind)[seed % len(MotionKind)]
    kinematics = ArmKinematics()
    for attempt in range(ATTEMPTS):
        layout = draw_layout("play", seed + 1_000_003 * attempt)
        target = tuple(GRASPABLES)[int(rng.integers(len(GRASPABLES)))]
        tcp, gripper_open = _script(kind, layout, target, eye, rng)
        if _reachable(kinematics, tcp):
            still = round(LOOK_AFTER_S / POLICY_STEP_S)
            tcp = np.vstack([tcp, np.repeat(tcp[-1:], still, axis=0)])
            return MotionSequence(kind, layout, target, tcp, np.r_[gripper_open, np.repeat(gripper_open[-1], still)])
    raise ConfigurationError(f"no {kind.value} sequence of seed {seed} is within the arm's reach")


def _script(
    kind: MotionKind, layout: SceneLayout, target: str, eye: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, np.ndarray]:
    start = np.array(layout.home_tcp_m)
    if kind is MotionKind.HIDDEN:
        return _hide(start, _centre(layout, target), eye, rng)
    if kind is MotionKind.DRAGGED:
        return _drag(start, _centre(layout, target), GRASPABLES[target].half_size_m[0], rng)
    carried = (SkillKind.LIFT, SkillKind.PLACE)
    skill = SkillKind.PUSH if kind is MotionKind.PUSHED else carried[int(rng.integers(2))]
    route = tuple(Route)[int(rng.integers(len(Route)))]
    plan = plan_skill(Skill(skill, target), layout, start, route, rng)
    return plan.tcp, plan.gripper_open


def _hide(
    start: FloatArray, target: FloatArray, eye: FloatArray, rng: np.random.Generator
) -> tuple[FloatArray, np.ndarray]:
    """The hand comes between object and camera from the middle of the table, stays a moment and goes back."""
    between = target + rng.uniform(*LINE_SHARE) * (eye - target) - [0.0, 0.0, HAND_ABOVE_TCP_M]
    aside = between - [0.0, np.copysign(0.24, target[1]), 0.0]
    speed = rng.uniform(*SWEEP_M_S)
    path = _Path(start)
    path.move(aside, CRUISE_M_S)
    path.move(between, speed)
    path.wait(rng.uniform(*HIDDEN_PAUSE_S))
    path.move(aside, speed)
    return path.finish(gripper_open=True)


def _drag(
    start: FloatArray, target: FloatArray, depth_m: float, rng: np.random.Generator
) -> tuple[FloatArray, np.ndarray]:
    """The closed hand comes down on the camera's side of the object and draws it towards the robot."""
    front = np.array([target[0] + depth_m + rng.uniform(0.035, 0.05), target[1], 0.022])
    reach = front[0] - target[0] - depth_m + rng.uniform(*DRAG_M)
    path = _Path(start)
    path.move(np.array([*front[:2], CLEARANCE_M]), CRUISE_M_S)
    path.move(front, HASTE_M_S)
    path.move(front - [reach, 0.0, 0.0], rng.uniform(*DRAG_M_S))
    path.move(path.end + [0.03, -np.copysign(0.15, target[1]), CLEARANCE_M], HASTE_M_S)
    return path.finish(gripper_open=False)


class _Path:
    """Way-points joined by straight lines with smooth starts and stops."""

    def __init__(self, start: FloatArray) -> None:
        self._points = [np.asarray(start, dtype=float)]

    @property
    def end(self) -> FloatArray:
        return self._points[-1]

    def move(self, goal: FloatArray, speed_m_s: float) -> None:
        start = self.end
        steps = max(2, round((float(np.linalg.norm(goal - start)) / speed_m_s + 0.15) / POLICY_STEP_S))
        for fraction in np.arange(1, steps + 1) / steps:
            self._points.append(start + (goal - start) * (fraction - np.sin(2 * np.pi * fraction) / (4 * np.pi)))

    def wait(self, duration_s: float) -> None:
        self._points += [self.end] * round(duration_s / POLICY_STEP_S)

    def finish(self, gripper_open: bool) -> tuple[FloatArray, np.ndarray]:
        tcp = np.array(self._points[1:])
        return tcp, np.full(len(tcp), gripper_open)


def _centre(layout: SceneLayout, target: str) -> FloatArray:
    return np.array([*layout.position_of(target), GRASPABLES[target].half_height_m])


def _reachable(kinematics: ArmKinematics, tcp: FloatArray) -> bool:
    posture = np.array(NOMINAL_POSTURE)
    try:
        for point in tcp:
            posture = kinematics.solve(point, np.array(DOWN_QUAT_XYZW), posture)
    except UnreachablePose:
        return False
    return True
