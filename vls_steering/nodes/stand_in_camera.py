"""A camera's stand-in for the fault bench and the tests: an empty table seen from above, until told otherwise.

`stand_in_camera/do` says how it is to misbehave; the names are those of `MISDEEDS`.  A process of its own, so that its
pictures come to the perception as a real camera's do.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import cycle
from typing import Any

import numpy as np
from pydantic import Field
from std_msgs.msg import String

from vls_steering.core.config import Settings
from vls_steering.core.types import CameraFrame
from vls_steering.nodes.base import NodeDefinition, RoomNode
from vls_steering.nodes.pictures import camera_messages
from vls_steering.nodes.run import run_node
from vls_steering.nodes.topics import LATCHED, Topic, camera_topics

DO = Topic("stand_in_camera/do", String, LATCHED)
HEIGHT_M, FOCAL = 0.9, 0.9  # above the table; focal length as a share of the width
VIEWS = 8  # pictures of different noise, shown in turn
# Looking straight down, its x axis along the base frame's y.
ABOVE = np.array([[0.0, -1.0, 0.0, 0.5], [-1.0, 0.0, 0.0, 0.0], [0.0, 0.0, -1.0, HEIGHT_M], [0.0, 0.0, 0.0, 1.0]])


class StandInCameraSettings(Settings):
    rate_hz: float = Field(10.0, gt=0.0, le=120.0, description="pictures a second")
    width: int = Field(320, ge=16, le=4000, description="pixels")
    height: int = Field(240, ge=16, le=4000, description="pixels")


class StandInCamera:
    """Publishes the front camera's four topics at its rate, changed by the misdeed in force."""

    def __init__(self, node: RoomNode, settings: StandInCameraSettings) -> None:
        self._node, self._settings = node, settings
        names = camera_topics("front")
        self._publishers = [node.publisher(topic) for topic in (names.color, names.depth, names.info, names.pose)]
        self._views = cycle([table_picture(settings.width, settings.height, seed) for seed in range(VIEWS)])
        self._view = next(self._views)

    def start(self) -> None:
        self._misdeed = ""
        self._node.subscribe(DO, self._told)
        self._node.every(1.0 / self._settings.rate_hz, self._show)

    def stop(self) -> None:
        """No picture is taken any more."""

    def tear_down(self) -> None:
        pass

    def _told(self, message: String) -> None:
        self._misdeed = message.data

    def _show(self) -> None:
        if self._misdeed == "stop":
            return
        if self._misdeed != "freeze":
            self._view = next(self._views)
        frame = replace(self._view, stamp_s=self._node.now_s())
        frame = MISDEEDS.get(self._misdeed, lambda good: good)(frame)
        messages = camera_messages(frame)
        if self._misdeed == "corrupt":
            messages[0].data = messages[0].data[: len(messages[0].data) // 3]
        for publisher, message in zip(self._publishers, messages, strict=True):
            publisher.publish(message)


def table_picture(width: int, height: int, seed: int) -> CameraFrame:
    """Stamped 0, with the noise that makes every real picture different."""
    rng = np.random.default_rng(seed)
    color = np.clip(130.0 + 4.0 * rng.standard_normal((height, width, 3)), 0, 255).astype(np.uint8)
    depth = (HEIGHT_M + 0.001 * rng.standard_normal((height, width))).astype(np.float32)
    focal = FOCAL * width
    intrinsics = np.array([[focal, 0.0, 0.5 * (width - 1)], [0.0, focal, 0.5 * (height - 1)], [0.0, 0.0, 1.0]])
    return CameraFrame(0.0, "front", color, depth, intrinsics, ABOVE)


def _halved(frame: CameraFrame) -> CameraFrame:
    return replace(frame, color=frame.color[::2, ::2].copy(), depth=frame.depth[::2, ::2].copy())


# What a picture becomes.  "stop", "freeze" and "corrupt" are no picture, an old one, and one that breaks on its way.
MISDEEDS: Mapping[str, Callable[[CameraFrame], Any]] = {
    "resize": _halved,
    "black": lambda frame: replace(frame, color=np.zeros_like(frame.color)),
    "blind": lambda frame: replace(frame, depth=np.zeros_like(frame.depth)),
    "late": lambda frame: replace(frame, stamp_s=frame.stamp_s - 1.0),
}

NODE = NodeDefinition("stand_in_camera", StandInCameraSettings, StandInCamera)


def main() -> int:
    return run_node(NODE)


if __name__ == "__main__":
    sys.exit(main())
