"""The links' frames against two independent accounts of the arm: its published geometry, and MuJoCo's own."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from vls_steering.core.transforms import TransformTree
from vls_steering.core.types import BASE_FRAME
from vls_steering.robots.assets import ARM_JOINT_NAMES, FINGER_JOINT_NAMES, fr3_spec
from vls_steering.robots.kinematics import ArmKinematics
from vls_steering.robots.link_frames import FLANGE_FRAME, HAND_FRAME, LINK_FRAMES, TCP_FRAME, LinkFrames

# Denavit-Hartenberg parameters (Craig's convention) of the FR3, Franka's documentation: a m, d m, alpha rad.
QUARTER = np.pi / 2
PUBLISHED = (
    (0.0, 0.333, 0.0),
    (0.0, 0.0, -QUARTER),
    (0.0, 0.316, QUARTER),
    (0.0825, 0.0, QUARTER),
    (-0.0825, 0.384, -QUARTER),
    (0.0, 0.0, QUARTER),
    (0.088, 0.0, QUARTER),
)
FLANGE_M = 0.107


def postures() -> list[np.ndarray]:
    lower, upper = ArmKinematics().joint_limits
    return [np.random.default_rng(seed).uniform(lower, upper) for seed in range(20)]


def tree_at(joints: np.ndarray, width_m: float = 0.06) -> TransformTree:
    frames, tree = LinkFrames(), TransformTree()
    for transform in frames.fixed:
        tree.put(transform, 0.0, fixed=True)
    for transform in frames.moving(joints, width_m):
        tree.put(transform, 0.0)
    return tree


def published(a: float, d: float, alpha: float, theta: float) -> np.ndarray:
    ca, sa, ct, st = np.cos(alpha), np.sin(alpha), np.cos(theta), np.sin(theta)
    return np.array([[ct, -st, 0, a], [st * ca, ct * ca, -sa, -d * sa], [st * sa, ct * sa, ca, d * ca], [0, 0, 0, 1]])


@pytest.mark.parametrize("joints", postures())
def test_links_and_flange_are_where_the_published_geometry_puts_them(joints: np.ndarray) -> None:
    tree, pose = tree_at(joints), np.eye(4)
    for parameters, theta, link in zip(PUBLISHED, joints, LINK_FRAMES[1:], strict=True):
        pose = pose @ published(*parameters, theta)
        np.testing.assert_allclose(tree.look_up(BASE_FRAME, link, 0.0), pose, atol=1e-6)
    flange = pose @ published(0.0, FLANGE_M, 0.0, 0.0)
    np.testing.assert_allclose(tree.look_up(BASE_FRAME, FLANGE_FRAME, 0.0), flange, atol=1e-6)


@pytest.mark.parametrize("joints", postures()[:5])
def test_tcp_hand_and_fingers_are_where_the_model_has_them(joints: np.ndarray) -> None:
    model = fr3_spec().compile()
    data = mujoco.MjData(model)
    for name, value in zip(ARM_JOINT_NAMES, joints, strict=True):
        data.joint(name).qpos = value
    for name in FINGER_JOINT_NAMES:
        data.joint(name).qpos = 0.03
    mujoco.mj_kinematics(model, data)
    tree = tree_at(joints, width_m=0.06)
    for frame, body in ((HAND_FRAME, "hand"), ("fr3_leftfinger", "left_finger"), ("fr3_rightfinger", "right_finger")):
        pose = tree.look_up(BASE_FRAME, frame, 0.0)
        np.testing.assert_allclose(pose[:3, 3], data.body(body).xpos, atol=1e-9)
        np.testing.assert_allclose(pose[:3, :3].ravel(), data.body(body).xmat, atol=1e-9)
    position, _ = ArmKinematics().tcp_pose(joints)
    np.testing.assert_allclose(tree.look_up(BASE_FRAME, TCP_FRAME, 0.0)[:3, 3], position, atol=1e-9)
