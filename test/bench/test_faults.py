"""The fault table judges what was sent, wherever it was heard without a gap, and says at which pace."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vls_steering.bench.faults import FaultRow, fault_table, judged
from vls_steering.robots.kinematics import NOMINAL_POSTURE, ArmKinematics
from vls_steering.safety import FR3_LIMITS

HOME = np.array(NOMINAL_POSTURE)
PERIOD_S = 0.01
ROW = FaultRow("the camera stops", "HOLDING", "STREAM_FAULTY", 0.2, 0.3, 0.25, 0.0004, 400, 0, True, 1.8)


def found(positions: np.ndarray, stamps_s: np.ndarray | None = None) -> list[tuple[str, int]]:
    if stamps_s is None:
        stamps_s = PERIOD_S * np.arange(len(positions))
    verdicts = judged(stamps_s.tolist(), list(positions), PERIOD_S, FR3_LIMITS, ArmKinematics().tcp_pose)
    return [(violation.quantity, violation.sample) for violation in verdicts]


def swing(count: int = 100) -> np.ndarray:
    """In motion from the first sample on."""
    return HOME + 0.2 * np.outer(np.sin(2.0 * PERIOD_S * np.arange(count)), np.eye(7)[0])


def test_a_smooth_stream_that_begins_in_motion_is_within_the_limits() -> None:
    assert found(swing()) == []


def test_a_step_in_the_stream_is_found_in_the_joints_and_at_the_hand() -> None:
    stepped = swing()
    stepped[50:] += 0.05 * np.eye(7)[0]
    kinds = {quantity for quantity, _ in found(stepped)}
    assert {"velocity", "acceleration", "jerk", "tcp acceleration"} <= kinds


def test_across_a_pause_nothing_is_differenced() -> None:
    """The arm was armed again from where it stood."""
    stepped, stamps_s = swing(), PERIOD_S * np.arange(100)
    stepped[50:] += 0.05 * np.eye(7)[0]
    stamps_s[50:] += 1.0
    assert found(stepped, stamps_s) == []
    stepped[50:] += 5.0
    assert "position" in {quantity for quantity, _ in found(stepped, stamps_s)}


def test_nothing_heard_is_nothing_found() -> None:
    assert found(np.zeros((0, 7))) == []


def test_the_table_tells_the_pace_and_the_time_on_the_wall() -> None:
    line = fault_table([ROW]).splitlines()[-1]
    assert "| 0.20 | 0.3 | 0.25 | 0.80 | 0.0004 | 400 | 0 |" in line
    unmeasured = fault_table([replace(ROW, rest_rad_s=-1.0, recovered_s=-1.0, ok=False)]).splitlines()[-1]
    assert unmeasured.endswith("|  | 400 | 0 | not | FAILED |")
