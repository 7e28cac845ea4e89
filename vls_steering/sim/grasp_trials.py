"""Pick, lift, shake: does the hand hold what it grasps?  `vls bench grasp`."""

from __future__ import annotations

import numpy as np

from vls_steering.robots.kinematics import ArmKinematics
from vls_steering.sim.scripted import POLICY_STEP_S, Route, plan_skill
from vls_steering.sim.stepper import TcpStepper
from vls_steering.sim.tables import draw_table
from vls_steering.sim.tasks import Skill, SkillKind
from vls_steering.sim.world import World

SHAKE_AMPLITUDE_M = 0.04
SHAKE_STEPS = 20  # two seconds
SHAKE_HZ = 1.5
HELD_WITHIN_M = 0.03


class GraspTrials:
    """Scripted, privileged and seeded: this measures the physics, not a policy."""

    def __init__(self, world: World, kinematics: ArmKinematics) -> None:
        self.world = world
        self._stepper = TcpStepper(world, kinematics)

    def held_after_shaking(self, name: str, seed: int, let_go: bool = False) -> bool:
        """Whether `name` is still between the fingers after lift and shake; `let_go` opens the hand before the end."""
        rng = np.random.default_rng([seed, 5])
        layout = draw_table(rng, "grasp", seed, (name,), with_plate=False)
        self.world.reset(layout)
        self._stepper.reset()
        start = self.world.robot_state().tcp_position
        plan = plan_skill(Skill(SkillKind.LIFT, name), layout, start, Route.STRAIGHT, rng)
        for target, gripper_open in zip(plan.tcp, plan.gripper_open, strict=True):
            self._stepper.step_to(target, bool(gripper_open), POLICY_STEP_S)
        for step in range(1, SHAKE_STEPS + 1):
            swing = SHAKE_AMPLITUDE_M * np.sin(2 * np.pi * SHAKE_HZ * POLICY_STEP_S * step)
            self._stepper.step_to(plan.tcp[-1] + [0.0, swing, 0.5 * swing], False, POLICY_STEP_S)
        if let_go:
            for _ in range(10):
                self._stepper.step_to(plan.tcp[-1], True, POLICY_STEP_S)
        truth = self.world.truth()
        return bool(np.linalg.norm(truth.positions[name] - truth.robot.tcp_position) < HELD_WITHIN_M)
