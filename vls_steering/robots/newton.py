"""Inverse kinematics of a whole path at once, for the control loop: a few Newton steps from good seeds, or nothing.

Gauss and Newton's method on the costs of mink's frame and posture tasks, without its limits: the caller has to look
whether what is found respects them, and leaves everything else to mink.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from vls_steering.core.arrays import FloatArray
from vls_steering.safety.kinematics import TcpStates

# From where the arm was to be anyway one or two suffice; what takes more is better left to a solver with limits.
_MOST_STEPS = 3


@dataclass(frozen=True)
class PoseCosts:
    """What a miss of the pose and of the posture count for."""

    orientation: float  # of a radian, where a metre counts 1
    posture: float  # of a radian between a joint and its preferred position
    preferred: FloatArray  # (J,) rad


@dataclass(frozen=True)
class PoseTolerance:
    position_m: float
    angle_rad: float


def newton_path(
    states: Callable[[FloatArray], TcpStates],
    positions: FloatArray,
    rotations: FloatArray,
    seeds: FloatArray,
    costs: PoseCosts,
    within: PoseTolerance,
) -> FloatArray | None:
    """Postures (N, J) from `seeds` (N, J) at the poses (N, 3) m and (N, 3, 3); None when one of them is missed."""
    weights = np.repeat([1.0, costs.orientation], 3)
    pull = costs.posture**2
    q = seeds
    for step in range(_MOST_STEPS + 1):
        now = states(q)
        shifts = positions - now.positions
        turns = Rotation.from_matrix(rotations @ now.rotations.transpose(0, 2, 1)).as_rotvec()
        if _longest(shifts) < within.position_m and _longest(turns) < within.angle_rad:
            return q
        if step == _MOST_STEPS:
            break
        jacobians = weights[:, None] * now.jacobians
        transposed = jacobians.transpose(0, 2, 1)
        normal = transposed @ jacobians + pull * np.eye(q.shape[1])
        errors = weights * np.concatenate([shifts, turns], axis=1)
        gradient = (transposed @ errors[..., None])[..., 0] + pull * (costs.preferred - q)
        q = q + np.linalg.solve(normal, gradient[..., None])[..., 0]
    return None


def _longest(vectors: FloatArray) -> float:
    return float(np.sqrt((vectors**2).sum(axis=1).max()))
