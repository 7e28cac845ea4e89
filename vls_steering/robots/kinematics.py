"""Forward and inverse kinematics of the FR3 by mink (differential IK as a quadratic programme)."""

from __future__ import annotations

from functools import cached_property

import mink
import mujoco
import numpy as np
from scipy.spatial.transform import Rotation

from vls_steering.core.arrays import FloatArray
from vls_steering.core.errors import VlsError
from vls_steering.robots.assets import FINGER_JOINT_NAMES, TCP_SITE, fr3_spec
from vls_steering.robots.newton import PoseCosts, PoseTolerance, newton_path
from vls_steering.safety.kinematics import TcpStates

# Elbow-neutral posture with the hand pointing down: the null-space target that keeps the elbow from drifting.
NOMINAL_POSTURE = (0.0, -0.6, 0.0, -2.35, 0.0, 1.75, 0.785)
_END_MARGIN_RAD = 0.02  # that solutions keep from the joints' ends
_NEARLY = 4  # times the tolerance is accepted from a solver that has run out of steps
_NEAR_RAD = 0.5  # a Newton step may not have taken another branch


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
        self._limits = [mink.ConfigurationLimit(self._model, min_distance_from_limits=_END_MARGIN_RAD)]
        self._max_iterations = max_iterations
        self._position_tolerance_m = position_tolerance_m
        self._angle_tolerance_rad = angle_tolerance_rad
        self._within = PoseTolerance(position_tolerance_m, angle_tolerance_rad)
        self._data, self._site = mujoco.MjData(self._model), self._model.site(TCP_SITE).id
        self._costs = costs = PoseCosts(orientation=0.5, posture=5e-3, preferred=np.asarray(NOMINAL_POSTURE))
        self._pose_task = mink.FrameTask(
            TCP_SITE, "site", position_cost=1.0, orientation_cost=costs.orientation, lm_damping=1e-6
        )
        self._posture_task = mink.PostureTask(self._model, cost=costs.posture)
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

    def tcp_states(self, joint_positions: FloatArray) -> TcpStates:
        """Of the postures (N, 7) rad, by MuJoCo's own functions: a third of what mink's Configuration takes for it."""
        model, data, site, count = self._model, self._data, self._site, len(joint_positions)
        q, position, rotation = data.qpos[:7], data.site_xpos[site], data.site_xmat[site]
        positions, rotations, jacobians = np.empty((count, 3)), np.empty((count, 9)), np.zeros((count, 6, model.nv))
        for row in range(count):
            q[:] = joint_positions[row]
            mujoco.mj_kinematics(model, data)
            mujoco.mj_comPos(model, data)
            mujoco.mj_jacSite(model, data, jacobians[row, :3], jacobians[row, 3:], site)
            positions[row], rotations[row] = position, rotation
        return TcpStates(positions, rotations.reshape(-1, 3, 3), jacobians[:, :, :7])

    def solve_path(self, positions: FloatArray, quats_xyzw: FloatArray, seeds: FloatArray) -> FloatArray:
        """Postures (N, 7) that reach the poses (N, 3) m, (N, 4), each near its seed (N, 7).

        A path that a few Newton steps find at once, near the seeds and clear of the joints' ends, is theirs; any other
        goes to `solve`, pose by pose, each from the one before.  Raises UnreachablePose with the step.
        """
        rotations = Rotation.from_quat(quats_xyzw).as_matrix()
        quick = newton_path(self.tcp_states, positions, rotations, seeds, self._costs, self._within)
        lower, upper = self.joint_limits
        if (
            quick is not None
            and np.abs(quick - seeds).max() < _NEAR_RAD
            and ((quick > lower + _END_MARGIN_RAD) & (quick < upper - _END_MARGIN_RAD)).all()
        ):
            return quick
        found, before = [], seeds[0]
        for step, (position, quat) in enumerate(zip(positions, quats_xyzw, strict=True)):
            try:
                before = self.solve(position, quat, before)
            except UnreachablePose as error:
                raise UnreachablePose(f"step {step}: {error}") from error
            found.append(before)
        return np.array(found)

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
        missing_m, missing_rad = float(np.linalg.norm(error[:3])), float(np.linalg.norm(error[3:]))
        if missing_m < _NEARLY * self._position_tolerance_m and missing_rad < _NEARLY * self._angle_tolerance_rad:
            return self._configuration.q[:7].copy()
        place = np.round(position, 3).tolist()
        raise UnreachablePose(f"TCP pose {place} is {1e3 * missing_m:.1f} mm and {missing_rad:.2f} rad out of reach")

    def _full(self, joint_positions: FloatArray) -> FloatArray:
        q = np.zeros(self._model.nq)
        q[:7] = joint_positions
        return q
