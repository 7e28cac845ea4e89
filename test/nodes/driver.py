"""A camera driver as others write them, with its own topic names, best effort, 30 Hz, 640x480; knows nothing of us.

Prints the number of pictures it has published and ends.
"""

from __future__ import annotations

import array
import sys
import time

import numpy as np
import rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo, Image, JointState

WIDTH, HEIGHT, HZ = 640, 480, 30.0
FRAME = "zed_left_camera_optical_frame"
VIEWS = 4


def image(pixels: np.ndarray, encoding: str) -> Image:
    data = array.array("B")
    data.frombytes(np.ascontiguousarray(pixels).data.cast("B"))
    return Image(height=HEIGHT, width=WIDTH, encoding=encoding, step=pixels.nbytes // HEIGHT, data=data)


def views() -> list[tuple[Image, Image]]:
    """A table 0.9 m below, with sensor noise: bgra8 as a ZED sends it, and millimetres."""
    rng = np.random.default_rng(0)
    colors = [rng.integers(120, 140, (HEIGHT, WIDTH, 4), dtype=np.uint8) for _ in range(VIEWS)]
    depths = [rng.integers(895, 905, (HEIGHT, WIDTH), dtype=np.uint16) for _ in range(VIEWS)]
    return [(image(c, "bgra8"), image(d, "16UC1")) for c, d in zip(colors, depths, strict=True)]


def main(count: int) -> None:
    rclpy.init()
    node = rclpy.create_node("foreign_driver")
    quality = qos_profile_sensor_data
    color = node.create_publisher(Image, "zed/left/image_rect_color", quality)
    depth = node.create_publisher(Image, "zed/depth/depth_registered", quality)
    info = node.create_publisher(CameraInfo, "zed/left/camera_info", quality)
    joints = node.create_publisher(JointState, "joint_states", quality)
    arm = JointState(
        name=[f"fr3_joint{i}" for i in range(1, 8)] + ["fr3_finger_joint1", "fr3_finger_joint2"],
        position=[0.0, -0.6, 0.0, -2.35, 0.0, 1.75, 0.785, 0.04, 0.04],
        velocity=[0.0] * 9,
    )
    calibration = CameraInfo(height=HEIGHT, width=WIDTH, distortion_model="plumb_bob", d=[0.0] * 5)
    calibration.k = [500.0, 0.0, 319.5, 0.0, 500.0, 239.5, 0.0, 0.0, 1.0]
    pictures = views()
    while not all(publisher.get_subscription_count() for publisher in (color, depth, info)):
        time.sleep(0.05)
    time.sleep(0.5)  # both sides know of each other
    due_s = time.monotonic()
    for number in range(count):
        stamp = node.get_clock().now().to_msg()
        arm.header.stamp = stamp
        joints.publish(arm)
        for publisher, message in ((info, calibration), *zip((color, depth), pictures[number % VIEWS], strict=True)):
            message.header.stamp, message.header.frame_id = stamp, FRAME
            publisher.publish(message)
        due_s = max(due_s + 1.0 / HZ, time.monotonic())  # a camera that is late does not hurry afterwards
        time.sleep(due_s - time.monotonic() if due_s > time.monotonic() else 0.0)
    print(count, flush=True)
    time.sleep(1.0)  # what was sent last is still on its way
    node.destroy_node()
    rclpy.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
