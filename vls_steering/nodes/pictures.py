"""Pictures to ROS messages and back, without a copy per pixel."""

from __future__ import annotations

import array
import math

import cv2
import numpy as np
from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import CameraInfo, Image

from vls_steering.core.arrays import FloatArray
from vls_steering.core.errors import ShapeError
from vls_steering.core.frames import quat_from_matrix
from vls_steering.core.transforms import Transform
from vls_steering.core.types import CameraFrame
from vls_steering.nodes.conversions import header, matrix_message, matrix_of, stamp_seconds

# Colour and depth of one instant may be stamped this far apart: drivers that align them stamp both alike, or nearly.
APART_S = 0.005
# What drivers send: RealSense rgb8, ZED bgra8, usb_cam and most others one of these.
TO_RGB = {"bgr8": (3, cv2.COLOR_BGR2RGB), "rgba8": (4, cv2.COLOR_RGBA2RGB), "bgra8": (4, cv2.COLOR_BGRA2RGB)}


def image_message(pixels: np.ndarray, encoding: str, stamp_s: float, frame: str) -> Image:
    """(H, W, 3) uint8 as `rgb8`, or (H, W) float32 as `32FC1`."""
    contiguous = np.ascontiguousarray(pixels)
    # array.array is the one type that rclpy takes over without looking at every element: 0.1 ms instead of 265 ms.
    data = array.array("B")
    data.frombytes(contiguous.data.cast("B"))
    height, width = contiguous.shape[:2]
    message = Image(header=header(stamp_s, frame), height=height, width=width, encoding=encoding)
    message.step = contiguous.nbytes // height
    message.data = data
    return message


def color_of(message: Image) -> np.ndarray:
    """(H, W, 3) uint8 RGB; a read-only view of `rgb8`, a copy of the others."""
    if message.encoding == "rgb8":
        return _pixels(message, np.uint8, 3)
    if message.encoding not in TO_RGB:
        known = ", ".join(("rgb8", *TO_RGB))
        raise ShapeError(f"colour picture has the encoding {message.encoding!r}, expected one of {known}")
    channels, conversion = TO_RGB[message.encoding]
    return np.asarray(cv2.cvtColor(_pixels(message, np.uint8, channels), conversion))


def depth_of(message: Image) -> np.ndarray:
    """(H, W) float32 metres from `32FC1` (metres, a view) or `16UC1` (millimetres, converted)."""
    if message.encoding == "32FC1":
        return _pixels(message, np.float32, 1)
    if message.encoding == "16UC1":
        return _pixels(message, np.uint16, 1).astype(np.float32) * np.float32(1e-3)
    raise ShapeError(f"depth picture has the encoding {message.encoding!r}, expected 32FC1 or 16UC1")


def _pixels(message: Image, kind: type[np.generic], channels: int) -> np.ndarray:
    width_bytes = message.width * channels * np.dtype(kind).itemsize
    if message.is_bigendian:
        raise ShapeError("picture is big-endian")
    if message.step < width_bytes or len(message.data) != message.step * message.height:
        raise ShapeError(
            f"picture of {message.height} rows of {message.step} bytes holds {len(message.data)} bytes, "
            f"and a row needs {width_bytes}"
        )
    rows = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)[:, :width_bytes]
    shape = (message.height, message.width, channels) if channels > 1 else (message.height, message.width)
    return rows.view(kind).reshape(shape) if rows.flags.c_contiguous else rows.copy().view(kind).reshape(shape)


def optical_frame(camera: str) -> str:
    """tf name of a camera's optical frame."""
    return f"{camera}_color_optical_frame"


def camera_transform(parent: str, camera: str, parent_from_camera: FloatArray) -> Transform:
    """Where a camera's optical frame is mounted; `parent_from_camera` (4, 4)."""
    quat_xyzw = quat_from_matrix(parent_from_camera)
    return Transform(parent, optical_frame(camera), parent_from_camera[:3, 3], quat_xyzw)


def camera_messages(frame: CameraFrame) -> tuple[Image, Image, CameraInfo, PoseStamped]:
    """(colour, depth, info, pose of the optical frame in the base frame), all of the same stamp."""
    name = optical_frame(frame.camera)
    height, width = frame.depth.shape
    color = image_message(frame.color, "rgb8", frame.stamp_s, name)
    depth = image_message(frame.depth.astype(np.float32, copy=False), "32FC1", frame.stamp_s, name)
    k = frame.intrinsics
    info = CameraInfo(header=header(frame.stamp_s, name), height=height, width=width)
    info.distortion_model = "plumb_bob"
    info.d = [0.0] * 5
    info.k = k.ravel()
    info.r = np.eye(3).ravel()
    info.p = np.hstack([k, np.zeros((3, 1))]).ravel()
    return color, depth, info, matrix_message(frame.stamp_s, frame.base_from_camera)


def camera_frame_of(camera: str, color: Image, depth: Image, info: CameraInfo, pose: PoseStamped) -> CameraFrame:
    """Raises ShapeError when the messages make no frame, or the camera is not calibrated for their size."""
    stamp_s, depth_stamp_s = stamp_seconds(color.header.stamp), stamp_seconds(depth.header.stamp)
    if not math.isclose(stamp_s, depth_stamp_s, abs_tol=APART_S):
        raise ShapeError(f"colour is of {stamp_s:.3f} s, depth of {depth_stamp_s:.3f} s: pair them by stamp")
    frame = CameraFrame(stamp_s, camera, color_of(color), depth_of(depth), intrinsics_of(camera, info), matrix_of(pose))
    if info.height and (info.height, info.width) != (color.height, color.width):
        sizes = f"{info.width}x{info.height} pixels, the picture of {color.width}x{color.height}"
        raise ShapeError(f"camera_info of {camera!r} is of {sizes}")
    return frame


def intrinsics_of(camera: str, info: CameraInfo) -> FloatArray:
    """(3, 3) pinhole matrix; raises ShapeError when it is unset."""
    intrinsics = np.asarray(info.k, dtype=np.float64).reshape(3, 3)
    if intrinsics[0, 0] <= 0:
        raise ShapeError(f"camera_info of {camera!r} has no focal length: the camera is not calibrated")
    return intrinsics
