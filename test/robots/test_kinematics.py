"""Inverse kinematics inverts forward kinematics over the workspace and refuses what it cannot reach."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vls_steering.core.frames import angle_between
from vls_steering.core.types import DOWN_QUAT_XYZW
from vls_steering.robots.kinematics import NOMINAL_POSTURE, ArmKinematics, UnreachablePose

DOWN, NOMINAL = np.array(DOWN_QUAT_XYZW), np.array(NOMINAL_POSTURE)
KINEMATICS = ArmKinematics()


@settings(max_examples=60, deadline=None)
@given(st.floats(0.30, 0.66), st.floats(-0.32, 0.32), st.floats(0.015, 0.50))
def test_every_pose_of_the_workspace_is_reached_within_a_millimetre_or_two(x: float, y: float, z: float) -> None:
    target = np.array([x, y, z])
    joints = KINEMATICS.solve(target, DOWN, NOMINAL)
    position, quat = KINEMATICS.tcp_pose(joints)
    assert np.linalg.norm(position - target) < 2.1e-3
    assert angle_between(quat, DOWN) < 0.02
    lower, upper = KINEMATICS.joint_limits
    assert (joints >= lower).all()
    assert (joints <= upper).all()


def test_a_pose_out_of_reach_says_by_how_much() -> None:
    with pytest.raises(UnreachablePose, match="mm out of reach"):
        KINEMATICS.solve(np.array([1.5, 0.0, 0.3]), DOWN, NOMINAL)


def test_the_jacobian_is_the_derivative_of_the_position() -> None:
    step = 1e-6
    numeric = np.stack(
        [
            (KINEMATICS.tcp_pose(NOMINAL + step * axis)[0] - KINEMATICS.tcp_pose(NOMINAL - step * axis)[0]) / (2 * step)
            for axis in np.eye(7)
        ],
        axis=1,
    )
    np.testing.assert_allclose(KINEMATICS.jacobian(NOMINAL)[:3], numeric, atol=1e-6)
