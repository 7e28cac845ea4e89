"""Where the arm's links are, under the names that Franka's own description gives them."""

from __future__ import annotations

import mujoco
import numpy as np

from vls_steering.core.arrays import FloatArray
from vls_steering.core.transforms import Transform
from vls_steering.core.types import BASE_FRAME
from vls_steering.robots.assets import FINGER_JOINT_NAMES, HAND_BODY, TCP_OFFSET_M, fr3_spec

ROOT_FRAME = "base"  # of Franka's description; link 0 stands in it
FLANGE_FRAME = "fr3_link8"
HAND_FRAME = "fr3_hand"
TCP_FRAME = "fr3_hand_tcp"
LINK_FRAMES = tuple(f"fr3_link{i}" for i in range(8))
FINGER_FRAMES = ("fr3_leftfinger", "fr3_rightfinger")
UPRIGHT = np.array([0.0, 0.0, 0.0, 1.0])


class LinkFrames:
    """Frames from joint positions; what does not move is told once, by `fixed`."""

    def __init__(self) -> None:
        model = fr3_spec().compile()
        links = [model.body(name).id for name in LINK_FRAMES[1:]]
        if not np.allclose(model.jnt_axis[model.body_jntadr[links]], [0.0, 0.0, 1.0]):
            raise AssertionError("a joint of the model does not turn around its link's z axis")
        self._positions = model.body_pos[links].copy()
        self._quats_wxyz = model.body_quat[links].copy()
        hand, finger = model.body(HAND_BODY), model.body(model.jnt_bodyid[model.joint(FINGER_JOINT_NAMES[0]).id])
        self._finger_z_m = float(finger.pos[2])
        self.fixed: tuple[Transform, ...] = (
            Transform(ROOT_FRAME, BASE_FRAME, np.zeros(3), UPRIGHT),
            Transform(LINK_FRAMES[7], FLANGE_FRAME, hand.pos.copy(), UPRIGHT),
            Transform(FLANGE_FRAME, HAND_FRAME, np.zeros(3), hand.quat[[1, 2, 3, 0]]),
            Transform(HAND_FRAME, TCP_FRAME, np.array([0.0, 0.0, TCP_OFFSET_M]), UPRIGHT),
        )

    def moving(self, joint_positions: FloatArray, gripper_width_m: float) -> tuple[Transform, ...]:
        """Links 1 to 7 and the fingers, each in the link before it; `joint_positions` (7,) rad."""
        half = 0.5 * np.asarray(joint_positions)
        turned, quats_wxyz = np.zeros(4), np.zeros((7, 4))
        for i in range(7):
            turned[0], turned[3] = np.cos(half[i]), np.sin(half[i])
            mujoco.mju_mulQuat(quats_wxyz[i], self._quats_wxyz[i], turned)
        links = [
            Transform(LINK_FRAMES[i], LINK_FRAMES[i + 1], self._positions[i], quats_wxyz[i, [1, 2, 3, 0]])
            for i in range(7)
        ]
        # The right finger is the left one turned about the approach axis, so that both open along their own y.
        opening = 0.5 * gripper_width_m
        left = Transform(HAND_FRAME, FINGER_FRAMES[0], np.array([0.0, opening, self._finger_z_m]), UPRIGHT)
        turned_quat = np.array([0.0, 0.0, 1.0, 0.0])
        right = Transform(HAND_FRAME, FINGER_FRAMES[1], np.array([0.0, -opening, self._finger_z_m]), turned_quat)
        return (*links, left, right)
