"""The camera node: aligned colour and depth with calibration and acquisition stamps, whatever delivers them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from pydantic import Field

from vls_steering.core.arrays import FloatArray
from vls_steering.core.config import Settings
from vls_steering.core.errors import ConfigurationError
from vls_steering.core.types import CameraFrame
from vls_steering.nodes.bag_camera import BagCamera, BagSettings
from vls_steering.nodes.base import NodeDefinition, RoomNode
from vls_steering.nodes.camera_source import CameraSource
from vls_steering.nodes.device_camera import DeviceCamera
from vls_steering.nodes.frames import FixedFrames
from vls_steering.nodes.pictures import camera_messages, camera_transform
from vls_steering.nodes.run import run_node
from vls_steering.nodes.sim_cameras import SimCameras
from vls_steering.nodes.topics import camera_topics
from vls_steering.perception import Mount, load_mounts
from vls_steering.perception.sources import (
    Calibration,
    FrameSource,
    RealSenseSettings,
    RealSenseSource,
    UvcSettings,
    UvcSource,
    load_calibration,
)

BAG_HZ = 10.0  # at least, for /diagnostics: what a bag holds is known only when it is open


class CameraNodeSettings(Settings):
    """`camera` and `extrinsics_file` belong to devices and bags; the simulator knows its cameras."""

    source: Literal["sim", "uvc", "realsense", "bag"] = Field("sim", description="what delivers the pictures")
    front_hz: float = Field(10.0, ge=0.0, le=60.0, description="sim: rate of the front camera; 0 = off")
    wrist_hz: float = Field(0.0, ge=0.0, le=60.0, description="sim: rate of the wrist camera; 0 = off")
    seed: int = Field(0, ge=0, description="sim: seed of the cameras' noise")
    camera: str = Field("front", min_length=1, description="what the perception calls a device's or bag's camera")
    extrinsics_file: str = Field("", description="hand-eye results, YAML; where a device's or bag's camera stands")
    uvc: UvcSettings = UvcSettings()
    realsense: RealSenseSettings = RealSenseSettings()
    bag: BagSettings = BagSettings()


class CameraBody:
    """Publishes what its source delivers: for every frame four messages of the same stamp."""

    def __init__(self, node: RoomNode, settings: CameraNodeSettings) -> None:
        self._node = node
        # The wrist comes first: its picture is there when the front's starts the perception.
        self._rates_hz = {name: rate for name, rate in _rates(settings).items() if rate > 0}
        self._publishers = {}
        for name in self._rates_hz:
            topics = camera_topics(name)
            self._publishers[name] = [node.publisher(t) for t in (topics.color, topics.depth, topics.info, topics.pose)]
        self._source = _open_source(node, settings)
        FixedFrames(node, self._source.mounts)

    def start(self) -> None:
        self._monitors = {name: self._node.monitor(f"{name} camera", rate) for name, rate in self._rates_hz.items()}
        self._source.start(self._deliver)

    def stop(self) -> None:
        self._source.stop()

    def tear_down(self) -> None:
        self._source.close()

    def _deliver(self, frame: CameraFrame) -> None:
        for publisher, message in zip(self._publishers[frame.camera], camera_messages(frame), strict=True):
            publisher.publish(message)
        now_s = self._node.now_s()
        self._monitors[frame.camera].seen(now_s, now_s - frame.stamp_s)


def _rates(settings: CameraNodeSettings) -> dict[str, float]:
    """Camera -> rate that is expected of it; 0 = off, and for a bag unknown but on."""
    devices = {"uvc": settings.uvc.rate_hz, "realsense": float(settings.realsense.rate_hz), "bag": BAG_HZ}
    if settings.source in devices:
        return {settings.camera: devices[settings.source]}
    return {"wrist": settings.wrist_hz, "front": settings.front_hz}


def _open_source(node: RoomNode, settings: CameraNodeSettings) -> CameraSource:
    """A further source is one file that fulfils CameraSource or FrameSource, and one line here."""
    name = settings.camera
    devices: dict[str, Callable[[FloatArray], FrameSource]] = {
        "uvc": lambda pose: UvcSource(name, settings.uvc, _calibration(settings.uvc), pose, node.now_s),
        "realsense": lambda pose: RealSenseSource(name, settings.realsense, pose, node.now_s),
        "bag": lambda pose: BagCamera(name, settings.bag, pose, node.now_s),
    }
    if settings.source in devices:
        mount = _mount(settings)
        # Where one on the hand is depends on the arm: the perception works that out, from the same file or from tf.
        pose = np.eye(4) if mount.is_on_hand else mount.parent_from_camera
        where = camera_transform(mount.parent, name, mount.parent_from_camera)
        return DeviceCamera(node, lambda: devices[settings.source](pose), where)
    return SimCameras(node, _rates(settings), settings.seed)


def _mount(settings: CameraNodeSettings) -> Mount:
    """Raises ConfigurationError when nobody has told it."""
    if not settings.extrinsics_file:
        raise ConfigurationError(f"source {settings.source} needs extrinsics_file", "Give the hand-eye calibration")
    mount = load_mounts(Path(settings.extrinsics_file).expanduser()).get(settings.camera)
    if mount is None:
        raise ConfigurationError(f"{settings.extrinsics_file} has no camera {settings.camera!r}", "Calibrate it")
    return mount


def _calibration(settings: UvcSettings) -> Calibration:
    if not settings.camera_info_url:
        raise ConfigurationError(
            "uvc.camera_info_url is empty", "Calibrate the camera (camera_calibration), name the file"
        )
    return load_calibration(settings.camera_info_url, _package_share)


def _package_share(package: str) -> Path:
    try:
        return Path(get_package_share_directory(package))
    except PackageNotFoundError as error:
        raise ConfigurationError(f"camera_info_url: there is no ROS package {package!r}") from error


NODE = NodeDefinition("camera", CameraNodeSettings, CameraBody, niceness=5)


def main() -> int:
    return run_node(NODE)


if __name__ == "__main__":
    sys.exit(main())
