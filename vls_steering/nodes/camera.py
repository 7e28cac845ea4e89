"""The camera node: aligned colour and depth with calibration and acquisition stamps, whatever delivers them."""

from __future__ import annotations

import sys
import time
from typing import Literal

from pydantic import Field

from vls_steering.core.config import Settings
from vls_steering.core.types import CameraFrame
from vls_steering.nodes.base import NodeDefinition, RoomNode
from vls_steering.nodes.camera_source import CameraSource
from vls_steering.nodes.pictures import camera_messages
from vls_steering.nodes.run import run_node
from vls_steering.nodes.sim_cameras import SimCameras
from vls_steering.nodes.topics import camera_topics


class CameraNodeSettings(Settings):
    source: Literal["sim"] = Field("sim", description="what delivers the pictures")
    front_hz: float = Field(10.0, ge=0.0, le=60.0, description="rate of the front camera; 0 = off")
    wrist_hz: float = Field(0.0, ge=0.0, le=60.0, description="rate of the wrist camera; 0 = off")
    seed: int = Field(0, ge=0, description="seed of the simulated cameras' noise")


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
        self._monitors[frame.camera].seen(time.monotonic(), self._node.now_s() - frame.stamp_s)


def _rates(settings: CameraNodeSettings) -> dict[str, float]:
    return {"wrist": settings.wrist_hz, "front": settings.front_hz}


def _open_source(node: RoomNode, settings: CameraNodeSettings) -> CameraSource:
    """A further source is one file that fulfils CameraSource, and one line here."""
    sources = {"sim": lambda: SimCameras(node, _rates(settings), settings.seed)}
    return sources[settings.source]()


NODE = NodeDefinition("camera", CameraNodeSettings, CameraBody, niceness=5)


def main() -> int:
    return run_node(NODE)


if __name__ == "__main__":
    sys.exit(main())
