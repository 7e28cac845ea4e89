"""The arm as a chain of seven joints: poses, Jacobians and inverse kinematics of many postures at once.

The control loop looks at dozens of postures for every chunk and at a dozen for every set-point.  One at a time they
would cost it its period; here each of the seven joints is one operation for all of them.  The product of exponentials
and the geometric Jacobian are those of Lynch and Park, Modern Robotics, chapters 4 and 5, with the model's constants.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from scipy.spatial.transform import Rotation

from vls_steering.core.arrays import FloatArray
from vls_steering.safety.kinematics import TcpStates

DOF = 7
# From where the arm was to be anyway one or two suffice; what takes more is better left to a solver with limits.
_MOST_STEPS = 3
_NEXT, _AFTER = [1, 2, 0], [2, 0, 1]  # components of a cross product


@dataclass(frozen=True)
class PoseCosts:
    """What a miss of the pose and of the posture count for: those of mink's frame and posture tasks."""

    orientation: float  # of a radian, where a metre counts 1
    posture: float  # of a radian between a joint and its preferred position
    preferred: FloatArray  # (7,) rad


class SerialChain:
    """Hinges one after the other, each given by its axis and a point on it while all of them are at zero."""

    def __init__(self, axes: FloatArray, anchors: FloatArray, home: FloatArray) -> None:
        """`axes` (7, 3) unit, `anchors` (7, 3) m, `home` (4, 4): the TCP with every joint at zero; base frame."""
        x, y, z = axes.T
        self._axes, self._anchors, self._home = axes[..., None], anchors[..., None], home
        self._twists = np.zeros((DOF, 4, 4))
        self._twists[:, :3, :3] = np.array([[0 * x, -z, y], [z, 0 * x, -x], [-y, x, 0 * x]]).transpose(2, 0, 1)
        self._twists[:, :3, 3] = -np.cross(axes, anchors)
        self._squares = self._twists @ self._twists

    @staticmethod
    def of(model: mujoco.MjModel, site: str) -> SerialChain:
        """The first seven joints of `model`, up to `site`."""
        data = mujoco.MjData(model)
        data.qpos[:] = 0.0
        mujoco.mj_kinematics(model, data)
        home = np.eye(4)
        home[:3, :3], home[:3, 3] = data.site(site).xmat.reshape(3, 3), data.site(site).xpos
        return SerialChain(data.xaxis[:DOF].copy(), data.xanchor[:DOF].copy(), home)

    def states(self, joint_positions: FloatArray) -> TcpStates:
        """Of each of the postures (N, 7) rad."""
        angles = joint_positions[..., None, None]
        # For a unit axis the series of the exponential ends like Rodrigues' formula.
        turns = np.eye(4) + np.sin(angles) * self._twists + (1.0 - np.cos(angles)) * self._squares
        moved = np.empty((len(joint_positions), DOF + 1, 4, 4))
        moved[:, 0] = np.eye(4)
        for joint in range(DOF):
            np.matmul(moved[:, joint], turns[:, joint], out=moved[:, joint + 1])
        tcp = moved[:, DOF] @ self._home
        rotations = moved[:, :DOF, :3, :3]
        axes = (rotations @ self._axes)[..., 0]
        arms = tcp[:, None, :3, 3] - moved[:, :DOF, :3, 3] - (rotations @ self._anchors)[..., 0]
        linear = axes[..., _NEXT] * arms[..., _AFTER] - axes[..., _AFTER] * arms[..., _NEXT]
        jacobians = np.concatenate([linear, axes], axis=2).transpose(0, 2, 1)
        return TcpStates(tcp[:, :3, 3], tcp[:, :3, :3], jacobians)

    def solve(
        self,
        positions: FloatArray,
        rotations: FloatArray,
        seeds: FloatArray,
        costs: PoseCosts,
        within: tuple[float, float],
    ) -> FloatArray | None:
        """Postures (N, 7) by Gauss and Newton's method from `seeds` (N, 7), the limits of the joints aside.

        None unless all of positions (N, 3) m and rotations (N, 3, 3) are reached `within` so many metres and radians.
        """
        weights = np.repeat([1.0, costs.orientation], 3)
        pull = costs.posture**2
        q = seeds
        for _ in range(_MOST_STEPS + 1):
            now = self.states(q)
            shifts = positions - now.positions
            turns = Rotation.from_matrix(rotations @ now.rotations.transpose(0, 2, 1)).as_rotvec()
            if _longest(shifts) < within[0] and _longest(turns) < within[1]:
                return q
            jacobians = weights[:, None] * now.jacobians
            transposed = jacobians.transpose(0, 2, 1)
            normal = transposed @ jacobians + pull * np.eye(DOF)
            errors = weights * np.concatenate([shifts, turns], axis=1)
            gradient = (transposed @ errors[..., None])[..., 0] + pull * (costs.preferred - q)
            q = q + np.linalg.solve(normal, gradient[..., None])[..., 0]
        return None


def _longest(vectors: FloatArray) -> float:
    return float(np.sqrt((vectors**2).sum(axis=1).max()))
