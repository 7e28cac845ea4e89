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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from sensor_msgs.msg import JointState

from vls_steering import __version__
from vls_steering.bench.control import lag_s, quantile_rows
from vls_steering.bench.latency import check_writable
from vls_steering.bench.machine import describe_machine
from vls_steering.core.errors import ExitCode, VlsError
from vls_steering.msg import SafetyStatus, SetPoint
from vls_steering.nodes import topics
from vls_steering.nodes.arm_rig import ARM_NODES, ArmRig
from vls_steering.nodes.conversions import stamp_seconds
from vls_steering.nodes.demo import isolate, terminated_like_interrupted
from vls_steering.nodes.fault_cases import TRACKING
from vls_steering.safety import ReasonCode

# A status for every set-point.
PARAMETERS = ("robot:=protocol", "keypoints_timeout_s:=0.0", "camera_timeout_s:=0.0", "status_hz:=100.0")
SETTLE_S = 2.0
LAG_SPAN_S = 30.0


@dataclass(frozen=True)
class ControlOptions:
    """`seconds` of tracking for each load."""

    out: Path
    seconds: float = 60.0


@dataclass
class Trace:
    """What was heard during one load."""

    sent: list[list[float]] = field(default_factory=list)  # stamp, joints
    measured: list[list[float]] = field(default_factory=list)
    periods_ms: list[float] = field(default_factory=list)
    misses: list[int] = field(default_factory=list)  # the executor's own count
    chunk_ages_s: list[float] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)


def run_control_bench(options: ControlOptions) -> ExitCode:
    """Write the report to `options.out`; SAFETY_STOP when the arm stopped although every chunk was valid."""
    check_writable(options.out)
    console, rows, stopped = Console(stderr=True), list[dict[str, Any]](), False
    with tempfile.TemporaryDirectory(prefix="vls-control-") as folder, terminated_like_interrupted():
        isolate(Path(folder))
        with ArmRig(Path(folder), PARAMETERS, ARM_NODES) as rig:
            answer = rig.arm()
            if not answer.success:
                raise VlsError(f"the executor cannot be armed: {answer.message}")
            for load, competing in (("alone", 0), ("busy", os.cpu_count() or 1)):
                rig.until(lambda: rig.is_in(TRACKING), 30.0, "tracking")
                with _competing(competing):
                    rig.spin(SETTLE_S)
                    trace = _listen(rig, options.seconds)
                found = _rows(trace, load)
                rows += found
                stopped = stopped or bool(trace.stops)
                for row in found:
                    console.print(f"{load:<6} {row['metric']:<27} {row['value']} {row['unit']}")
    report = {
        "bench": "control",
        "config": {"seconds": options.seconds, "chunk_hz": 20, "enforcement": "communication and motion limits"},
        "version": __version__,
        "machine": describe_machine(),
        "rows": rows,
    }
    options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return ExitCode.SAFETY_STOP if stopped else ExitCode.SUCCESS


def _listen(rig: ArmRig, seconds: float) -> Trace:
    trace = Trace()
    last_state = TRACKING

    def sent(message: SetPoint) -> None:
        trace.sent.append([stamp_seconds(message.header.stamp), *message.joint_positions])

    def measured(message: JointState) -> None:
        trace.measured.append([stamp_seconds(message.header.stamp), *message.position[:7]])

    def status(message: SafetyStatus) -> None:
        nonlocal last_state
        trace.misses.append(message.deadline_misses)
        if message.state == TRACKING:
            trace.periods_ms.append(message.period_ms)
            trace.chunk_ages_s.append(message.chunk_age_s)
        elif last_state == TRACKING:
            trace.stops.append(f"{ReasonCode(message.reason_code).name}: {message.reason}")
        last_state = message.state

    rig.on_set_point = sent
    subscriptions = [
        rig.node.create_subscription(JointState, topics.JOINT_STATES.name, measured, topics.JOINT_STATES.quality),
        rig.node.create_subscription(SafetyStatus, topics.SAFETY_STATUS.name, status, 50),
    ]
    rig.spin(seconds)
    rig.on_set_point = lambda _message: None
    for subscription in subscriptions:
        rig.node.destroy_subscription(subscription)
    return trace


def _rows(trace: Trace, load: str) -> list[dict[str, Any]]:
    sent, measured = np.array(trace.sent), np.array(trace.measured)
    if len(sent) < 2 or len(measured) < 2:
        raise VlsError("no set-points were heard", "See the logs of the nodes")
    recent = [rows[rows[:, 0] > sent[-1, 0] - LAG_SPAN_S] for rows in (sent, measured)]
    single = [
        ("tracking_lag", round(1e3 * lag_s(*recent), 1), "ms"),
        ("periods_over_15_ms", trace.misses[-1] - trace.misses[0], "1"),
        ("stops", len(trace.stops), "1"),
    ]
    rows = [
        *quantile_rows("set_point_period", "ms", load, trace.periods_ms),
        *quantile_rows("chunk_to_set_point_age", "ms", load, [1e3 * age for age in trace.chunk_ages_s]),
    ]
    rows += [{"metric": name, "value": value, "unit": unit, "load": load} for name, value, unit in single]
    rows += [{"metric": "stop_reason", "value": text, "unit": "", "load": load} for text in trace.stops]
    return rows


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
