"""Joint, Cartesian and elbow limits of the supported arms.

Sources: libfranka `rate_limiting.h` (FR3 position-dependent velocity, robot system < 5.9) and the Franka Control
Interface documentation, "Robot and interface specifications".  From robot system 5.9 on the arm itself reports its
bounds; a back end that can ask should build its own `ArmLimits`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vls_steering.core.arrays import FloatArray, frozen_array

DOF = 7
# libfranka keeps this distance from the position-dependent bounds, and so does its reflex.
_VELOCITY_TOLERANCE = 1e-3


@dataclass(frozen=True)
class VelocityEnvelope:
    """Position-dependent velocity of the FR3: sqrt(c * distance to the stop) - o, at most the rated velocity."""

    offset: FloatArray  # (7,) rad/s
    slope: FloatArray  # (7,) rad/s2
    lower: FloatArray  # (7,) rad, where the envelope reaches its lower root
    upper: FloatArray  # (7,) rad


@dataclass(frozen=True)
class RateLimits:
    """Bounds of one quantity's first three derivatives."""

    velocity: float
    acceleration: float
    jerk: float


@dataclass(frozen=True)
class CartesianLimits:
    """End effector and elbow; the elbow is the third joint's angle, as the FCI counts the arm's redundancy."""

    translation: RateLimits  # m
    rotation: RateLimits  # rad
    elbow: RateLimits  # rad


@dataclass(frozen=True)
class ArmLimits:
    """What an arm can do before its own supervision stops it; all (7,), rad and seconds."""

    name: str
    position_lower: FloatArray
    position_upper: FloatArray
    velocity: FloatArray
    acceleration: FloatArray
    jerk: FloatArray
    cartesian: CartesianLimits
    envelope: VelocityEnvelope | None = None

    def __post_init__(self) -> None:
        for field in ("position_lower", "position_upper", "velocity", "acceleration", "jerk"):
            object.__setattr__(self, field, frozen_array(field, getattr(self, field), (DOF,)))

    def velocity_bounds(self, positions: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Lowest and highest admissible velocity at `positions` (..., 7), rad/s; same shape.

        Close to a stop the bound changes sign: there the joint may only move away from it.
        """
        if self.envelope is None:
            rated = np.broadcast_to(self.velocity, np.shape(positions))
            return -rated, rated.copy()
        e = self.envelope
        towards_upper = np.sqrt(np.maximum(0.0, e.slope * (e.upper - positions))) - e.offset
        towards_lower = np.sqrt(np.maximum(0.0, e.slope * (positions - e.lower))) - e.offset
        highest = np.minimum(self.velocity, np.maximum(0.0, towards_upper)) - _VELOCITY_TOLERANCE
        lowest = -np.minimum(self.velocity, np.maximum(0.0, towards_lower)) + _VELOCITY_TOLERANCE
        return lowest, highest

    def soft_range(self, margin_rad: float) -> tuple[FloatArray, FloatArray]:
        """Joint range kept `margin_rad` away from both stops, (7,) rad each."""
        return self.position_lower + margin_rad, self.position_upper - margin_rad


def _row(*values: float) -> FloatArray:
    return frozen_array("limit", values, (DOF,))


FR3_LIMITS = ArmLimits(
    name="fr3",
    position_lower=_row(-2.7437, -1.7837, -2.9007, -3.0421, -2.8065, 0.5445, -3.0159),
    position_upper=_row(2.7437, 1.7837, 2.9007, -0.1518, 2.8065, 4.5169, 3.0159),
    velocity=_row(2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26),
    acceleration=_row(*[10.0] * DOF),
    jerk=_row(*[5000.0] * DOF),
    cartesian=CartesianLimits(
        translation=RateLimits(3.0, 9.0, 4500.0),
        rotation=RateLimits(2.5, 17.0, 8500.0),
        elbow=RateLimits(1.5, 10.0, 5000.0),
    ),
    envelope=VelocityEnvelope(
        offset=_row(0.30, 0.20, 0.20, 0.30, 0.35, 0.35, 0.35),
        slope=_row(12.0, 5.17, 7.0, 8.0, 34.0, 11.0, 34.0),
        lower=_row(-2.7501, -1.7918, -2.9065, -3.0481, -2.8101, 0.54092, -3.0196),
        upper=_row(2.7501, 1.7918, 2.9065, -0.1458, 2.8101, 4.5205, 3.0196),
    ),
)

PANDA_LIMITS = ArmLimits(
    name="panda",
    position_lower=_row(-2.8973, -1.7628, -2.8973, -3.0718, -2.8973, -0.0175, -2.8973),
    position_upper=_row(2.8973, 1.7628, 2.8973, -0.0698, 2.8973, 3.7525, 2.8973),
    velocity=_row(2.175, 2.175, 2.175, 2.175, 2.61, 2.61, 2.61),
    acceleration=_row(15.0, 7.5, 10.0, 12.5, 15.0, 20.0, 20.0),
    jerk=_row(7500.0, 3750.0, 5000.0, 6250.0, 7500.0, 10000.0, 10000.0),
    cartesian=CartesianLimits(
        translation=RateLimits(1.7, 13.0, 6500.0),
        rotation=RateLimits(2.5, 25.0, 12500.0),
        elbow=RateLimits(2.175, 10.0, 5000.0),
    ),
)
