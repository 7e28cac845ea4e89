"""A subset of `vls bench faults`, and that the committed table holds every fault."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("franka_sim")

from vls_steering.nodes.fault_bench import CLIENT_FAULT
from vls_steering.nodes.fault_cases import CAMERA_FAULTS
from vls_steering.nodes.fault_cases import FAULTS as ARM_FAULTS
from vls_steering.safety import ReasonCode

FAULTS = (*CAMERA_FAULTS, *ARM_FAULTS)
RESULT = Path(__file__).resolve().parents[2] / "docs" / "results" / "faults.json"


@pytest.mark.ros
@pytest.mark.slow
@pytest.mark.long
def test_the_faults_of_ci_end_as_stated(tmp_path: Path) -> None:
    out = tmp_path / "faults.json"
    command = [sys.executable, "-m", "vls_steering.cli", "bench", "faults", "--quick", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    rows = json.loads(out.read_text())["rows"]
    assert {row["fault"] for row in rows} == {fault.name for fault in FAULTS if fault.in_ci} | {CLIENT_FAULT}


def test_the_committed_table_has_every_fault_and_all_ended_as_stated() -> None:
    rows = json.loads(RESULT.read_text())["rows"]
    assert {row["fault"] for row in rows} == {fault.name for fault in FAULTS} | {CLIENT_FAULT}
    assert [row["fault"] for row in rows if not row["ok"]] == []
    assert all(row["seconds"] <= row["within_s"] for row in rows)


def test_each_stated_reason_is_one_that_stops_or_rejects() -> None:
    for fault in FAULTS:
        assert fault.reasons
        assert fault.goes_on or ReasonCode.NONE not in fault.reasons
