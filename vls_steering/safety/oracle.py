"""The judge of what was really sent: differentiate the set-points and compare with the arm's own tables.

Backward differences at the control period, as the arm's discontinuity checks do.  Shares no code with the governor
except the limit tables.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.transform import Rotation

from vls_steering.core.arrays import FloatArray
from vls_steering.safety.limits import DOF, ArmLimits, RateLimits

# Rounding of third differences of float64 positions at 1 kHz.
_RELATIVE_TOLERANCE = 1e-5


@dataclass(frozen=True)
class Violation:
    quantity: str  # position, velocity, acceleration, jerk or finite; with "tcp", "turn" or "elbow" before it
    sample: int
    joint: int  # 1..7; 0 = the hand
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


def tcp_violations(
    positions: ArrayLike,
    period_s: float,
    limits: ArmLimits,
    tcp_pose: Callable[[FloatArray], tuple[FloatArray, FloatArray]],
) -> tuple[Violation, ...]:
    """The same for hand and elbow: lengths of the differences of the TCP's path, and the third joint's own."""
    q = np.asarray(positions, dtype=np.float64)
    poses = [tcp_pose(row) for row in np.concatenate([np.repeat(q[:1], 3, axis=0), q])]
    bounds = limits.cartesian
    places = np.array([position for position, _ in poses])
    turns = Rotation.from_quat(np.array([quat for _, quat in poses]))
    spins = (turns[1:] * turns[:-1].inv()).as_rotvec() / period_s
    elbow = np.concatenate([np.repeat(q[:1], 3, axis=0), q])[:, 2:3]
    return (
        *_too_fast("tcp", np.diff(places, axis=0) / period_s, period_s, bounds.translation, 0),
        *_too_fast("turn", spins, period_s, bounds.rotation, 0),
        *_too_fast("elbow", np.diff(elbow, axis=0) / period_s, period_s, bounds.elbow, 3),
    )


def _too_fast(name: str, velocities: FloatArray, period_s: float, limits: RateLimits, joint: int) -> list[Violation]:
    """`velocities` (N + 2, D) in front of which the arm rested."""
    found = []
    for order, (kind, bound) in enumerate(vars(limits).items()):
        rates = np.linalg.norm(np.diff(velocities, order, axis=0), axis=1)[2 - order :] / period_s**order
        # Rounding of the differences, as everywhere; the rotation's own is larger.
        late = np.flatnonzero(rates > bound * (1.0 + _RELATIVE_TOLERANCE))
        found += [Violation(f"{name} {kind}", int(sample), joint, float(rates[sample]), bound) for sample in late]
    return found


def _outside(quantity: str, values: FloatArray, lower: FloatArray, upper: FloatArray) -> list[Violation]:
    slack = _RELATIVE_TOLERANCE * np.maximum(1.0, np.maximum(np.abs(lower), np.abs(upper)))
    lower, upper = np.broadcast_to(lower - slack, values.shape), np.broadcast_to(upper + slack, values.shape)
    found = []
    for sample, joint in np.argwhere((values < lower) | (values > upper)):
        bound = lower if values[sample, joint] < lower[sample, joint] else upper
        value = float(values[sample, joint])
        found.append(Violation(quantity, int(sample), int(joint) + 1, value, float(bound[sample, joint])))
    return found
