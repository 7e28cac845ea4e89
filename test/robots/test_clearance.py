"""The arm's distance to itself, the table and what it must stay out of."""

from __future__ import annotations

import numpy as np
import pytest

from vls_steering.core.types import DOWN_QUAT_XYZW
from vls_steering.robots.clearance import ArmClearance
from vls_steering.robots.kinematics import NOMINAL_POSTURE, ArmKinematics
from vls_steering.safety import ReasonCode, clearance_check
from vls_steering.safety.checks import JointPath

ARM, FREE = ArmKinematics(), ArmClearance(0.01, 0.01)
NOMINAL = np.array(NOMINAL_POSTURE)
FOLDED = np.array([0.0, -0.5, 0.0, -3.0, 0.0, 1.0, 0.785])
LOW_ELBOW = np.array([0.0, 1.6, 0.0, -0.8, 0.0, 1.6, 0.785])


def path(*rows: np.ndarray) -> JointPath:
    q = np.array(rows)
    return JointPath(np.arange(len(q), dtype=float), q, np.zeros_like(q), np.zeros_like(q))


@pytest.mark.parametrize("x", [0.3, 0.45, 0.6])
@pytest.mark.parametrize("y", [-0.3, 0.0, 0.3])
@pytest.mark.parametrize("z", [0.01, 0.3])
def test_ordinary_work_is_clear_of_everything(x: float, y: float, z: float) -> None:
    assert FREE.closest(ARM.solve(np.array([x, y, z]), np.array(DOWN_QUAT_XYZW), NOMINAL)) is None


def test_a_folded_arm_is_too_close_to_itself() -> None:
    found = FREE.closest(FOLDED)
    assert found is not None
    assert found.reason is ReasonCode.SELF_COLLISION


def test_an_arm_that_lies_down_meets_the_table() -> None:
    found = FREE.closest(LOW_ELBOW)
    assert found is not None
    assert found.reason is ReasonCode.KEEP_OUT
    assert "table" in found.pair


def test_a_keep_out_box_is_kept_out_of_by_its_clearance() -> None:
    place, _ = ARM.tcp_pose(NOMINAL)
    side = np.array([0.05, 0.05, 0.05])
    beside = place + np.array([0.0, 0.25, 0.0])
    for clearance_m, clear in ((0.01, True), (0.19, False)):
        arm = ArmClearance(0.01, clearance_m, (*(beside - side), *(beside + side)))
        assert (arm.closest(NOMINAL) is None) == clear
    inside = ArmClearance(0.01, 0.01, (*(place - side), *(place + side))).closest(NOMINAL)
    assert inside is not None
    assert "keep-out box 0" in inside.pair


def test_an_object_is_kept_out_of_where_it_was_placed_last() -> None:
    arm, (place, _) = ArmClearance(0.01, 0.01, (), ("purple box",)), ARM.tcp_pose(NOMINAL)
    side = np.full(3, 0.1)
    assert arm.closest(NOMINAL) is None, "before it is seen it is nowhere"
    arm.place("purple box", place, side)
    found = arm.closest(NOMINAL)
    assert found is not None
    assert (found.reason, found.pair) == (ReasonCode.KEEP_OUT, "purple box and hand")
    arm.place("purple box", place + [0.0, 0.3, 0.0], side)
    assert arm.closest(NOMINAL) is None
    arm.place("purple box", place + [0.0, 0.3, 0.0], np.array([0.1, 0.5, 0.1]))
    assert arm.closest(NOMINAL) is not None, "it is as large as it was seen last"


def test_the_forearm_keeps_clear_of_an_object_too() -> None:
    arm = ArmClearance(0.01, 0.01, (), ("lamp",))
    arm.place("lamp", np.array([0.15, 0.0, 0.66]), np.full(3, 0.05))
    found = arm.closest(NOMINAL)
    assert found is not None
    assert found.pair == "lamp and fr3_link5"


def test_a_path_may_come_free_but_not_get_closer() -> None:
    check = clearance_check(FREE)
    assert check(path(NOMINAL, FOLDED)) is not None
    assert check(path(FOLDED, NOMINAL)) is None
    assert check(path(FOLDED, FOLDED - [0.0, 0.1, 0.0, 0.03, 0.0, 0.2, 0.0])) is not None
