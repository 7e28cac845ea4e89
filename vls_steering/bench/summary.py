"""report.json of a demo run: the command contract's keys, and what a person would ask next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from vls_steering.bench.recording import ExecutorTrace, Recording, TickTrace
from vls_steering.bench.score import Measures
from vls_steering.bench.steering_summary import steering_summary
from vls_steering.core.arrays import FloatArray
from vls_steering.core.errors import ExitCode

SIMULATOR, PROGRAM = "simulator", "program"  # who judges success
SECTIONS = ("encode", "denoise", "guide", "select", "tick")


@dataclass(frozen=True)
class Contrast:
    """The frozen policy alone, in the same layout with the same seed."""

    success: bool
    completed: list[str]
    collisions: int
    seconds: float
    explanation: str
    made_for: str = ""  # object that its last chunk led to; empty when it planned nothing


@dataclass(frozen=True)
class DemoRun:
    """All that is reported about one demonstration."""

    recording: Recording
    measures: Measures
    exit_code: ExitCode
    message: str  # why it ended; empty on success
    command: str
    versions: Mapping[str, str]
    contrast: Contrast | None = None
    wall_s: float = 0.0  # of the recorded part
    machine: Mapping[str, Any] = field(default_factory=dict)


def summary(run: DemoRun) -> dict[str, Any]:
    """The content of report.json; everything in it is plain JSON.

    Without a predicate of the simulator for the instruction, success is what the program's own `done` measured, and
    `judged_by` says so.
    """
    facts, verdict = run.recording.facts, run.measures.verdict
    by_program = verdict.success is None
    done = finished(run.recording) if by_program else bool(verdict.success)
    return {
        "success": done and run.exit_code is ExitCode.SUCCESS,
        "judged_by": PROGRAM if by_program else SIMULATOR,
        "instruction": facts.instruction,
        "program_sha256": facts.program_sha256,
        "written_by": facts.written_by,
        "scene": facts.layout.scene,
        "seed": facts.seed,
        "stages": stages(run.recording),
        "collisions": verdict.collisions,
        "tick_ms": percentiles(section(run.recording, "tick")),
        "share_steered": _last(run.recording.ticks, "share_steered"),
        "steering": steering_summary(run.recording.ticks),
        "governor": governor(run.recording.executor),
        "versions": dict(run.versions),
        **ending(run.exit_code, run.message),
        "goal": verdict.goal or None,
        "completed": list(verdict.completed),
        "seconds_to_success": verdict.seconds,
        "clock": facts.clock,
        "perception": facts.perception,
        "method": facts.method,
        "simulated_s": round(run.recording.duration_s, 2),
        "real_time_factor": round(run.recording.duration_s / run.wall_s, 3) if run.wall_s > 0 else None,
        "least_clearance_m": _least(run.measures.clearance_m),
        "camera_to_set_point_ms": percentiles(run.recording.camera_to_set_point_ms),
        "latency_ms": {name: percentiles(section(run.recording, name)) for name in SECTIONS},
        "base_contrast": None if run.contrast is None else asdict(run.contrast),
        "machine": dict(run.machine),
        "command": run.command,
    }


def ending(code: ExitCode, message: str) -> dict[str, Any]:
    """How a run ended, for programs and for a person; `error_code` and `error_msg` are empty on success."""
    failed = code is not ExitCode.SUCCESS
    return {
        "exit_code": int(code),
        "error_code": code.name if failed else "",
        "error_msg": message if failed else "",
        "message": message,
    }


def stages(recording: Recording) -> list[dict[str, Any]]:
    """When each stage of the program began and ended, in seconds of the run; a stage may begin more than once."""
    start_s = _start_s(recording)
    steered = [tick for tick in recording.ticks if tick.stages]
    rows: list[dict[str, Any]] = []
    for tick in steered:
        now_s = round(tick.stamp_s - start_s, 2)
        if not rows or rows[-1]["index"] != tick.stage:
            if rows:
                # Forward is done; backward means that what the stage relied on was lost.
                rows[-1].update(ended_s=now_s, finished=tick.stage > rows[-1]["index"])
            rows.append({"index": tick.stage, "name": tick.stage_name, "started_s": now_s, "finished": False})
        rows[-1]["ended_s"] = now_s
        rows[-1]["progress"] = round(tick.numbers.get("progress", 0.0), 3)
    if rows and steered[-1].numbers.get("finished", 0.0) > 0:
        rows[-1].update(finished=True, progress=1.0)
    return rows


def finished(recording: Recording) -> bool:
    """Whether every stage of the program was done."""
    return any(tick.stages and tick.numbers.get("finished", 0.0) > 0 for tick in recording.ticks)


def governor(reports: tuple[ExecutorTrace, ...]) -> dict[str, Any]:
    """Chunks by band, and how often each reason was given."""
    if not reports:
        return {"passed": 0, "scaled": 0, "rejected": 0, "gaps": 0, "reasons": {}, "stop": ""}
    last = reports[-1]
    reasons: Counter[str] = Counter()
    for before, now in zip((None, *reports), reports, strict=False):
        counted = now.scaled + now.rejected - (before.scaled + before.rejected if before is not None else 0)
        if counted > 0 and now.last_reason:
            reasons[now.last_reason] += counted
    return {
        "passed": last.passed,
        "scaled": last.scaled,
        "rejected": last.rejected,
        "gaps": last.gaps,
        "reasons": dict(reasons.most_common()),
        "stop": last.reason if last.latched else "",
    }


def section(recording: Recording, name: str) -> FloatArray:
    """(N,) ms of one part of the tick, over ticks in which the sampler ran."""
    ran = [tick for tick in recording.ticks if len(tick.candidates) or tick.numbers.get("nfe", 0) > 0]
    return np.array([tick.numbers[f"{name}_ms"] for tick in ran if f"{name}_ms" in tick.numbers])


def percentiles(values: FloatArray) -> dict[str, float | None]:
    """p50, p95 and p99; None without values."""
    if not values.size:
        return {"p50": None, "p95": None, "p99": None}
    return {f"p{percent}": round(float(np.percentile(values, percent)), 2) for percent in (50, 95, 99)}


def _start_s(recording: Recording) -> float:
    return float(recording.state_stamps_s[0]) if len(recording.state_stamps_s) else 0.0


def _last(ticks: tuple[TickTrace, ...], name: str) -> float:
    return round(ticks[-1].numbers.get(name, 0.0), 4) if ticks else 0.0


def _least(values: FloatArray) -> float | None:
    finite = values[np.isfinite(values)]
    return round(float(finite.min()), 4) if finite.size else None
