"""Distance of the arm to itself and to what it must stay out of; the geometry lives in `robots/`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from vls_steering.core.arrays import FloatArray
from vls_steering.safety.checks import Finding, JointPath, PathCheck
from vls_steering.safety.reasons import ReasonCode


@dataclass(frozen=True)
class Closest:
    """The pair that most violates its clearance: how much of it is missing, m."""

    missing_m: float
    pair: str
    reason: ReasonCode  # SELF_COLLISION or KEEP_OUT


class Clearance(Protocol):
    def closest(self, joint_positions: FloatArray, /) -> Closest | None:
        """The worst pair that is closer than it may be, or None."""
        ...


def clearance_check(clearance: Clearance) -> PathCheck:
    """Every sample keeps its clearances.  A path that starts too close may come free but not get closer."""

    def check(path: JointPath) -> Finding | None:
        start = clearance.closest(path.positions[0])
        granted_m = start.missing_m if start is not None else 0.0
        for positions in path.positions[1:]:
            found = clearance.closest(positions)
            if found is not None and found.missing_m > granted_m:
                return Finding(found.reason, f"{found.pair} would be {1e3 * found.missing_m:.1f} mm too close")
        return None

    return check
