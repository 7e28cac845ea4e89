"""Drives the world by TCP targets, one policy step at a time, without governor or perception: for scripts only."""

from __future__ import annotations

import numpy as np

from vls_steering.core.arrays import FloatArray
from vls_steering.core.types import DOWN_QUAT_XYZW, GRIPPER_OPEN_M, SetPoint
from vls_steering.robots.kinematics import ArmKinematics
from vls_steering.sim.world import World

CONTROL_PERIOD_S = 0.01
_DOWN = np.array(DOWN_QUAT_XYZW)


class TcpStepper:
    """Interpolates joint set-points between successive TCP targets."""

    def __init__(self, world: World, kinematics: ArmKinematics) -> None:
        self._world = world
        self._kinematics = kinematics
        self.reset()

    def reset(self) -> None:
        """Start from where the world's arm is now."""
        self._commanded = np.array(self._world.robot_state().joint_positions)
        self._velocity = np.zeros(7)

    def step_to(self, tcp: FloatArray, gripper_open: bool, duration_s: float) -> None:
        """Reach `tcp` (3,) m after `duration_s`; raises UnreachablePose."""
        goal = self._kinematics.solve(tcp, _DOWN, self._commanded)
        periods = round(duration_s / CONTROL_PERIOD_S)
        # Cubic Hermite with the mean slope at the end keeps the joint velocity continuous over steps.
        start, slope, end_slope = self._commanded, self._velocity, (goal - self._commanded) / duration_s
        for period in range(1, periods + 1):
            u = period / periods
            position = (
                (2 * u**3 - 3 * u**2 + 1) * start
                + (u**3 - 2 * u**2 + u) * duration_s * slope
                + (-2 * u**3 + 3 * u**2) * goal
                + (u**3 - u**2) * duration_s * end_slope
            )
            velocity = (position - self._commanded) / CONTROL_PERIOD_S
            self._commanded = position
            width = GRIPPER_OPEN_M if gripper_open else 0.0
            self._world.apply(SetPoint(self._world.stamp_s, position, velocity, width))
            self._world.step(CONTROL_PERIOD_S)
        self._velocity = end_slope
