"""tf: frames told on /tf_static and /tf, and a tree of those that others tell.

Who publishes a thing tells where it was measured: the simulated arms tell their links, the camera node its cameras.
A physical arm's links are told by the robot_state_publisher beside its driver.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from geometry_msgs.msg import Quaternion, TransformStamped, Vector3
from geometry_msgs.msg import Transform as TransformMessage

from vls_steering.core.arrays import FloatArray
from vls_steering.core.errors import ConfigurationError
from vls_steering.core.transforms import Transform, TransformTree
from vls_steering.nodes import topics
from vls_steering.nodes.base import RoomNode
from vls_steering.nodes.conversions import header, stamp_seconds
from vls_steering.robots.link_frames import ROOT_FRAME, UPRIGHT, LinkFrames

WORLD_FRAME = "world"
ARM_FRAMES_HZ = 50.0  # who reads them interpolates
UNIT_TOLERANCE = 0.01  # of a quaternion's squared length
HOW_TO_GET_IT = "Run `make setup`, which builds it, or source a ROS 2 distribution (ros-<distro>-tf2-msgs)"


class FixedFrames:
    """Frames that never move, on /tf_static for whoever listens, now or later; nothing where tf2_msgs is missing."""

    def __init__(self, node: RoomNode, transforms: Sequence[Transform]) -> None:
        if topics.TF_STATIC is None:
            node.get_logger().info(f"tf2_msgs is not installed: no tf is published. {HOW_TO_GET_IT}.")
            return
        if transforms:
            self._publisher = node.publisher(topics.TF_STATIC)
            self._publisher.publish(_message(transforms, node.now_s()))


class ArmFrames:
    """The links of an arm, its hand and its TCP, and where it stands in the world.

    `tells_links` is false where a robot_state_publisher tells them.
    """

    def __init__(self, node: RoomNode, tells_links: bool) -> None:
        self._links = LinkFrames() if tells_links and topics.TF is not None else None
        in_world = Transform(WORLD_FRAME, ROOT_FRAME, np.zeros(3), UPRIGHT)
        FixedFrames(node, (in_world, *(self._links.fixed if self._links is not None else ())))
        self._told_s = -math.inf
        self._publisher = node.publisher(topics.TF) if topics.TF is not None and self._links is not None else None

    def tell(self, stamp_s: float, joint_positions: FloatArray, gripper_width_m: float) -> None:
        """At most `ARM_FRAMES_HZ` times a second, and only while somebody listens.  `joint_positions` (7,) rad."""
        if self._publisher is None or self._links is None or not self._publisher.get_subscription_count():
            return
        if 0.0 <= stamp_s - self._told_s < 1.0 / ARM_FRAMES_HZ - 1e-6:
            return
        self._told_s = stamp_s
        self._publisher.publish(_message(self._links.moving(joint_positions, gripper_width_m), stamp_s))


def listen(node: RoomNode) -> TransformTree:
    """A tree of all frames that are told from now on, and of the fixed ones; filled on the node's thread.

    Raises ConfigurationError where tf2_msgs is missing.
    """
    if topics.TF is None or topics.TF_STATIC is None:
        raise ConfigurationError("tf2_msgs is not installed, and tf cannot be heard without it", HOW_TO_GET_IT)
    tree = TransformTree()
    node.subscribe(topics.TF_STATIC, partial(_take, node, tree, True))
    node.subscribe(topics.TF, partial(_take, node, tree, False))
    return tree


def _take(node: RoomNode, tree: TransformTree, fixed: bool, message: Any) -> None:
    for stamped in message.transforms:
        place, turn = stamped.transform.translation, stamped.transform.rotation
        position, quat = np.array([place.x, place.y, place.z]), np.array([turn.x, turn.y, turn.z, turn.w])
        names = stamped.header.frame_id.lstrip("/"), stamped.child_frame_id.lstrip("/")
        if not np.isfinite(position).all() or not abs(quat @ quat - 1.0) < UNIT_TOLERANCE:
            # Somebody else's mistake about a frame that may be none of ours.
            node.get_logger().warning(f"tf: {names[1]} has no valid pose", throttle_duration_sec=5.0)
            continue
        tree.put(Transform(*names, position, quat), stamp_seconds(stamped.header.stamp), fixed)


def _message(transforms: Sequence[Transform], stamp_s: float) -> Any:
    return topics.TFMessage(transforms=[_stamped(transform, stamp_s) for transform in transforms])


def _stamped(transform: Transform, stamp_s: float) -> TransformStamped:
    x, y, z = transform.position.tolist()
    qx, qy, qz, qw = transform.quat_xyzw.tolist()
    place = TransformMessage(translation=Vector3(x=x, y=y, z=z), rotation=Quaternion(x=qx, y=qy, z=qz, w=qw))
    return TransformStamped(header=header(stamp_s, transform.parent), child_frame_id=transform.child, transform=place)
