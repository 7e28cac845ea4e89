"""`vls bench faults`: every fault against real nodes and the protocol arm, enforcement on, and what became of it."""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from vls_steering.bench.faults import NOT_MEASURED, FaultRow, fault_table
from vls_steering.bench.provenance import measured
from vls_steering.core.errors import ExitCode, VlsError
from vls_steering.core.files import check_writable
from vls_steering.msg import SafetyStatus
from vls_steering.nodes.arm_rig import ARM_NODES, SEEING_NODES, ArmRig
from vls_steering.nodes.arm_witness import ArmWitness
from vls_steering.nodes.conversions import stamp_seconds
from vls_steering.nodes.demo import isolate, terminated_like_interrupted
from vls_steering.nodes.fault_cases import CAMERA_FAULTS, FAULTS, TRACKING, Fault
from vls_steering.safety import ExecutorState, ReasonCode

ARM_PARAMETERS = ("robot:=protocol", "keypoints_timeout_s:=0.0", "camera_timeout_s:=0.0")
SEEING_PARAMETERS = ("robot:=protocol",)  # as shipped
SEEING_PACE = 0.25  # of the arm's time; seconds of camera faults are the chain's own
TRACKS_WITHIN_S = 20.0
ATTEMPTS = 3  # to stay under way for a second before a fault
RESTS_WITHIN_S = 2.0  # of the arm's time: a compliant arm settles for a moment
LATE_S = 5.0  # beyond its bound a fault is still watched, so that the row can tell how it ended
CLIENT_FAULT = "executor killed (-9) and started again"


@dataclass(frozen=True)
class FaultOptions:
    """`quick` takes those faults alone that CI checks."""

    out: Path
    quick: bool = False


def run_fault_bench(options: FaultOptions) -> ExitCode:
    """Write the report to `options.out`; TASK_FAILED when a fault ended otherwise than stated."""
    check_writable(options.out)
    console, rows = Console(stderr=True), list[FaultRow]()
    with tempfile.TemporaryDirectory(prefix="vls-faults-") as folder, terminated_like_interrupted():
        isolate(Path(folder))
        # Two rigs, and slowed time before the cameras: a busy host's late pictures must stop no arm.
        with ArmRig(Path(folder) / "seeing", SEEING_PARAMETERS, SEEING_NODES, SEEING_PACE) as rig:
            witness = ArmWitness(rig.node)
            chosen = [fault for fault in CAMERA_FAULTS if fault.in_ci or not options.quick]
            rows += [_examine(rig, witness, fault, console) for fault in chosen]
        with ArmRig(Path(folder) / "arm", ARM_PARAMETERS, ARM_NODES) as rig:
            witness = ArmWitness(rig.node)
            chosen = [fault for fault in FAULTS if fault.in_ci or not options.quick]
            rows += [_examine(rig, witness, fault, console) for fault in chosen]
            rows.append(_kill_executor(rig, witness, console))
    options.out.write_text(json.dumps(_report(rows, options), indent=1) + "\n", encoding="utf-8")
    print(fault_table(rows))
    return ExitCode.SUCCESS if all(row.ok for row in rows) else ExitCode.TASK_FAILED


def _examine(rig: ArmRig, witness: ArmWitness, fault: Fault, console: Console) -> FaultRow:
    witness.begin()
    _track(rig)
    began_s, told_s = time.monotonic(), rig.now_s()
    fault.inject(rig)
    in_time = True
    try:
        rig.until(lambda: _as_stated(rig.status, fault), fault.within_s + LATE_S, fault.name)
    except TimeoutError:
        in_time = False
    status = rig.status or SafetyStatus()
    # The stop's own stamp: this process may look late.
    stopped_s = stamp_seconds(status.header.stamp) - told_s
    seconds = time.monotonic() - began_s if fault.goes_on else max(stopped_s, 0.0)
    stays = not fault.goes_on or _goes_on(rig)
    looks = not (fault.goes_on or fault.takes_the_world)
    rests_rad_s = _speed_at_rest(rig, witness) if looks else NOT_MEASURED
    rests = witness.rests or not looks
    cured_s = time.monotonic()
    fault.cure(rig)
    recovered = _tracks_again(rig)
    found = witness.violations()
    code = status.last_reason_code if fault.goes_on else status.reason_code
    row = FaultRow(
        fault=fault.name,
        ended_in=ExecutorState(status.state).name,
        reason=ReasonCode(code).name if fault.reasons != (ReasonCode.NONE,) else ReasonCode.NONE.name,
        seconds=round(seconds, 3),
        within_s=fault.within_s,
        pace=rig.pace,
        rest_rad_s=rests_rad_s,
        set_points=witness.set_points,
        violations=len(found),
        ok=in_time and stays and rests and not found and seconds <= fault.within_s and recovered,
        recovered_s=round(time.monotonic() - cured_s, 2) if recovered else -1.0,
        text=status.last_reason if fault.goes_on else status.reason,
    )
    _tell(console, row)
    return row


def _as_stated(status: SafetyStatus | None, fault: Fault) -> bool:
    if status is None or status.state not in fault.states:
        return False
    if fault.goes_on:
        return fault.reasons == (ReasonCode.NONE,) or ReasonCode(status.last_reason_code) in fault.reasons
    return ReasonCode(status.reason_code) in fault.reasons


def _goes_on(rig: ArmRig) -> bool:
    """Whether the arm tracks for half a second more."""
    with contextlib.suppress(TimeoutError):
        rig.until(lambda: not rig.is_in(TRACKING), 0.5, "a stop")
        return False
    return True


def _speed_at_rest(rig: ArmRig, witness: ArmWitness) -> float:
    """rad/s of the fastest joint, once it has had time to settle; -1 when the world does not tell."""
    witness.look_again()
    with contextlib.suppress(TimeoutError):
        rig.until(lambda: witness.rests, RESTS_WITHIN_S / rig.pace, "rest")
    return round(witness.speed_rad_s, 5)


def _kill_executor(rig: ArmRig, witness: ArmWitness, console: Console) -> FaultRow:
    """Nobody is left to say a reason: the arm's own controller holds it, and the silence is the sign."""
    witness.begin()
    _track(rig)
    rig.kill("executor")
    silent_s = 0.5
    seconds = rig.until(lambda: time.monotonic() - rig.heard_s > silent_s, 5.0, "silence")
    rests_rad_s, rests = _speed_at_rest(rig, witness), witness.rests
    cured_s = time.monotonic()
    rig.status = None
    rig.start("executor")
    recovered = _tracks_again(rig)
    found = witness.violations()
    row = FaultRow(
        fault=CLIENT_FAULT,
        ended_in="SILENT",
        reason="no executor/status",
        seconds=round(seconds, 3),
        within_s=1.5,
        pace=rig.pace,
        rest_rad_s=rests_rad_s,
        set_points=witness.set_points,
        violations=len(found),
        ok=seconds <= 1.5 and rests and not found and recovered,
        recovered_s=round(time.monotonic() - cured_s, 2) if recovered else -1.0,
        text="the arm's own controller holds it",
    )
    _tell(console, row)
    return row


def _track(rig: ArmRig) -> None:
    """Bring the arm under way; raises VlsError when it does not get there."""
    rig.do("")
    for _ in range(ATTEMPTS):
        if not _tracks_again(rig):
            raise VlsError(f"the arm cannot be brought under way: {rig.words()}", "See the logs of the nodes")
        rig.spin(1.0)
        if rig.is_in(TRACKING):
            return
    raise VlsError(f"the arm does not stay under way: {rig.words()}", "Free the machine, then try again")


def _tracks_again(rig: ArmRig) -> bool:
    """Recovered and armed where that is needed, and tracking for a moment."""
    deadline_s = time.monotonic() + TRACKS_WITHIN_S
    while time.monotonic() < deadline_s:
        rig.spin(0.3)
        status = rig.status
        if status is None:
            continue
        if status.latched or status.state == SafetyStatus.STATE_UNARMED:
            rig.recover()
        elif status.state == TRACKING:
            return True
    return False


def _tell(console: Console, row: FaultRow) -> None:
    mark = "ok  " if row.ok else "FAIL"
    console.print(
        f"{mark} {row.fault}: {row.ended_in} {row.reason} after {row.seconds:.2f} s; {row.text}", markup=False
    )


def _report(rows: Sequence[FaultRow], options: FaultOptions) -> dict[str, Any]:
    config = {
        "quick": options.quick,
        "enforcement": "communication and motion limits",
        "parameters": {"camera faults": SEEING_PARAMETERS, "others": ARM_PARAMETERS},
        "pace": {"camera faults": SEEING_PACE, "others": 1.0},
    }
    return {**measured("faults", config), "rows": [row.as_dict() for row in rows]}
