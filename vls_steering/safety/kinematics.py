"""What the executor asks of an arm's kinematics; the real one lives in `robots/`."""

from __future__ import annotations

from typing import Protocol

from vls_steering.core.arrays import FloatArray


class Kinematics(Protocol):
    """Forward and inverse kinematics of the seven arm joints, poses in the base frame."""

    def tcp_pose(self, joint_positions: FloatArray, /) -> tuple[FloatArray, FloatArray]:
        """TCP position (3,) m and orientation (4,) xyzw."""
        ...

    def jacobian(self, joint_positions: FloatArray, /) -> FloatArray:
        """Geometric Jacobian (6, 7) of the TCP: linear rows m/rad first, then angular ones, base-frame axes."""
        ...

    def solve(self, position: FloatArray, quat_xyzw: FloatArray, seed: FloatArray, /) -> FloatArray:
        """Joint positions (7,) rad near `seed` that reach the pose; raises a VlsError when there are none."""
        ...
