"""The robot's own pixels are removed; what it holds is not."""

from __future__ import annotations

import numpy as np
import pytest
from perception.pictures import GREY, RED, picture, robot_far_away, standing

from vls_steering.core.types import DOWN_QUAT_XYZW
from vls_steering.perception import PerceptionPipeline, PerceptionSettings
from vls_steering.perception.self_mask import robot_capsules
from vls_steering.robots.kinematics import NOMINAL_POSTURE, ArmKinematics


def test_the_arm_is_where_the_kinematics_say() -> None:
    """The hand begins at the flange, 0.1034 m above the tool centre point."""
    kinematics = ArmKinematics()
    q = kinematics.solve(np.array([0.5, 0.1, 0.2]), np.array(DOWN_QUAT_XYZW), np.array(NOMINAL_POSTURE))
    tcp, quat = kinematics.tcp_pose(q)
    robot = robot_far_away(tuple(tcp))
    robot = type(robot)(0.0, q, np.zeros(7), tcp, quat, 0.08)
    flange = robot_capsules(robot)[5].end
    assert flange == pytest.approx(tcp + [0, 0, 0.1034], abs=0.002)


def test_a_grey_hand_vanishes_and_the_red_cube_in_it_stays() -> None:
    tcp = (0.5, 0.0, 0.12)
    hand = standing(0.5, 0.0, (0.06, 0.19, 0.06), GREY, z=tcp[2] + 0.04)
    cube = standing(0.5, 0.0, (0.038, 0.038, 0.038), RED, z=tcp[2] - 0.019)
    robot = robot_far_away(tcp, width_m=0.038, holds=True)
    pipeline = PerceptionPipeline(PerceptionSettings(), seed=0)
    for i in range(5):
        keypoints = pipeline.update([picture([hand, cube], stamp_s=0.1 * i, seed=i)], robot)
    assert len(keypoints.points) == 1
    assert keypoints.names[0].startswith("red")
    assert np.linalg.norm(keypoints.points[0].position - tcp) < 0.02
