"""tf over DDS: the arm's links as the simulated arm stands, the cameras as they see, and who reads them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("tf2_msgs", reason="tools/build_tf2_msgs.sh builds it")

from geometry_msgs.msg import TransformStamped
from nodes.stage import Stage
from rclpy.parameter import Parameter

from vls_steering.core.config import Settings
from vls_steering.core.errors import ConfigurationError, StreamFault
from vls_steering.core.transforms import TransformTree
from vls_steering.core.types import BASE_FRAME
from vls_steering.nodes import camera, sim_bridge, topics
from vls_steering.nodes.base import NodeDefinition, RoomNode
from vls_steering.nodes.conversions import matrix_of, robot_state_of, stamp_seconds
from vls_steering.nodes.extrinsics import ExtrinsicsSettings, make_locate
from vls_steering.nodes.frames import FixedFrames, listen
from vls_steering.robots.kinematics import ArmKinematics
from vls_steering.robots.link_frames import FINGER_FRAMES, LINK_FRAMES, TCP_FRAME

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros")]
assert topics.TF is not None
assert topics.TF_STATIC is not None
FRONT, WRIST = "front_color_optical_frame", "wrist_color_optical_frame"


class NoSettings(Settings):
    pass


class Reader:
    """A node that hears tf as the perception does."""

    def __init__(self, node: RoomNode, settings: NoSettings) -> None:
        self.node = node

    def start(self) -> None:
        self.tree: TransformTree = listen(self.node)
        locate = make_locate(self.node, ExtrinsicsSettings(source="tf"), ("front",), lambda _stamp_s: None)["front"]
        assert locate is not None
        self.locate = locate

    def stop(self) -> None: ...

    def tear_down(self) -> None: ...


class World(Stage):
    """A simulated arm and a reader; the pace is the machine's."""

    def __init__(self, **parameters: Any) -> None:
        super().__init__(sim_bridge.NODE, (), **parameters)
        self.rooms: list[RoomNode] = []
        for topic in (topics.JOINT_STATES, topics.camera_topics("front").pose, topics.camera_topics("wrist").pose):
            self.other.create_subscription(topic.type, topic.name, self.heard[topic.name].append, topics.PICTURES)

    def add(self, definition: NodeDefinition[Any], **parameters: Any) -> RoomNode:
        given = {"use_sim_time": True, **parameters}
        room = RoomNode(definition, parameter_overrides=[Parameter(n, value=v) for n, v in given.items()])
        self.rooms.append(room)
        self._executor.add_node(room)
        room.trigger_configure()
        room.trigger_activate()
        assert not room.failure
        return room

    def add_reader(self) -> Reader:
        body = self.add(NodeDefinition("reader", NoSettings, Reader)).body
        assert isinstance(body, Reader)
        return body

    def close(self) -> None:
        for room in self.rooms:
            room.trigger_shutdown()
        super().close()
        for room in self.rooms:
            room.destroy_node()


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    one = World(**getattr(request, "param", {}))
    yield one
    one.close()


def knows(tree: TransformTree, frame: str, stamp_s: float, base: str = BASE_FRAME) -> bool:
    try:
        tree.look_up(base, frame, stamp_s)
    except StreamFault:
        return False
    return True


def test_the_links_lead_to_where_the_joint_states_put_the_tcp(world: World) -> None:
    world.bring_up()
    tree = world.add_reader().tree
    world.until(lambda: knows(tree, TCP_FRAME, world.node.now_s(), "world"), what="tf")
    stamp_s = tree._tracks[LINK_FRAMES[7]].stamps_s[-1]
    world.until(lambda: stamp_seconds(world.newest(topics.JOINT_STATES).header.stamp) > stamp_s)
    measured = {stamp_seconds(message.header.stamp): message for message in world.heard[topics.JOINT_STATES.name]}
    robot = robot_state_of(measured[stamp_s], ArmKinematics().tcp_pose)
    np.testing.assert_allclose(tree.look_up(BASE_FRAME, TCP_FRAME, stamp_s)[:3, 3], robot.tcp_position, atol=1e-9)
    fingers = [tree.look_up(TCP_FRAME, finger, stamp_s)[:3, 3] for finger in FINGER_FRAMES]
    assert np.linalg.norm(fingers[0] - fingers[1]) == pytest.approx(robot.gripper_width_m, abs=1e-9)


@pytest.mark.parametrize("world", [{"real_time_factor": 0.3}], indirect=True)
def test_tf_carries_what_the_pose_topics_say_of_both_cameras(world: World) -> None:
    """Extrinsics from tf: the node that reads them gets the very pose from which each picture was taken."""
    world.bring_up()
    reader = world.add_reader()
    world.add(camera.NODE, front_hz=10.0, wrist_hz=10.0)
    for name, frame in (("front", FRONT), ("wrist", WRIST)):
        pose = topics.camera_topics(name).pose
        # The first pictures may be of an instant before tf was heard.
        world.until(lambda pose=pose: len(world.heard[pose.name]) > 4, what=f"poses of {name}")
        message = world.newest(pose)
        stamp_s = stamp_seconds(message.header.stamp)
        world.until(lambda frame=frame, stamp_s=stamp_s: knows(reader.tree, frame, stamp_s), what=f"tf of {name}")
        np.testing.assert_allclose(reader.locate(frame, stamp_s), matrix_of(message), atol=1e-6)


@pytest.mark.parametrize("world", [{"arm_frames": False}], indirect=True)
def test_a_bridge_beside_a_robot_state_publisher_tells_no_links(world: World) -> None:
    world.bring_up()
    tree = world.add_reader().tree
    world.until(lambda: knows(tree, "base", 0.0, "world"), what="the world's frame")
    assert world.other.count_publishers(topics.TF.name) == 0
    with pytest.raises(StreamFault, match="fr3_hand_tcp and world are not connected; frames known: base, world"):
        tree.look_up("world", TCP_FRAME, 1.0)


def test_a_pose_that_is_none_is_ignored(world: World) -> None:
    tree = world.add_reader().tree
    bad, good = (TransformStamped(child_frame_id=child) for child in ("lost", "found"))
    bad.header.frame_id = good.header.frame_id = BASE_FRAME
    bad.transform.rotation.w = 0.0
    world.publish(topics.TF, topics.TFMessage(transforms=[bad, good]))
    world.until(lambda: knows(tree, "found", 0.0), what="the good one")
    assert not knows(tree, "lost", 0.0)
    assert not world.rooms[0].failure


def test_without_tf2_msgs_publishing_is_left_out_and_reading_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topics, "TF", None)
    monkeypatch.setattr(topics, "TF_STATIC", None)
    world.bring_up()
    world.until(lambda: world.newest(topics.JOINT_STATES), what="joint states")
    assert world.other.count_publishers("/tf") + world.other.count_publishers("/tf_static") == 0
    with pytest.raises(ConfigurationError, match="tf2_msgs is not installed"):
        listen(world.node)
    FixedFrames(world.node, ())  # says so, and goes on


def test_its_type_is_that_of_every_ros_distribution(world: World) -> None:
    """Same name, same hash: RViz and tf2_ros of a sourced ROS 2 take ours for their own."""
    typesys = pytest.importorskip("rosbags.typesys")
    store = typesys.get_typestore(typesys.Stores.ROS2_JAZZY)
    world.bring_up()
    world.until(lambda: world.other.get_publishers_info_by_topic("/tf"), what="a publisher of /tf")
    told = world.other.get_publishers_info_by_topic("/tf")[0]
    assert told.topic_type == "tf2_msgs/msg/TFMessage"
    assert f"RIHS01_{told.topic_type_hash.value.hex()}" == store.hash_rihs01("tf2_msgs/msg/TFMessage")
