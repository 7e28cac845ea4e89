"""An image topic from any ROS 2 driver works by remapping alone, and no picture of it is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor

from vls_steering.msg import Keypoints
from vls_steering.nodes import topics
from vls_steering.nodes.conversions import stamp_seconds

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.usefixtures("ros")]

PICTURES = 300  # ten seconds at 30 Hz
REMAPPINGS = {
    "camera/color/image_raw": "zed/left/image_rect_color",
    "camera/depth/image_rect_raw": "zed/depth/depth_registered",
    "camera/camera_info": "zed/left/camera_info",
}
SELF_STARTING = """
import dataclasses, sys
from vls_steering.nodes.perception import NODE
from vls_steering.nodes.run import run_node
sys.exit(run_node(dataclasses.replace(NODE, self_starting=True)))
"""
CALIBRATION = """
front:
  parent: fr3_link0
  position_m: [0.5, 0.0, 0.9]
  quat_xyzw: [0.7071068, -0.7071068, 0.0, 0.0]
"""


ATTEMPTS = 3  # a host that gives these processes no time loses pictures; a wrong profile or queue always does


@dataclass
class Heard:
    received: int
    stamps: list[float]  # of the keypoints, as they came


def run_driver(folder: Path) -> Heard:
    """A driver and the perception node, remapped to its names, each a process; what became of its pictures."""
    calibration = folder / "cameras.yaml"
    calibration.write_text(CALIBRATION)
    arguments = ["--ros-args", "-p", "extrinsics.source:=file", "-p", f"extrinsics.file:={calibration}"]
    for ours, theirs in REMAPPINGS.items():
        arguments += ["-r", f"{ours}:={theirs}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    perception = subprocess.Popen([sys.executable, "-c", SELF_STARTING, *arguments], env=environment)
    command = [sys.executable, str(Path(__file__).with_name("driver.py")), str(PICTURES)]
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    listener = rclpy.create_node("listener")
    health: list[DiagnosticArray] = []
    stamps: list[float] = []
    listener.create_subscription(DiagnosticArray, topics.CAMERA_HEALTH.name, health.append, 100)
    listener.create_subscription(
        Keypoints, topics.KEYPOINTS.name, lambda message: stamps.append(stamp_seconds(message.header.stamp)), 1000
    )
    executor = SingleThreadedExecutor()
    executor.add_node(listener)
    try:
        deadline_s = time.monotonic() + 120.0
        while driver.poll() is None and time.monotonic() < deadline_s:
            executor.spin_once(timeout_sec=0.05)
        assert driver.communicate()[0].strip() == str(PICTURES)
        camera = {pair.key: pair.value for pair in health[-1].status[0].values}
        return Heard(int(camera["received"]), stamps)
    finally:
        driver.kill()
        perception.terminate()
        assert perception.wait(30.0) == 0
        executor.shutdown()
        listener.destroy_node()


def test_every_picture_of_a_foreign_driver_arrives_and_none_is_looked_at_twice(tmp_path: Path) -> None:
    for _ in range(ATTEMPTS):
        heard = run_driver(tmp_path)
        # Looking may skip pictures, but never goes back to one that a newer has overtaken.
        assert heard.stamps
        assert heard.stamps == sorted(set(heard.stamps))
        if heard.received == PICTURES:
            return
    raise AssertionError(f"only {heard.received} of {PICTURES} pictures arrived")
