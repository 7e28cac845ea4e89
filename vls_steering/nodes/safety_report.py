"""The executor's line in /diagnostics: what holds the arm, and whether its loop keeps its deadlines."""

from __future__ import annotations

from vls_steering.nodes.streams import Level, StreamReport
from vls_steering.safety import ExecutorState, ReasonCode, SafetyStatus

# Stops that somebody asked for, or that end a task as they should: nobody has to look.
EXPECTED = (ReasonCode.NONE, ReasonCode.CHUNK_ENDED, ReasonCode.STOP_REQUESTED)


class SafetyReporter:
    """ERROR when a person has to act before the arm moves again, WARN when one should look."""

    def __init__(self) -> None:
        self._misses = 0

    def report(self, status: SafetyStatus, period_ms: float, misses: int) -> StreamReport:
        """`misses`: deadlines of the control loop missed since the start; those since the last report are a warning."""
        new_misses, self._misses = misses - self._misses, misses
        verdict = status.last_verdict
        values = {
            "state": status.state.name,
            "reason": status.reason.name,
            "reason_text": status.reason_text,
            "latched": str(status.latched).lower(),
            "period_ms": f"{period_ms:.2f}",
            "deadline_misses": str(misses),
            "new_deadline_misses": str(new_misses),
            "chunks_passed": str(status.passed),
            "chunks_scaled": str(status.scaled),
            "chunks_rejected": str(status.rejected),
            "last_chunk": f"{verdict.band.value} {verdict.reason.name} {verdict.text}".strip() if verdict else "none",
            "gaps": str(status.gaps),
            "braked_steps": str(status.braked_steps),
            "chunk_age_s": f"{status.chunk_age_s:.3f}",
            "joint_state_age_s": f"{status.joint_state_age_s:.3f}",
            "scale": f"{status.scale:.2f}",
        }
        level, message = _judge(status)
        if new_misses and level is Level.OK:
            level = Level.WARN
        if new_misses:
            message += f"; {new_misses} deadlines missed since the last report"
        return StreamReport("safety", level, message, values)


def _judge(status: SafetyStatus) -> tuple[Level, str]:
    words = f"{status.reason.name}: {status.reason_text}".rstrip(": ")
    told = status.state.name if status.reason is ReasonCode.NONE else f"{status.state.name}, {words}"
    if status.state is ExecutorState.FAULT or status.latched:
        return Level.ERROR, told
    if status.state is ExecutorState.RECOVERING or status.reason not in EXPECTED:
        return Level.WARN, told
    verdict = status.last_verdict
    if verdict is not None and not verdict.accepted and status.state is not ExecutorState.UNARMED:
        return Level.WARN, f"{told}; the last chunk was rejected, {verdict.reason.name}: {verdict.text}".rstrip(": ")
    return Level.OK, told
