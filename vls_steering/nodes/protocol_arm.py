"""The simulated world behind libfranka's protocol, on this host: the executor drives it as it drives a physical arm.

The arm is reached through the protocol alone.  What goes over topics is what the camera node needs to draw the scene,
tf, and /clock for a node set that runs in the arm's own time, so that a slow machine slows the world down.  Nodes that
use the host's clock find its stamps in sim/state.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from pydantic import Field
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Float64MultiArray, String
from std_srvs.srv import SetBool

from vls_steering.core.arrays import FloatArray
from vls_steering.core.types import RobotState
from vls_steering.nodes import topics
from vls_steering.nodes.base import NodeDefinition, RoomNode
from vls_steering.nodes.conversions import time_message
from vls_steering.nodes.frames import ArmFrames
from vls_steering.nodes.run import run_node
from vls_steering.nodes.scheduling import Urgency, go_first
from vls_steering.nodes.sim_layout import SceneSettings, layout_text
from vls_steering.sim.protocol_arm import PERIOD_S, ROBOT_PORT, ProtocolArm
from vls_steering.sim.world import World

# What goes wrong around an arm can be made to go wrong here: services of std_srvs/SetBool.
PUSH_SERVICE = "protocol_arm/push"
REFUSE_SERVICE = "protocol_arm/refuse_hand"
STEPS_PER_TICK = 10  # of /clock
PUSH_NM = np.array([80.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])


class ProtocolArmSettings(SceneSettings):
    real_time_factor: float = Field(
        1.0, gt=0.0, le=1.0, description="pace of the arm's time, protocol included; below 1 nodes must use /clock"
    )
    state_hz: float = Field(20.0, ge=1.0, le=100.0, description="rate of sim/state, what the camera node draws")
    arm_frames: bool = Field(True, description="tell the arm's frames on /tf; false: a robot_state_publisher does")


class ProtocolArmBody:
    """The server lives while the node is active; each activation starts with the layout as drawn."""

    _newest: tuple[FloatArray, RobotState] | None  # the whole state, and what of it the arm measures

    def __init__(self, node: RoomNode, settings: ProtocolArmSettings) -> None:
        self._node, self._settings = node, settings
        self._layout = settings.draw()
        self._simulates_time = bool(node.get_parameter("use_sim_time").value)
        self._clock = node.publisher(topics.CLOCK)
        self._states = node.publisher(topics.SIM_STATE)
        self._layouts = node.publisher(topics.SIM_LAYOUT)
        self._frames = ArmFrames(node, settings.arm_frames)

    def start(self) -> None:
        self._steps, self._newest = 0, None
        if not self._simulates_time:
            # Where all run in its time it must not get ahead of them; where time is the wall's, it must keep up.
            go_first(Urgency.IS_THE_ARM)
        self._every = round(1 / (self._settings.state_hz * PERIOD_S))
        pace = self._settings.real_time_factor
        self._arm = ProtocolArm(self._layout, port=ROBOT_PORT, watch=self._watch, failed=self._node.fail, pace=pace)
        self._arm.start()
        self._layouts.publish(String(data=layout_text(self._layout)))
        self._node.every_monotonic(1.0 / self._settings.state_hz, self._tell)
        self._serve(PUSH_SERVICE, lambda on: self._arm.arm.push(PUSH_NM * on))
        self._serve(REFUSE_SERVICE, lambda on: setattr(self._arm.hand, "refuses", on))

    def _serve(self, name: str, switch: Callable[[bool], None]) -> None:
        def answer(request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
            switch(bool(request.data))
            response.success = True
            return response

        service = self._node.create_service(SetBool, name, answer)
        self._node.own(lambda: self._node.destroy_service(service))

    def stop(self) -> None:
        self._arm.stop()

    def tear_down(self) -> None:
        pass

    def _watch(self, world: World) -> None:
        """In the physics thread: only what is quick."""
        self._steps += 1
        if self._steps % STEPS_PER_TICK == 0:
            self._clock.publish(Clock(clock=time_message(world.stamp_s)))
        if self._steps % self._every == 0:
            self._newest = self._stamped(world.full_state()), world.robot_state()

    def _stamped(self, state: FloatArray) -> FloatArray:
        if not self._simulates_time:
            state[0] = self._node.now_s()  # mjSTATE_INTEGRATION begins with the time
        return state

    def _tell(self) -> None:
        newest, self._newest = self._newest, None
        if newest is not None:
            state, robot = newest
            self._frames.tell(float(state[0]), robot.joint_positions, robot.gripper_width_m)
            self._states.publish(Float64MultiArray(data=state))


NODE = NodeDefinition("protocol_arm", ProtocolArmSettings, ProtocolArmBody)


def main() -> int:
    return run_node(NODE)


if __name__ == "__main__":
    sys.exit(main())
