"""The simulated world as a robot: set-points in, joint states, tf, grasp and /clock out.

Lock-step: after period k the world waits for the executor's set-point of period k, and while cameras are watched for
a picture that is not too old: on a loaded machine the world runs away neither from the loop that controls it nor from
the eyes that watch it.  Each wait is bounded in wall time, and who missed it once is not waited for again until it
speaks; then the world runs freely, as a real one would.
"""

from __future__ import annotations

import sys
import threading
import time

from diagnostic_msgs.msg import DiagnosticArray
from pydantic import Field
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Bool, Float64MultiArray, String

from vls_steering.msg import SetPoint as SetPointMessage
from vls_steering.nodes import topics
from vls_steering.nodes.base import NodeDefinition, RoomNode
from vls_steering.nodes.camera_health import cameras_heard
from vls_steering.nodes.conversions import joint_state_message, set_point_of, stamp_seconds, time_message
from vls_steering.nodes.frames import ArmFrames
from vls_steering.nodes.run import run_node
from vls_steering.nodes.sim_layout import SceneSettings, layout_text
from vls_steering.sim.scenes import draw_layout
from vls_steering.sim.world import World

PERIOD_S = 0.01
# Less than what the perception calls a silent camera (0.16 s) and the executor's patience (0.2 s): a busy host alone
# must not stop the arm.  Drawing a picture takes longer than a set-point, so it is waited for longer.
PICTURE_AGE_S, PICTURE_WAIT_S = 0.14, 2.0
SILENCE_S = 0.5  # for /diagnostics


class SimBridgeSettings(SceneSettings):
    real_time_factor: float = Field(1.0, gt=0.0, le=100.0, description="fastest pace of the world, 1 = real time")
    lockstep_timeout_s: float = Field(
        0.5, ge=0.0, le=5.0, description="longest wall time to wait for a period's set-point or picture; 0 = never wait"
    )
    state_hz: float = Field(20.0, ge=1.0, le=100.0, description="rate of sim/state, what the camera node draws")
    arm_frames: bool = Field(True, description="tell the arm's frames on /tf; false: a robot_state_publisher does")


class SimBridgeBody:
    """Owns the world; steps it on a thread of its own while active."""

    def __init__(self, node: RoomNode, settings: SimBridgeSettings) -> None:
        self._node, self._settings = node, settings
        self._world = World(draw_layout(settings.scene, settings.seed, settings.target))
        self._layout = settings.draw(self._world)
        self._lock = threading.Lock()  # the world belongs to one thread at a time
        self._joint_states = node.publisher(topics.JOINT_STATES)
        self._grasped = node.publisher(topics.GRIPPER_GRASPED)
        self._clock = node.publisher(topics.CLOCK)
        self._states = node.publisher(topics.SIM_STATE)
        self._layouts = node.publisher(topics.SIM_LAYOUT)
        self._frames = ArmFrames(node, settings.arm_frames)
        self._set_world()
        self._layouts.publish(String(data=layout_text(self._layout)))

    def start(self) -> None:
        self._arrived = threading.Condition()
        self._set_point: SetPointMessage | None = None
        self._in_lockstep = self._pictures_in_step = self._ending = False
        self._picture_s = 0.0
        self._holds: bool | None = None
        # Silent until the executor is armed, and where no perception runs.
        self._node.subscribe(topics.SET_POINT, self._receive, silence_s=SILENCE_S)
        self._node.subscribe(topics.CAMERA_HEALTH, self._receive_health, silence_s=SILENCE_S)
        self._node.serve_trigger(topics.SIM_RESET_SERVICE, self._reset)
        self._thread = threading.Thread(target=self._run, name="physics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        with self._arrived:
            self._ending = True
            self._arrived.notify_all()
        self._thread.join()

    def tear_down(self) -> None:
        pass

    # The physics thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._pace()
        except Exception as error:  # noqa: BLE001 - the border of the thread: the node must learn of it
            self._node.fail(error)

    def _pace(self) -> None:
        wall_period_s = PERIOD_S / self._settings.real_time_factor
        every = max(1, round(1 / (self._settings.state_hz * PERIOD_S)))
        due_s, period = time.monotonic(), 0
        while not self._ending:
            time.sleep(max(0.0, due_s - time.monotonic()))
            # At most one period is caught up with: sleeping is inexact, but the world never races.
            due_s = max(due_s, time.monotonic() - wall_period_s) + wall_period_s
            with self._lock:
                stamp_s = self._advance(with_state=period % every == 0)
            self._await_set_point(stamp_s)
            self._await_picture(stamp_s)
            period += 1

    def _advance(self, with_state: bool) -> float:
        message = self._set_point
        if message is not None:
            self._world.apply(set_point_of(message))
        self._world.step(PERIOD_S)
        robot = self._world.robot_state()
        self._joint_states.publish(joint_state_message(robot))
        self._frames.tell(robot.stamp_s, robot.joint_positions, robot.gripper_width_m)
        if robot.gripper_holds != self._holds:
            self._holds = robot.gripper_holds
            self._grasped.publish(Bool(data=self._holds))
        if with_state:
            self._states.publish(Float64MultiArray(data=self._world.full_state()))
        # The clock comes last: who wakes up by it finds the measurements of that instant.
        self._clock.publish(Clock(clock=time_message(robot.stamp_s)))
        return robot.stamp_s

    def _await_set_point(self, stamp_s: float) -> None:
        timeout_s = self._settings.lockstep_timeout_s
        if not self._in_lockstep or timeout_s == 0:
            return
        with self._arrived:
            in_time = self._arrived.wait_for(lambda: self._ending or self._is_answered(stamp_s), timeout_s)
        self._in_lockstep = bool(in_time)

    def _await_picture(self, stamp_s: float) -> None:
        if not self._pictures_in_step or self._settings.lockstep_timeout_s == 0:
            return
        with self._arrived:
            in_time = self._arrived.wait_for(
                lambda: self._ending or not self._pictures_in_step or stamp_s - self._picture_s < PICTURE_AGE_S,
                PICTURE_WAIT_S,
            )
            self._pictures_in_step &= bool(in_time)

    def _is_answered(self, stamp_s: float) -> bool:
        message = self._set_point
        return message is not None and stamp_seconds(message.header.stamp) > stamp_s - 0.5 * PERIOD_S

    # The node's thread -----------------------------------------------------------------------------------------------

    def _receive(self, message: SetPointMessage) -> None:
        with self._arrived:
            self._set_point = message
            self._in_lockstep = True
            self._arrived.notify_all()

    def _receive_health(self, message: DiagnosticArray) -> None:
        """A camera with a fault is not waited for: the arm must feel it."""
        heard = cameras_heard(message)
        with self._arrived:
            self._picture_s, self._pictures_in_step = heard.healthy_s, heard.healthy_s > 0 and not heard.complaint
            self._arrived.notify_all()

    def _reset(self) -> str:
        """Put everything back; time goes on, so that no clock in the graph goes back."""
        with self._lock:
            stamp_s = self._world.stamp_s
            self._set_world()
            self._world.data.time = stamp_s
            self._set_point = None
        return f"{self._settings.scene} layout of seed {self._settings.seed} is drawn again; arm the executor"

    def _set_world(self) -> None:
        """As drawn: the world's own layout is what an exchange has made of it."""
        self._world.reset(self._layout)
        self._world.begin_with_motion()


NODE = NodeDefinition("sim_bridge", SimBridgeSettings, SimBridgeBody, niceness=5)


def main() -> int:
    return run_node(NODE)


if __name__ == "__main__":
    sys.exit(main())
