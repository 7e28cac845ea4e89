"""Forward and inverse kinematics of the FR3 by mink (differential IK as a quadratic programme)."""

from __future__ import annotations

from functools import cached_property

import mink
import mujoco
import numpy as np

from vls_steering.core.arrays import FloatArray
from vls_steering.core.errors import VlsError
from vls_steering.robots.assets import FINGER_JOINT_NAMES, TCP_SITE, fr3_spec

# Elbow-neutral posture with the hand pointing down: the null-space target that keeps the elbow from drifting.
NOMINAL_POSTURE = (0.0, -0.6, 0.0, -2.35, 0.0, 1.75, 0.785)


class UnreachablePose(VlsError):
    """No joint configuration within limits reaches the pose closely enough."""


class ArmKinematics:
    """Kinematics of the seven arm joints; the fingers are kept out of the solution.

    Not thread-safe: each loop owns one.
    """

    def __init__(self, max_iterations: int = 30, position_tolerance_m: float = 5e-4, angle_tolerance_rad: float = 5e-3):
        spec = fr3_spec()
        for name in FINGER_JOINT_NAMES:
            spec.joint(name).range = [0.0, 0.04]
        self._model = spec.compile()
        self._configuration = mink.Configuration(self._model)
        self._limits = [mink.ConfigurationLimit(self._model, min_distance_from_limits=0.02)]
        self._max_iterations = max_iterations
        self._position_tolerance_m = position_tolerance_m
        self._angle_tolerance_rad = angle_tolerance_rad
        self._pose_task = mink.FrameTask(TCP_SITE, "site", position_cost=1.0, orientation_cost=0.5, lm_damping=1e-6)
        self._posture_task = mink.PostureTask(self._model, cost=5e-3)
        self._posture_task.set_target(self._full(np.asarray(NOMINAL_POSTURE)))

    @cached_property
    def joint_limits(self) -> tuple[FloatArray, FloatArray]:
        """Lower and upper joint positions, (7,) rad each."""
        ranges = self._model.jnt_range[:7]
        return ranges[:, 0].copy(), ranges[:, 1].copy()

    def tcp_pose(self, joint_positions: FloatArray) -> tuple[FloatArray, FloatArray]:
        """TCP position (3,) m and orientation (4,) xyzw in the base frame."""
        self._configuration.update(self._full(joint_positions))
        pose = self._configuration.get_transform_frame_to_world(TCP_SITE, "site")
        w, x, y, z = pose.rotation().wxyz
        return pose.translation().copy(), np.array([x, y, z, w])

    def jacobian(self, joint_positions: FloatArray) -> FloatArray:
        """(6, 7) geometric Jacobian of the TCP, linear rows first, base-frame axes."""
        self._configuration.update(self._full(joint_positions))
        data = self._configuration.data
        jacobian = np.zeros((6, self._model.nv))
        mujoco.mj_jacSite(self._model, data, jacobian[:3], jacobian[3:], self._model.site(TCP_SITE).id)
        return jacobian[:, :7]

    def solve(self, position: FloatArray, quat_xyzw: FloatArray, seed: FloatArray) -> FloatArray:
        """Joint positions (7,) near `seed` whose TCP reaches the pose; raises UnreachablePose with the residual."""
        x, y, z, w = quat_xyzw
        target = mink.SE3.from_rotation_and_translation(mink.SO3(np.array([w, x, y, z])), np.asarray(position))
        self._pose_task.set_target(target)
        self._configuration.update(self._full(seed))
        for _ in range(self._max_iterations):
            error = self._pose_task.compute_error(self._configuration)
            if np.linalg.norm(error[:3]) < self._position_tolerance_m and (
                np.linalg.norm(error[3:]) < self._angle_tolerance_rad
            ):
                return self._configuration.q[:7].copy()
            # A unit time step makes the integrated velocity the Newton step itself.
            velocity = mink.solve_ik(
                self._configuration, [self._pose_task, self._posture_task], 1.0, "daqp", 1e-6, limits=self._limits
            )
            velocity[7:] = 0.0
            self._configuration.integrate_inplace(velocity, 1.0)
        error = self._pose_task.compute_error(self._configuration)
        if np.linalg.norm(error[:3]) < 4 * self._position_tolerance_m:
            return self._configuration.q[:7].copy()
        raise UnreachablePose(
            f"TCP pose {np.round(position, 3).tolist()} is {np.linalg.norm(error[:3]) * 1e3:.1f} mm out of reach"
        )

    def _full(self, joint_positions: FloatArray) -> FloatArray:
        q = np.zeros(self._model.nq)
        q[:7] = joint_positions
        return q
