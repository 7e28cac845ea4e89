"""Cameras that are devices of this host, behind one seam; what delivers them to ROS is the camera node."""

from vls_steering.perception.sources.base import FrameSource
from vls_steering.perception.sources.calibration import Calibration, load_calibration
from vls_steering.perception.sources.realsense import RealSenseSettings, RealSenseSource
from vls_steering.perception.sources.uvc import UvcSettings, UvcSource

__all__ = [
    "Calibration",
    "FrameSource",
    "RealSenseSettings",
    "RealSenseSource",
    "UvcSettings",
    "UvcSource",
    "load_calibration",
]
