"""A run that needs no policy: the scripted arm lifts the green cylinder, with particles drawn around its way."""

from __future__ import annotations

import json
from functools import cache

import numpy as np

from vls_steering.bench.recording import ExecutorTrace, Recorder, Recording, RunFacts, TickTrace
from vls_steering.robots.kinematics import ArmKinematics
from vls_steering.sim.layout import BoxPlacement, ObjectPlacement, SceneLayout
from vls_steering.sim.privileged import true_keypoints
from vls_steering.sim.scripted import POLICY_STEP_S, Route, plan_skill
from vls_steering.sim.stepper import TcpStepper
from vls_steering.sim.tasks import Skill, SkillKind
from vls_steering.sim.world import World

INSTRUCTION = "pick up the green cylinder but stay clear of the purple box"
LIFT = Skill(SkillKind.LIFT, "green cylinder")
FREE = SceneLayout(
    "obstacle",
    3,
    (ObjectPlacement("green cylinder", 0.50, 0.10), ObjectPlacement("red cube", 0.45, -0.15)),
    obstacle=BoxPlacement(0.60, -0.20),
)
# The post stands where the fingers come down beside the cylinder.
BLOCKED = SceneLayout("obstacle", 4, FREE.objects, obstacle=BoxPlacement(0.50, 0.19, (0.022, 0.022, 0.12)))
PROGRAM = {
    "version": 1,
    "instruction": INSTRUCTION,
    "stages": [
        {
            "name": "grasp",
            "reward": [{"term": "minimize(dist(ee, kp('green cylinder')))", "phrase": "pick up"}],
            "safety": ["always(clearance(body, 'purple box') >= 2 cm)"],
            "gripper": "close_when(dist(ee, kp('green cylinder')) <= 2.5 cm)",
            "done": "grasped('green cylinder')",
        },
        {"name": "lift", "reward": ["maximize(ee.z)"], "gripper": "free", "done": "ee.z >= 20 cm"},
    ],
}


@cache
def world() -> World:
    """One model for the whole room: it takes a second to build."""
    return World(FREE)


@cache
def lifting(layout: SceneLayout = FREE) -> Recording:
    """States, ticks and executor reports every 0.1 s, set-points every 0.01 s."""
    scene = world()
    scene.reset(layout)
    recorder, stepper = Recorder(), _RecordingStepper(scene)
    rng = np.random.default_rng(0)
    plan = plan_skill(LIFT, layout, scene.robot_state().tcp_position, Route.STRAIGHT, rng)
    for step, (target, opened) in enumerate(zip(plan.tcp, plan.gripper_open, strict=True)):
        recorder.states.append(scene.full_state())
        recorder.keypoints.append(true_keypoints(scene.truth()))
        recorder.ticks.append(_tick(step, plan.steps, scene.stamp_s, plan.tcp, rng))
        recorder.executor.append(
            ExecutorTrace(scene.stamp_s, "TRACKING", "", False, step, step // 20, 0, 0, "" if step % 20 else "VELOCITY")
        )
        stepper.step_to(target, bool(opened))
    recorder.states.append(scene.full_state())
    recorder.set_points += stepper.sent
    facts = RunFacts(INSTRUCTION, "ours", layout, 3, "paused", "privileged", json.dumps(PROGRAM), "f" * 64, "offline")
    return recorder.finish(facts)


class _RecordingStepper:
    """Notes what the scripted arm sends."""

    def __init__(self, scene: World) -> None:
        self._scene, self._stepper = scene, TcpStepper(scene, ArmKinematics())
        self.sent: list[np.ndarray] = []
        self._apply, scene.apply = scene.apply, self._note  # type: ignore[method-assign]

    def _note(self, set_point) -> None:
        self.sent.append(
            np.r_[set_point.stamp_s, set_point.joint_positions, set_point.joint_velocities, set_point.gripper_width_m]
        )
        self._apply(set_point)

    def step_to(self, target: np.ndarray, opened: bool) -> None:
        self._stepper.step_to(target, opened, POLICY_STEP_S)


def _tick(step: int, steps: int, stamp_s: float, path: np.ndarray, rng: np.random.Generator) -> TickTrace:
    ahead = path[np.minimum(np.arange(step, step + 16), steps - 1)]
    fan = rng.normal(0.0, 0.03, (5, 1, 3)) * np.linspace(0.2, 1.0, 16)[None, :, None]
    grasping = step < steps // 2
    numbers = dict.fromkeys(("strength", "shift_m", "best_score", "nfe", "share_steered"), 1.0)
    numbers |= {
        "tick_ms": 20.0 + step,
        "denoise_ms": 15.0,
        "progress": step / steps,
        "finished": float(step == steps - 1),
    }
    return TickTrace(
        stamp_s=stamp_s,
        candidates=ahead + fan if step % 10 != 9 else np.zeros((0, 16, 3)),  # every tenth tick is a hold
        scores=np.array([3.0, 1.0, np.nan, 2.0, 0.0]) if step % 10 != 9 else np.zeros(0),
        chosen=0 if step % 10 != 9 else -1,
        stage=0 if grasping else 1,
        stages=2,
        stage_name="grasp" if grasping else "lift",
        numbers=numbers,
        reason="",
    )
