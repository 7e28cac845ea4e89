"""The camera node delivers a device or a recording under the topics, stamps and poses that the perception expects."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy")
pytest.importorskip("rosbags")

from nodes.stage import Stage
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from vls_steering.core.errors import ConfigurationError
from vls_steering.core.types import CameraFrame
from vls_steering.nodes import topics
from vls_steering.nodes.bag_camera import BagCamera, BagSettings
from vls_steering.nodes.camera import NODE
from vls_steering.nodes.conversions import stamp_seconds
from vls_steering.nodes.pictures import camera_frame_of

WIDTH, HEIGHT = 32, 24
TAKEN_S = (100.0, 100.05, 100.15)  # the third came a period late
NAMES = topics.camera_topics("front")
FRONT = (NAMES.color, NAMES.depth, NAMES.info, NAMES.pose)
ABOVE = np.diag([1.0, -1.0, -1.0, 1.0])


def mounts_file(folder: Path) -> str:
    path = folder / "cameras.yaml"
    path.write_text("front: {position_m: [0.5, 0.0, 0.9], quat_xyzw: [1.0, 0.0, 0.0, 0.0]}")
    return str(path)


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    """An MCAP bag as `ros2 bag record` leaves it."""
    store = get_typestore(Stores.ROS2_JAZZY)
    of = store.types
    path = tmp_path / "bag"
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        kinds = {"color/image_raw": "Image", "depth/image_rect_raw": "Image", "camera_info": "CameraInfo"}
        connections = {
            name: writer.add_connection(f"/camera/{name}", f"sensor_msgs/msg/{kind}", typestore=store)
            for name, kind in kinds.items()
        }
        for number, stamp_s in enumerate(TAKEN_S):
            nanoseconds = round(stamp_s * 1e9)
            head = of["std_msgs/msg/Header"](of["builtin_interfaces/msg/Time"](*divmod(nanoseconds, 10**9)), "lens")
            color = np.full((HEIGHT, WIDTH, 3), 50 + number, np.uint8)
            depth = np.full((HEIGHT, WIDTH), 800 + number, np.uint16)
            image = of["sensor_msgs/msg/Image"]
            region = of["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
            k = np.array([30.0, 0, 15.5, 0, 30.0, 11.5, 0, 0, 1.0])
            info = of["sensor_msgs/msg/CameraInfo"](
                head, HEIGHT, WIDTH, "plumb_bob", np.zeros(5), k, np.eye(3).ravel(), np.zeros(12), 0, 0, region
            )
            messages = {
                "camera_info": info,
                "color/image_raw": image(head, HEIGHT, WIDTH, "bgr8", 0, 3 * WIDTH, color.ravel()),
                "depth/image_rect_raw": image(head, HEIGHT, WIDTH, "16UC1", 0, 2 * WIDTH, depth.view(np.uint8).ravel()),
            }
            for name, message in messages.items():
                kind = connections[name].msgtype
                writer.write(connections[name], nanoseconds, store.serialize_cdr(message, kind))
    return path


def read_all(camera: BagCamera) -> list[CameraFrame]:
    frames = []
    while (frame := camera.read()) is not None:
        frames.append(frame)
    camera.close()
    return frames


def test_a_bag_plays_at_its_pace_in_the_present(bag: Path) -> None:
    began_s = time.monotonic()
    frames = read_all(BagCamera("front", BagSettings(path=str(bag)), ABOVE, time.monotonic))
    stamps = np.array([frame.stamp_s for frame in frames])
    np.testing.assert_allclose(stamps - stamps[0], np.array(TAKEN_S) - TAKEN_S[0], atol=1e-6)
    assert stamps[0] >= began_s
    assert time.monotonic() - began_s >= 0.15  # not all at once
    assert [int(frame.color[0, 0, 0]) for frame in frames] == [50, 51, 52]
    np.testing.assert_allclose(frames[2].depth, 0.802, atol=1e-6)
    assert frames[0].intrinsics[0, 0] == 30.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"path": ""}, "there is no bag ''"),
        ({"path": "/nowhere.mcap"}, "there is no bag"),
        ({"color_topic": "/zed/rgb"}, r"has no topic /zed/rgb. It has: /camera/camera_info"),
    ],
)
def test_a_bag_that_does_not_fit_is_told_with_what_there_is(bag: Path, change: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        BagCamera("front", BagSettings(**{"path": str(bag), **change}), ABOVE, time.monotonic)


def test_a_file_that_is_no_bag_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.mcap").write_text("nothing")
    with pytest.raises(ConfigurationError, match="no bag that can be read"):
        BagCamera("front", BagSettings(path=str(tmp_path / "notes.mcap")), ABOVE, time.monotonic)


@pytest.mark.ros
@pytest.mark.usefixtures("ros")
class TestNode:
    def stage(self, **parameters: Any) -> Stage:
        one = Stage(NODE, (), use_sim_time=False, **parameters)
        for topic in FRONT:
            heard = one.heard[topic.name]
            one.other.create_subscription(topic.type, topic.name, heard.append, topic.quality)
        return one

    def test_a_bag_arrives_as_the_simulators_pictures_do(self, bag: Path, tmp_path: Path) -> None:
        one = self.stage(source="bag", bag__path=str(bag), extrinsics_file=mounts_file(tmp_path))
        try:
            one.bring_up()
            one.until(lambda: all(one.heard[topic.name] for topic in FRONT), what="a picture")
            frame = camera_frame_of("front", *(one.heard[topic.name][-1] for topic in FRONT))
            assert abs(frame.stamp_s - time.time()) < 30.0
            np.testing.assert_allclose(frame.base_from_camera[:3, 3], [0.5, 0.0, 0.9])
            assert one.newest(FRONT[0]).header.frame_id == "front_color_optical_frame"
            one.until(lambda: one.node.complaints.get("camera") == "the recording is over")
        finally:
            one.close()

    def test_a_video_and_a_calibration_make_a_camera(self, tmp_path: Path) -> None:
        video = tmp_path / "table.avi"
        writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 20.0, (WIDTH, HEIGHT))
        for level in range(40):
            writer.write(np.full((HEIGHT, WIDTH, 3), 40 + 4 * level, np.uint8))
        writer.release()
        k = {"rows": 3, "cols": 3, "data": [30.0, 0, 15.5, 0, 30.0, 11.5, 0, 0, 1]}
        flat = {"rows": 1, "cols": 5, "data": [0.0] * 5}
        calibration = tmp_path / "lens.yaml"
        calibration.write_text(
            yaml.safe_dump(
                {"image_width": WIDTH, "image_height": HEIGHT, "camera_matrix": k, "distortion_coefficients": flat}
            )
        )
        uvc = {"uvc__device": str(video), "uvc__camera_info_url": calibration.as_uri(), "uvc__depth": "table"}
        one = self.stage(source="uvc", extrinsics_file=mounts_file(tmp_path), **uvc)
        try:
            one.bring_up()
            one.until(lambda: len(one.heard[FRONT[1].name]) > 2, what="pictures")
            stamps = [stamp_seconds(message.header.stamp) for message in one.heard[FRONT[1].name]]
            assert stamps == sorted(set(stamps))
        finally:
            one.close()

    @pytest.mark.parametrize(
        ("parameters", "said"),
        [
            ({"source": "bag"}, "source bag needs extrinsics_file"),
            ({"source": "uvc", "extrinsics_file": "MOUNTS"}, "uvc.camera_info_url is empty"),
            ({"source": "realsense", "extrinsics_file": "MOUNTS", "camera": "left"}, "has no camera 'left'"),
        ],
    )
    def test_what_a_device_lacks_is_told_and_the_node_stays_down(
        self, tmp_path: Path, parameters: dict[str, str], said: str
    ) -> None:
        given = {name: mounts_file(tmp_path) if value == "MOUNTS" else value for name, value in parameters.items()}
        one = self.stage(**given)
        try:
            one.node.trigger_configure()
            one.node.trigger_activate()
            assert said in one.node.failure
        finally:
            one.close()
