"""Telemetry of one tick as a message."""

from __future__ import annotations

from vls_steering.msg import SteeringStatus
from vls_steering.nodes.conversions import header
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
