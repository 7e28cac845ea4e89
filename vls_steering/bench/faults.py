"""What became of each fault: the row that `vls bench faults` writes, and the table that docs show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vls_steering.core.arrays import FloatArray
from vls_steering.safety import ArmLimits, Violation, tcp_violations, violations

NOT_MEASURED = -1.0
AT_REST_RAD_S = 0.02
_UNBROKEN = 1.5  # periods between two set-points that follow each other
_DIFFERENCED = 3  # samples that a jerk is made of


@dataclass(frozen=True)
class FaultRow:
    """One fault, injected while the arm moved."""

    fault: str
    ended_in: str  # state of the executor
    reason: str  # its reason code by name; of the rejections when the arm went on
    seconds: float  # of the arm's time, from the injection to that state
    within_s: float  # the stated bound
    pace: float  # seconds of the arm's time in a second of the wall's
    rest_rad_s: float  # fastest joint as the world measures it after the stop; -1 = there was none, or no world
    set_points: int  # judged by the oracle, from before the fault to after its cure
    violations: int
    ok: bool  # the right state, the true reason, in time, at rest, within every limit, and tracking again afterwards
    recovered_s: float  # wall time from the cure to tracking; -1 = it did not
    text: str = ""  # the executor's words

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def fault_table(rows: Sequence[FaultRow]) -> str:
    """Markdown, one line a fault."""
    heads: tuple[str, ...] = (
        "fault",
        "ended in",
        "reason",
        "s",
        "bound",
        "pace",
        "wall s",
        "at rest, rad/s",
        "set-points",
        "violations",
    )
    heads = (*heads, "tracked again after, wall s", "")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in rows:
        again = f"{row.recovered_s:.1f}" if row.recovered_s >= 0 else "not"
        rest = f"{row.rest_rad_s:.4f}" if row.rest_rad_s >= 0 else ""
        cells = [
            row.fault,
            row.ended_in,
            f"`{row.reason}`",
            f"{row.seconds:.2f}",
            f"{row.within_s:g}",
            f"{row.pace:g}",
            f"{row.seconds / row.pace:.2f}",
            rest,
            str(row.set_points),
            str(row.violations),
            again,
            "ok" if row.ok else "FAILED",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def judged(
    stamps_s: Sequence[float],
    positions: Sequence[FloatArray],
    period_s: float,
    limits: ArmLimits,
    tcp_pose: Callable[[FloatArray], tuple[FloatArray, FloatArray]],
) -> tuple[Violation, ...]:
    """What the oracle finds in set-points as they were heard, joints, hand and elbow.

    They are judged in unbroken stretches: where the executor paused, or a message was lost, nothing can be differenced.
    A stretch may begin in motion, so its first samples count for their positions alone.
    """
    found: list[Violation] = []
    for stretch in _stretches(np.array(stamps_s), np.array(positions), period_s):
        verdicts = (
            *violations(stretch, period_s, limits),
            *tcp_violations(stretch, period_s, limits, tcp_pose),
        )
        found += [v for v in verdicts if v.sample >= _DIFFERENCED or v.quantity in ("position", "finite")]
    return tuple(found)


def _stretches(stamps_s: FloatArray, positions: FloatArray, period_s: float) -> Iterator[FloatArray]:
    if len(positions):
        breaks = np.flatnonzero(np.diff(stamps_s) > _UNBROKEN * period_s) + 1
        yield from np.split(positions, breaks)
