"""What the executor asks of an arm's kinematics; the real one lives in `robots/`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from vls_steering.core.arrays import FloatArray


@dataclass(frozen=True)
class TcpStates:
    """The TCP in N postures, base frame."""

    positions: FloatArray  # (N, 3) m
    rotations: FloatArray  # (N, 3, 3)
    jacobians: FloatArray  # (N, 6, 7) geometric: linear rows m/rad first, then angular ones


class Kinematics(Protocol):
    """Forward and inverse kinematics of the seven arm joints, poses in the base frame.

    The plural forms answer for a whole path at once: the control loop has no time to ask for one posture at a time.
    """

    def tcp_pose(self, joint_positions: FloatArray, /) -> tuple[FloatArray, FloatArray]:
        """TCP position (3,) m and orientation (4,) xyzw of one posture (7,) rad."""
        ...

    def tcp_states(self, joint_positions: FloatArray, /) -> TcpStates:
        """Of N postures (N, 7) rad."""
        ...

    def solve_path(self, positions: FloatArray, quats_xyzw: FloatArray, seeds: FloatArray, /) -> FloatArray:
        """Postures (N, 7) rad that reach the poses (N, 3) m and (N, 4), each near its seed (N, 7) or the one before.

        Raises a VlsError that names the step when there are none.
        """
        ...
