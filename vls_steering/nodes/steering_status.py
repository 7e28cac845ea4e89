"""Telemetry of one tick as a message, and of many as a line in /diagnostics."""

from __future__ import annotations

from vls_steering.msg import SteeringStatus
from vls_steering.nodes.conversions import header
from vls_steering.nodes.streams import Level, StreamReport
from vls_steering.steering import TickResult


def steering_status_message(result: TickResult, observation_age_s: float) -> SteeringStatus:
    """Everything but what only the node counts: sequence, program and deadline misses."""
    telemetry = result.telemetry
    return SteeringStatus(
        header=header(result.chunk.stamp_s),
        stage=telemetry.stage,
        stages=telemetry.stages,
        stage_name=telemetry.stage_name,
        progress=float(telemetry.progress),
        finished=telemetry.finished,
        overdue=telemetry.overdue,
        strength=float(telemetry.strength),
        nfe=telemetry.nfe,
        network_rows=telemetry.network_rows,
        levels=telemetry.levels.tolist(),
        shift_m=float(telemetry.shift_m),
        share_steered=float(telemetry.share_steered),
        best_score=float(telemetry.best_score),
        margin=float(telemetry.margin),
        admissible=telemetry.admissible,
        safety_m=float(telemetry.safety_m),
        warm=telemetry.warm,
        jumped=telemetry.jumped,
        resamples=telemetry.resamples,
        ess=float(telemetry.ess),
        frozen_steps=telemetry.frozen,
        tick_ms=float(telemetry.durations_ms["total"]),
        encode_ms=float(telemetry.durations_ms["encode"]),
        denoise_ms=float(telemetry.durations_ms["denoise"]),
        guide_ms=float(telemetry.durations_ms["guide"]),
        resample_ms=float(telemetry.durations_ms["resample"]),
        select_ms=float(telemetry.durations_ms["select"]),
        observation_age_ms=1e3 * observation_age_s,
        cut_short=telemetry.cut_short,
        reason=telemetry.reason,
    )


class SteeringReporter:
    """The policy's line in /diagnostics, from what it said of its last tick.

    It may be written on the tick's thread and read on the node's.
    """

    def __init__(self) -> None:
        self._told: tuple[SteeringStatus, str] | None = None
        self._misses = 0

    def tell(self, status: SteeringStatus, concern: str) -> None:
        """`concern`: why nothing is steered although it should be; empty when all is as it should."""
        self._told = (status, concern)

    def report(self) -> StreamReport:
        """WARN on a concern, and on deadlines missed since the last report."""
        if self._told is None:
            return StreamReport("steering", Level.OK, "no tick yet", {})
        status, concern = self._told
        new_misses, self._misses = status.deadline_misses - self._misses, status.deadline_misses
        values = {
            "ticks": str(status.sequence),
            "tick_ms": f"{status.tick_ms:.1f}",
            "observation_age_ms": f"{status.observation_age_ms:.1f}",
            "deadline_misses": str(status.deadline_misses),
            "new_deadline_misses": str(new_misses),
            "stage": f"{status.stage + 1} of {status.stages}, {status.stage_name}" if status.stages else "none",
            "progress": f"{status.progress:.2f}",
            "program_sha256": status.program_sha256,
            "reason": status.reason,
        }
        late = f"{new_misses} deadlines missed since the last report" if new_misses else ""
        level = Level.WARN if concern or new_misses else Level.OK
        told = "; ".join(part for part in (concern or status.reason, late) if part)
        return StreamReport("steering", level, told or "steers", values)
