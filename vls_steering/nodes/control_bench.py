"""`vls bench control`: period, age and lag of set-points through the protocol arm, alone and beside a competing load.

Random valid chunks at 20 Hz from a process of their own.  Periods and ages are those that the executor measured itself
and told with its status: a message that this process misses, starved by the load that it makes, is a sample less and no
longer period.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from sensor_msgs.msg import JointState

from vls_steering.bench.control import histogram, lag_s, quantile_rows
from vls_steering.bench.provenance import measured
from vls_steering.core.errors import ExitCode, VlsError
from vls_steering.core.files import check_writable
from vls_steering.msg import SafetyStatus, SetPoint
from vls_steering.nodes import topics
from vls_steering.nodes.arm_rig import ARM_NODES, ArmRig
from vls_steering.nodes.conversions import stamp_seconds
from vls_steering.nodes.demo import isolate, terminated_like_interrupted
from vls_steering.nodes.fault_cases import TRACKING
from vls_steering.safety import ReasonCode

# Twice the control rate: a status for every set-point, be its period a little short.
PARAMETERS = ("robot:=protocol", "keypoints_timeout_s:=0.0", "camera_timeout_s:=0.0", "status_hz:=200.0")
SETTLE_S = 2.0
TRACKS_WITHIN_S = 30.0
LONGEST_ALONE_S = 60.0  # the tail that a long run is for comes from the load
LAG_SPAN_S = 30.0
PERIOD_BIN_MS, AGE_BIN_MS = 0.25, 1.0
SAME_PERIOD_MS = 1.0
PERIOD, AGE = "set_point_period", "chunk_to_set_point_age"


@dataclass(frozen=True)
class ControlOptions:
    """`seconds` of tracking beside the load; alone as many, but a minute at most."""

    out: Path
    seconds: float = 60.0


@dataclass(frozen=True)
class Load:
    """What else the processor does, and for how long that is watched."""

    name: str
    seconds: float
    processes: int  # that never rest


@dataclass
class Trace:
    """What was heard during one load."""

    sent: list[list[float]] = field(default_factory=list)  # stamp, joints
    measured: list[list[float]] = field(default_factory=list)
    periods_ms: list[float] = field(default_factory=list)
    misses: list[int] = field(default_factory=list)  # the executor's own count
    chunk_ages_ms: list[float] = field(default_factory=list)
    bands: list[tuple[int, int, int]] = field(default_factory=list)  # chunks passed, scaled, rejected; its own counts
    stops: list[tuple[ReasonCode, str]] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)  # of chunks, by reason, as far as they were heard of


def run_control_bench(options: ControlOptions) -> ExitCode:
    """Write the report to `options.out`; SAFETY_STOP when the arm stopped although every chunk was valid."""
    check_writable(options.out)
    console, loads = Console(stderr=True), loads_of(options.seconds)
    rows, histograms, stopped = list[dict[str, Any]](), list[dict[str, Any]](), False
    with tempfile.TemporaryDirectory(prefix="vls-control-") as folder, terminated_like_interrupted():
        isolate(Path(folder))
        with ArmRig(Path(folder), PARAMETERS, ARM_NODES) as rig:
            answer = rig.arm()
            if not answer.success:
                raise VlsError(f"the executor cannot be armed: {answer.message}")
            for load in loads:
                _await_tracking(rig)
                with _competing(load.processes):
                    rig.spin(SETTLE_S)
                    trace = _listen(rig, load.seconds)
                found = rows_of(trace, load.name)
                rows += found
                histograms += histograms_of(trace, load.name)
                stopped = stopped or bool(trace.stops)
                for row in found:
                    console.print(f"{load.name:<6} {row['metric']:<36} {row['value']} {row['unit']}")
    config = {
        "seconds": {load.name: load.seconds for load in loads},
        "competing_processes": {load.name: load.processes for load in loads},
        "chunk_hz": 20,
        "enforcement": "communication and motion limits",
    }
    report = {**measured("control", config), "rows": rows, "histograms": histograms}
    options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return ExitCode.SAFETY_STOP if stopped else ExitCode.SUCCESS


def loads_of(seconds: float) -> tuple[Load, ...]:
    """Nothing beside the arm, then a busy process on every core."""
    return Load("alone", min(LONGEST_ALONE_S, seconds), 0), Load("busy", seconds, os.cpu_count() or 1)


def _await_tracking(rig: ArmRig) -> None:
    try:
        rig.until(lambda: rig.is_in(TRACKING), TRACKS_WITHIN_S, "tracking")
    except TimeoutError as error:
        raise VlsError(f"the arm does not follow: {error}", "See the logs of the nodes") from error


class Listener:
    """Notes what the executor sends and tells."""

    def __init__(self) -> None:
        self.trace = Trace()
        self._last: SafetyStatus | None = None

    def sent(self, message: SetPoint) -> None:
        self.trace.sent.append([stamp_seconds(message.header.stamp), *message.joint_positions])

    def measured(self, message: JointState) -> None:
        self.trace.measured.append([stamp_seconds(message.header.stamp), *message.position[:7]])

    def status(self, message: SafetyStatus) -> None:
        trace, last, self._last = self.trace, self._last, message
        trace.misses.append(message.deadline_misses)
        trace.bands.append((message.chunks_passed, message.chunks_scaled, message.chunks_rejected))
        if last is not None and message.chunks_rejected > last.chunks_rejected:
            trace.refusals[ReasonCode(message.last_reason_code).name] += 1
        tracked = last is None or last.state == TRACKING
        if message.state == TRACKING:
            trace.periods_ms.append(message.period_ms)
            if last is not None and tracked and _follows(last, message):
                trace.chunk_ages_ms.append(_chunk_age_ms(last, message))
        elif tracked:
            trace.stops.append((ReasonCode(message.reason_code), message.reason))


def _listen(rig: ArmRig, seconds: float) -> Trace:
    listener = Listener()
    rig.on_set_point = listener.sent
    joints, status = topics.JOINT_STATES, topics.SAFETY_STATUS
    subscriptions = [
        rig.node.create_subscription(JointState, joints.name, listener.measured, joints.quality),
        rig.node.create_subscription(SafetyStatus, status.name, listener.status, 50),
    ]
    rig.spin(seconds)
    rig.on_set_point = lambda _message: None
    for subscription in subscriptions:
        rig.node.destroy_subscription(subscription)
    return listener.trace


def _follows(before: SafetyStatus, now: SafetyStatus) -> bool:
    """Whether no status between the two was missed, with whatever chunk came meanwhile."""
    apart_ms = 1e3 * (stamp_seconds(now.header.stamp) - stamp_seconds(before.header.stamp))
    return bool(apart_ms < now.period_ms + SAME_PERIOD_MS)


def _chunk_age_ms(before: SafetyStatus, now: SafetyStatus) -> float:
    """Of the set-point of `now`, which followed the chunk of `before`: a new one is taken after it was sent."""
    since_s = stamp_seconds(now.header.stamp) - stamp_seconds(before.header.stamp)
    return 1e3 * float(before.chunk_age_s + since_s)


def rows_of(trace: Trace, load: str) -> list[dict[str, Any]]:
    """Every number of one load; raises VlsError when too little was heard."""
    sent, measured = np.array(trace.sent), np.array(trace.measured)
    if len(sent) < 2 or len(measured) < 2:
        raise VlsError("no set-points were heard", "See the logs of the nodes")
    lost = "communication_constraints_violation"
    passed, scaled, rejected = (after - before for before, after in zip(trace.bands[0], trace.bands[-1], strict=True))
    recent = [rows[rows[:, 0] > sent[-1, 0] - LAG_SPAN_S] for rows in (sent, measured)]
    single = [
        ("tracking_lag", round(1e3 * lag_s(*recent), 1), "ms"),
        ("periods_over_15_ms", trace.misses[-1] - trace.misses[0], "1"),
        ("chunks_passed", passed, "1"),
        ("chunks_scaled", scaled, "1"),
        ("chunks_rejected", rejected, "1"),
        ("stops", len(trace.stops), "1"),
        ("aborts", sum(code is ReasonCode.ROBOT_FAULT for code, _ in trace.stops), "1"),
        (f"{lost}s", sum(lost in text for _, text in trace.stops), "1"),
        *(("stop_reason", f"{code.name}: {text}", "") for code, text in trace.stops),
        *((f"refused_for_{name}", count, "1") for name, count in sorted(trace.refusals.items())),
    ]
    return [
        *quantile_rows(PERIOD, "ms", load, trace.periods_ms),
        *quantile_rows(AGE, "ms", load, trace.chunk_ages_ms),
        *({"metric": name, "value": value, "unit": unit, "load": load} for name, value, unit in single),
    ]


def histograms_of(trace: Trace, load: str) -> list[dict[str, Any]]:
    """The same values whose quantiles are in the rows."""
    return [
        histogram(PERIOD, "ms", load, trace.periods_ms, PERIOD_BIN_MS),
        histogram(AGE, "ms", load, trace.chunk_ages_ms, AGE_BIN_MS),
    ]


@contextmanager
def _competing(processes: int) -> Iterator[None]:
    """As many processes that never rest."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_spin, daemon=True) for _ in range(processes)]
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()


def _spin() -> None:
    while True:
        sum(range(10_000))
