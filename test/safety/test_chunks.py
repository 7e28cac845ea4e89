"""Joint and delta chunks mean the same motion as the poses they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from safety.arms import HOME_Q, HOME_TCP, Cell, LinearArm, chunk_along, moving

from vls_steering.core.errors import ShapeError
from vls_steering.core.types import GRIPPER_OPEN_M
from vls_steering.safety import FR3_LIMITS, DeltaChunk, JointChunk, ReasonCode, violations

TIMES = 10.0 + 0.1 * np.arange(1, 17)
OPEN = np.full(16, GRIPPER_OPEN_M)


def armed() -> Cell:
    cell = Cell(chunk_timeout_s=5.0, policy_timeout_s=5.0)
    cell.arm()
    return cell


def joints_along(speed_m_s: float, axis: int = 1) -> np.ndarray:
    path = moving(speed_m_s, 10.0, axis)
    places = np.array([path(t) for t in TIMES])
    return LinearArm().solve_path(places, np.zeros((len(TIMES), 4)), np.zeros((len(TIMES), 7)))


def test_a_joint_chunk_is_followed_as_its_poses_are() -> None:
    by_pose, by_joint = armed(), armed()
    assert by_pose.submit(chunk_along(moving(0.1, 10.0), 10.0)).accepted
    assert by_joint.submit(JointChunk(10.0, TIMES, joints_along(0.1), OPEN)).accepted
    by_pose.run(1.0)
    by_joint.run(1.0)
    assert by_joint.sent == pytest.approx(np.array(by_pose.sent), abs=1e-9)


def test_a_joint_chunk_is_judged_by_where_it_takes_the_hand() -> None:
    verdict = armed().submit(JointChunk(10.0, TIMES, joints_along(-0.25, axis=2), OPEN))
    assert verdict.reason is ReasonCode.WORKSPACE


def test_a_joint_chunk_that_leaves_a_joints_range_is_rejected() -> None:
    joints = np.tile(HOME_Q, (16, 1))
    joints[:, 6] = np.linspace(HOME_Q[6], 3.0, 16)
    assert armed().submit(JointChunk(10.0, TIMES, joints, OPEN)).reason is ReasonCode.JOINT_RANGE


def test_deltas_add_up_from_where_the_arm_was_sent_when_they_were_planned() -> None:
    cell = armed()
    assert cell.submit(DeltaChunk(10.0, TIMES, np.tile([0.0, 0.01, 0.0], (16, 1)), np.zeros((16, 3)), OPEN)).accepted
    cell.run(0.5)
    sent_then = cell.tcp[-1]
    planned_s = cell.now_s
    cell.run(0.2)  # the latency of the second chunk
    late = DeltaChunk(
        planned_s, planned_s + 0.1 * np.arange(1, 17), np.tile([0.0, 0.01, 0.0], (16, 1)), np.zeros((16, 3)), OPEN
    )
    assert cell.submit(late).accepted
    cell.run(2.0)
    assert cell.tcp[-1] == pytest.approx(sent_then + [0.0, 0.16, 0.0], abs=1e-3)
    assert violations(cell.sent, 0.01, FR3_LIMITS) == ()


def test_deltas_that_turn_the_hand_over_are_rejected() -> None:
    tipping = DeltaChunk(10.0, TIMES, np.zeros((16, 3)), np.tile([0.1, 0.0, 0.0], (16, 1)), OPEN)
    assert armed().submit(tipping).reason is ReasonCode.TILT


def test_a_delta_chunk_older_than_everything_sent_starts_at_the_oldest() -> None:
    cell = armed()
    cell.run(0.1)
    chunk = DeltaChunk(9.9, 10.1 + 0.1 * np.arange(1, 17), np.tile([0.0, 0.002, 0.0], (16, 1)), np.zeros((16, 3)), OPEN)
    assert cell.submit(chunk).accepted
    cell.run(3.0)
    assert cell.tcp[-1] == pytest.approx(HOME_TCP + [0.0, 0.032, 0.0], abs=1e-3)


@pytest.mark.parametrize(
    "rows",
    [np.zeros((15, 7)), np.zeros((16, 6)), np.full((16, 7), np.nan), np.zeros((0, 7))],
    ids=["too few", "six joints", "not finite", "none"],
)
def test_what_is_no_chunk_cannot_be_made_into_one(rows: np.ndarray) -> None:
    with pytest.raises(ShapeError):
        JointChunk(10.0, TIMES, rows, OPEN)


def test_what_is_no_chunk_is_counted_and_explains_the_stop_that_follows() -> None:
    cell = Cell()
    cell.arm()
    assert cell.submit(chunk_along(moving(0.1, 10.0), 10.0)).accepted
    for _ in range(10):
        cell.executor.refuse("16 times but 15 poses", cell.now_s)
        cell.run(0.1)
    status = cell.executor.status()
    assert (status.reason, status.rejected) == (ReasonCode.MALFORMED, 10)
    assert "15 poses" in status.reason_text
