"""Cameras of the simulated world, rendered in this process so that no picture ever delays the physics."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from std_msgs.msg import Float64MultiArray, String

from vls_steering.core.transforms import Transform
from vls_steering.nodes import topics
from vls_steering.nodes.base import RoomNode
from vls_steering.nodes.camera_source import Deliver
from vls_steering.nodes.pictures import camera_transform
from vls_steering.nodes.sim_layout import layout_of
from vls_steering.sim.cameras import CameraRig, camera_mounts
from vls_steering.sim.scenes import draw_layout
from vls_steering.sim.world import World

STATE_HZ = 20.0


class SimCameras:
    """CameraSource that draws the states the sim bridge publishes, each camera at its own rate.

    The layout comes from the bridge as well: the two can never disagree about what stands on the table.
    """

    def __init__(self, node: RoomNode, rates_hz: Mapping[str, float], seed: int) -> None:
        self._node, self._seed = node, seed
        self._periods_s = {camera: 1.0 / rate for camera, rate in rates_hz.items() if rate > 0}
        # Which layout comes first does not matter: the states carry every position, `_set_layout` the rest.
        self._world = World(draw_layout("play", 0))
        self._rig = CameraRig(self._world, seed)
        self._knows_layout = False

    @property
    def mounts(self) -> tuple[Transform, ...]:
        known = camera_mounts(self._world.model)
        return tuple(camera_transform(known[camera][0], camera, known[camera][1]) for camera in self._periods_s)

    def start(self, deliver: Deliver) -> None:
        self._deliver = deliver
        self._due_s = dict.fromkeys(self._periods_s, 0.0)
        self._node.subscribe(topics.SIM_LAYOUT, self._set_layout)
        self._node.subscribe(topics.SIM_STATE, self._draw, STATE_HZ)

    def stop(self) -> None:
        """The node closes the subscriptions."""

    def close(self) -> None:
        self._rig.close()

    def _set_layout(self, message: String) -> None:
        layout = layout_of(message.data)
        self._world.reset(layout)
        self._rig.reset(layout, self._seed)
        self._knows_layout = True

    def _draw(self, message: Float64MultiArray) -> None:
        if not self._knows_layout:
            return
        state = np.asarray(message.data)
        stamp_s = float(state[0])  # mjSTATE_INTEGRATION begins with the time
        for camera, period_s in self._periods_s.items():
            early_s = self._due_s[camera] - stamp_s
            # A due time far ahead belongs to a clock that was set back.
            if 1e-6 < early_s <= period_s:
                continue
            self._due_s[camera] = stamp_s + period_s
            self._deliver(self._rig.render(state, camera))
