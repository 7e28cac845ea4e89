"""The FR3 through franka_ros2: a joint trajectory controller, the hand's actions, and ros2_control's recovery.

Set-points stream to the controller's topic, each as a trajectory that begins a moment ahead with the set-point and ends
at rest, along the stop that was verified with it: a controller that hears no more, because this process died or stands
still, comes to rest by itself.  The controller must interpolate from its desired state (docs/franka.md).  Command is
taken by a goal to its action that asks it to stay where it is: unlike the topic, an action tells why it is refused.
The stream then preempts that goal.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from lifecycle_msgs.msg import State
from pydantic import Field
from rclpy.action import ActionClient
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState

from vls_steering.core.config import Settings
from vls_steering.core.errors import ShapeError, VlsError
from vls_steering.core.types import ARM_JOINTS, GRIPPER_OPEN_M, RobotState, SetPoint
from vls_steering.nodes.base import RoomNode
from vls_steering.nodes.conversions import robot_state_of
from vls_steering.nodes.franka_interfaces import franka_interfaces
from vls_steering.nodes.topics import SENSOR, Topic
from vls_steering.robots.backend import Objection, RecoveryStep, StopAhead
from vls_steering.robots.hand import CLOSED_M, HandSettings
from vls_steering.robots.kinematics import ArmKinematics
from vls_steering.safety.motion import MotionState
from vls_steering.safety.reasons import ReasonCode

ROBOT_MODES = ("other", "idle", "move", "guiding", "reflex", "user stopped", "error recovery")  # franka_msgs numbers
OBEYING_MODES = {1, 2}
SILENCE_S = 1.0  # for /diagnostics: hand and robot state come at 30 Hz or faster
# The broadcaster of the whole state is reliable; everything else that franka_ros2 broadcasts is best effort.
RELIABLE = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.RELIABLE)
BROADCASTER_CURE = "Start the franka_robot_state_broadcaster, then recover_and_arm"
STOP_STEP_S = 0.01  # between two points of a stop: at this distance the splines between them keep the limits
GOAL_STATUS_SUCCEEDED, GOAL_STATUS_CANCELED, GOAL_STATUS_ABORTED = 4, 5, 6


class Ros2ControlSettings(Settings):
    """Names as franka_ros2's bring-up gives them, and the stream's timing."""

    controller: str = Field("fr3_arm_controller", description="joint trajectory controller on the effort interface")
    joint_states: str = Field("franka/joint_states", description="1 kHz joint states; joint_states itself has 30 Hz")
    robot_state: str = Field("franka_robot_state_broadcaster/robot_state", description="mode and errors of the arm")
    gripper: str = Field("franka_gripper", description="namespace of the hand: franka_gripper, MoveIt's: fr3_gripper")
    error_recovery: str = Field("action_server/error_recovery", description="action that clears the arm's errors")
    controller_manager: str = Field("controller_manager", description="namespace of ros2_control's services")
    hardware: str = Field("FrankaHardwareInterface", description="hardware component to activate in a recovery")
    point_ahead_s: float = Field(
        0.02, ge=0.005, le=0.2, description="how far ahead of its sending each trajectory point is due"
    )
    robot_state_timeout_s: float = Field(
        0.5, ge=0.02, le=5.0, description="longest silence of robot_state; without it no user stop or reflex is seen"
    )
    answer_timeout_s: float = Field(5.0, ge=0.5, le=60.0, description="longest wait for a service or an action")
    hand: HandSettings = HandSettings()


class Ros2ControlRobot:
    """RobotBackend over franka_ros2.  Answers arrive on the node's thread; recovery waits on a thread of its own."""

    def __init__(self, node: RoomNode, settings: Ros2ControlSettings) -> None:
        self._node, self._settings = node, settings
        self._types = types = franka_interfaces()
        self._kinematics = ArmKinematics()
        self._trajectories = node.publisher(Topic(self.command_topics[0], types.JointTrajectory, QoSProfile(depth=1)))
        self._stay = self._action(types.FollowJointTrajectory, f"{settings.controller}/follow_joint_trajectory")
        self._grasp = self._action(types.Grasp, f"{settings.gripper}/grasp")
        self._move = self._action(types.Move, f"{settings.gripper}/move")
        self._clear = self._action(types.ErrorRecovery, settings.error_recovery)
        manager = settings.controller_manager
        self._switch = self._client(types.SwitchController, f"{manager}/switch_controller")
        self._activate = self._client(types.SetHardwareComponentState, f"{manager}/set_hardware_component_state")

    @property
    def command_topics(self) -> Sequence[str]:
        return (f"{self._settings.controller}/joint_trajectory",)

    def start(self) -> None:
        self._joints: JointState | None = None
        self._width_m, self._holds = GRIPPER_OPEN_M, False
        self._state: RobotState | None = None
        self._stamp: Any = None
        self._mode, self._errors = 0, ""
        self._told_s = -math.inf  # monotonic, of the last robot_state
        self._engaged = False
        self._own_goal: Any = None
        self._wish_m: float | None = None
        self._hand_stopped = False
        self._hand_goals: list[Any] = []  # handles of those that have not ended
        self._objection: Objection | None = None
        s, node = self._settings, self._node
        node.subscribe(Topic(s.joint_states, JointState, SENSOR), self._measured, 1000.0)
        node.subscribe(Topic(f"{s.gripper}/joint_states", JointState, SENSOR), self._hand_measured, silence_s=SILENCE_S)
        node.subscribe(
            Topic(s.robot_state, self._types.FrankaRobotState, RELIABLE), self._robot_told, silence_s=SILENCE_S
        )

    def state(self) -> RobotState | None:
        joints = self._joints
        if joints is not None and (self._state is None or joints.header.stamp != self._stamp):
            try:
                state = robot_state_of(joints, self._kinematics.tcp_pose, self._holds)
                self._state = replace(state, gripper_width_m=self._width_m)
            except ShapeError as error:
                # The last good one grows old, and the executor stops for that.
                self._node.complaints["joint states"] = str(error)
                return self._state
            self._node.complaints["joint states"] = ""
            self._stamp = joints.header.stamp
        return self._state

    def engage(self) -> None:
        """Ask the controller to stay; a refusal or an end that we did not ask for becomes the objection."""
        if self._hand_stopped:
            self._hand_stopped, self._wish_m = False, None
        if self._engaged:
            return
        if self._objection is not None:
            raise VlsError(f"the arm objects: {self._objection.text}", "Recover it first: recover_and_arm")
        self._require_obedience()
        if not self._stay.server_is_ready():
            raise VlsError(f"{self._settings.controller} does not listen", "Start and activate it, then arm")
        state = self.state()
        if state is None:
            raise VlsError("no joint state was received", "Check the robot connection, then arm")
        goal = self._types.FollowJointTrajectory.Goal()
        here = MotionState(state.joint_positions, np.zeros(len(ARM_JOINTS)), np.zeros(len(ARM_JOINTS)))
        goal.trajectory = self._trajectory([here])
        self._engaged, self._wish_m = True, None
        self._stay.send_goal_async(goal).add_done_callback(self._stay_answered)

    def send(self, set_point: SetPoint, stop_ahead: StopAhead) -> bool:
        if not self._engaged:
            return False
        self._trajectories.publish(self._trajectory(stop_ahead(STOP_STEP_S)))
        self._wish_hand(set_point.gripper_width_m)
        return True

    def stop_hand(self) -> None:
        """A goal that is still on its way to the hand is cancelled as soon as it is accepted."""
        self._hand_stopped = True
        for handle in tuple(self._hand_goals):
            handle.cancel_goal_async()

    def objection(self) -> Objection | None:
        if self._engaged and (silence := self._silence()):
            self._object(ReasonCode.ROBOT_FAULT, silence)
        elif self._engaged and self._mode not in OBEYING_MODES:
            self._object_and_let_go(f"{self._mode_name}{': ' if self._errors else ''}{self._errors}")
        return self._objection

    def recovery(self) -> Sequence[RecoveryStep]:
        """The order that franka_ros2 needs: the controller lets go before the arm's errors are cleared."""
        return (
            RecoveryStep("check the operating mode", self._check_mode),
            RecoveryStep("deactivate the controller", lambda: self._switch_controller(active=False)),
            RecoveryStep("clear the arm's errors", self._clear_errors),
            RecoveryStep("activate the hardware", self._activate_hardware),
            RecoveryStep("activate the controller", lambda: self._switch_controller(active=True)),
            RecoveryStep("wait until the arm obeys", self._await_obedience),
        )

    def stop(self) -> None:
        self._engaged = False

    # Streaming -------------------------------------------------------------------------------------------------------

    def _trajectory(self, states: Sequence[MotionState]) -> Any:
        """STOP_STEP_S apart and ending at rest; a stamp of zero means: from the moment it arrives."""
        points = []
        for number, state in enumerate(states):
            point = self._types.JointTrajectoryPoint(
                positions=state.positions.tolist(),
                velocities=state.velocities.tolist(),
                # With them the controller's splines are quintic, and the acceleration has no steps.
                accelerations=state.accelerations.tolist(),
            )
            due_ns = round((self._settings.point_ahead_s + number * STOP_STEP_S) * 1e9)
            point.time_from_start.sec, point.time_from_start.nanosec = divmod(due_ns, 1_000_000_000)
            points.append(point)
        return self._types.JointTrajectory(joint_names=list(ARM_JOINTS), points=points)

    def _stay_answered(self, future: Any) -> None:
        handle = future.result()
        if handle is None or not handle.accepted:
            self._object_and_let_go(f"{self._settings.controller} refused to take command")
            return
        handle.get_result_async().add_done_callback(self._stay_ended)

    def _stay_ended(self, future: Any) -> None:
        """Succeeded, or replaced by our own stream, is as it should be."""
        answer = future.result()
        if answer is not None and answer.status == GOAL_STATUS_ABORTED:
            result = answer.result
            text = result.error_string or f"error code {result.error_code}"
            self._object_and_let_go(f"{self._settings.controller} gave up: {text}")

    def _object(self, reason: ReasonCode, text: str) -> None:
        """The arm itself still obeys: it needs every set-point of the stop that follows."""
        self._objection = self._objection or Objection(reason, text)

    def _object_and_let_go(self, text: str) -> None:
        """The arm does not obey any more.  That outweighs what was objected while it did."""
        if self._engaged or self._objection is None:
            self._objection = Objection(ReasonCode.ROBOT_FAULT, text)
        self._engaged = False

    # The hand --------------------------------------------------------------------------------------------------------

    def _wish_hand(self, width_m: float) -> None:
        if width_m == self._wish_m or self._hand_stopped:
            return
        first, self._wish_m = self._wish_m is None, width_m
        hand, closes = self._settings.hand, width_m < GRIPPER_OPEN_M / 2
        if first and (abs(width_m - self._width_m) < CLOSED_M or (closes and self._holds)):
            return  # arming moves no finger
        if closes:
            middle = GRIPPER_OPEN_M / 2
            goal = self._types.Grasp.Goal(width=middle, speed=hand.speed_m_s, force=hand.force_n)
            goal.epsilon.inner, goal.epsilon.outer = middle - CLOSED_M, middle
        else:
            goal = self._types.Move.Goal(width=min(width_m, GRIPPER_OPEN_M), speed=hand.speed_m_s)
            self._holds = False
        client = self._grasp if closes else self._move
        if not client.server_is_ready():
            self._object(ReasonCode.GRIPPER_FAILED, f"{self._settings.gripper} does not listen")
            return
        client.send_goal_async(goal).add_done_callback(lambda future: self._hand_answered(future, closes))

    def _hand_answered(self, future: Any, closes: bool) -> None:
        handle, what = future.result(), "grasp" if closes else "open"
        if handle is None or not handle.accepted:
            self._object(ReasonCode.GRIPPER_FAILED, f"the hand refused to {what}")
            return
        self._hand_goals.append(handle)
        handle.get_result_async().add_done_callback(lambda ended: self._hand_ended(ended, handle, closes))
        if self._hand_stopped:
            handle.cancel_goal_async()

    def _hand_ended(self, future: Any, handle: Any, closes: bool) -> None:
        """A grasp that found nothing is no failure of the hand; one that was preempted is answered by the next."""
        self._hand_goals.remove(handle)
        answer = future.result()
        if answer is None or answer.status == GOAL_STATUS_CANCELED:
            return
        if closes:
            self._holds = bool(answer.result.success)
        elif not answer.result.success and not self._hand_stopped:
            self._object(ReasonCode.GRIPPER_FAILED, f"the hand did not open: {answer.result.error}")

    # Recovery, on a thread of its own --------------------------------------------------------------------------------

    def _check_mode(self) -> None:
        if silence := self._silence():
            raise VlsError(silence, BROADCASTER_CURE)
        if self._mode_name in ("user stopped", "guiding"):
            raise VlsError(f"the arm is in the mode {self._mode_name!r}", "Release the user stop")

    def _switch_controller(self, active: bool) -> None:
        request = self._types.SwitchController.Request(strictness=self._types.SwitchController.Request.STRICT)
        names = request.activate_controllers if active else request.deactivate_controllers
        names.append(self._settings.controller)
        answer = self._wait(self._switch, lambda: self._switch.call_async(request))
        if not answer.ok:
            raise VlsError(f"the controller manager refused {getattr(answer, 'message', '')}".rstrip(), "See its log")

    def _clear_errors(self) -> None:
        goal = self._types.ErrorRecovery.Goal()
        handle = self._wait(self._clear, lambda: self._clear.send_goal_async(goal))
        if not handle.accepted:
            raise VlsError("the error recovery was refused", "Look at Desk")
        if self._wait(self._clear, handle.get_result_async).status != GOAL_STATUS_SUCCEEDED:
            raise VlsError("the arm did not recover", "Look at Desk")

    def _activate_hardware(self) -> None:
        request = self._types.SetHardwareComponentState.Request(name=self._settings.hardware)
        request.target_state = State(id=State.PRIMARY_STATE_ACTIVE, label="active")
        if not self._wait(self._activate, lambda: self._activate.call_async(request)).ok:
            raise VlsError(f"{self._settings.hardware} did not become active", "See the controller manager's log")

    def _await_obedience(self) -> None:
        """Then what was objected is forgotten."""
        give_up_s = time.monotonic() + self._settings.answer_timeout_s
        while self._silence() or self._mode not in OBEYING_MODES:
            if time.monotonic() > give_up_s:
                self._require_obedience()
            time.sleep(0.01)
        self._objection, self._engaged = None, False

    def _require_obedience(self) -> None:
        """Raises VlsError unless the arm was heard to do what its controller tells it."""
        if silence := self._silence():
            raise VlsError(silence, BROADCASTER_CURE)
        if self._mode not in OBEYING_MODES:
            cure = "Release the user stop, look at Desk, then recover_and_arm"
            raise VlsError(f"the arm is in the mode {self._mode_name!r}", cure)

    @property
    def _mode_name(self) -> str:
        return ROBOT_MODES[self._mode] if self._mode < len(ROBOT_MODES) else f"number {self._mode}"

    def _silence(self) -> str:
        """For how long the arm has not told its mode, when that is too long; empty otherwise."""
        silent_s = time.monotonic() - self._told_s
        if silent_s <= self._settings.robot_state_timeout_s:
            return ""
        return f"{self._settings.robot_state} is silent" + (f" for {silent_s:.1f} s" if silent_s < math.inf else "")

    def _wait(self, client: Any, ask: Callable[[], Any]) -> Any:
        """The answer; raises VlsError when nobody serves it or the answer does not come."""
        ready = client.server_is_ready if isinstance(client, ActionClient) else client.service_is_ready
        if not ready():
            raise VlsError("nobody serves it", "Start franka_ros2")
        answered = threading.Event()
        future = ask()
        future.add_done_callback(lambda _future: answered.set())
        if not answered.wait(self._settings.answer_timeout_s):
            raise VlsError(f"no answer within {self._settings.answer_timeout_s:g} s", "Look at the controller manager")
        return future.result()

    # What arrives ----------------------------------------------------------------------------------------------------

    def _measured(self, message: JointState) -> None:
        self._joints = message

    def _hand_measured(self, message: JointState) -> None:
        width_m = float(sum(message.position))
        if not math.isfinite(width_m):
            self._object(ReasonCode.GRIPPER_FAILED, f"{self._settings.gripper} reports a width of {width_m} m")
            return
        self._width_m = width_m

    def _robot_told(self, message: Any) -> None:
        self._mode, self._told_s = int(message.robot_mode), time.monotonic()
        flags = message.current_errors
        self._errors = ", ".join(name for name in flags.get_fields_and_field_types() if getattr(flags, name))

    def _action(self, kind: Any, name: str) -> Any:
        client: Any = ActionClient(self._node, kind, name)
        self._node.own(client.destroy)
        return client

    def _client(self, kind: Any, name: str) -> Any:
        client: Any = self._node.create_client(kind, name)
        self._node.own(lambda: self._node.destroy_client(client))
        return client
