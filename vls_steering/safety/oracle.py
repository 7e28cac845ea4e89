"""The judge of what was really sent: differentiate the set-points and compare with the arm's own tables.

Backward differences at the control period, as the arm's discontinuity checks do.  Shares no code with the governor
except the limit tables.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vls_steering.core.arrays import FloatArray
from vls_steering.safety.limits import DOF, ArmLimits

# Rounding of third differences of float64 positions at 1 kHz.
_RELATIVE_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Violation:
    quantity: str  # position, velocity, acceleration, jerk or finite
    sample: int
    joint: int  # 1..7
    value: float
    bound: float


def violations(positions: ArrayLike, period_s: float, limits: ArmLimits) -> tuple[Violation, ...]:
    """Every sample of `positions` (N, 7) rad, sent `period_s` apart from rest at the first, that breaks a limit."""
    q = np.asarray(positions, dtype=np.float64)
    if not np.isfinite(q).all():
        sample, joint = (int(i) for i in np.argwhere(~np.isfinite(q))[0])
        return (Violation("finite", sample, joint + 1, float(q[sample, joint]), 0.0),)
    # The arm rested before the first set-point.
    padded = np.concatenate([np.repeat(q[:1], 3, axis=0), q])
    velocity = np.diff(padded, 1, axis=0)[2:] / period_s
    acceleration = np.diff(padded, 2, axis=0)[1:] / period_s**2
    jerk = np.diff(padded, 3, axis=0) / period_s**3
    lowest, highest = limits.velocity_bounds(q)
    rated = np.zeros((1, DOF))
    return (
        *_outside("position", q, limits.position_lower + rated, limits.position_upper + rated),
        *_outside("velocity", velocity, np.minimum(lowest, 0.0), np.maximum(highest, 0.0)),
        *_outside("acceleration", acceleration, -limits.acceleration + rated, limits.acceleration + rated),
        *_outside("jerk", jerk, -limits.jerk + rated, limits.jerk + rated),
    )


def _outside(quantity: str, values: FloatArray, lower: FloatArray, upper: FloatArray) -> list[Violation]:
    slack = _RELATIVE_TOLERANCE * np.maximum(1.0, np.maximum(np.abs(lower), np.abs(upper)))
    lower, upper = np.broadcast_to(lower - slack, values.shape), np.broadcast_to(upper + slack, values.shape)
    found = []
    for sample, joint in np.argwhere((values < lower) | (values > upper)):
        bound = lower if values[sample, joint] < lower[sample, joint] else upper
        value = float(values[sample, joint])
        found.append(Violation(quantity, int(sample), int(joint) + 1, value, float(bound[sample, joint])))
    return found
