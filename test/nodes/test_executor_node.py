"""The executor's node: nothing moves before it is armed, everything that goes wrong ends in a hold."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticStatus
from nodes.stage import Stage
from pydantic import ValidationError
from rclpy.action import ActionClient
from rclpy.qos import qos_profile_sensor_data
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger

from vls_steering.action import RecoverAndArm
from vls_steering.core.errors import VlsError
from vls_steering.core.types import DOWN_QUAT_XYZW, GRIPPER_OPEN_M, ActionChunk, RobotState
from vls_steering.msg import SafetyStatus
from vls_steering.nodes import topics
from vls_steering.nodes.base import Phase
from vls_steering.nodes.conversions import chunk_message, joint_state_message
from vls_steering.nodes.executor import NODE, ExecutorNodeSettings
from vls_steering.nodes.streams import Level
from vls_steering.robots.backend import Objection, RecoveryStep
from vls_steering.robots.kinematics import NOMINAL_POSTURE, ArmKinematics
from vls_steering.safety import REASONS, ExecutorState, ReasonCode

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros")]

PERIOD_S = 0.01
LISTENS = (topics.SET_POINT, topics.SAFETY_STATUS)


class Arm(Stage):
    """An arm that is always where it was sent."""

    def __init__(self, **parameters: Any) -> None:
        super().__init__(NODE, LISTENS, **{"keypoints_timeout_s": 0.0, "camera_timeout_s": 0.0, **parameters})
        self.joints = np.array(NOMINAL_POSTURE)
        self.tcp, _ = ArmKinematics().tcp_pose(self.joints)
        self.width_m, self.holds = GRIPPER_OPEN_M, False
        self.armed = False

    def advance(self, periods: int = 1) -> None:
        """Measure, tell the time, wait for the answer: what the sim bridge does."""
        for _ in range(periods):
            stamp_s = self.now_s + PERIOD_S
            state = RobotState(stamp_s, self.joints, np.zeros(7), self.tcp, np.array(DOWN_QUAT_XYZW), self.width_m)
            self.publish(topics.GRIPPER_GRASPED, Bool(data=self.holds))
            self.publish(topics.JOINT_STATES, joint_state_message(state))
            self.set_clock(stamp_s)
            if self.armed:
                self.until(lambda: self._answered(self.now_s), what=f"a set-point for {stamp_s:.2f}")
                self.joints = np.array(self.newest(topics.SET_POINT).joint_positions)

    def _answered(self, stamp_s: float) -> bool:
        newest = self.newest(topics.SET_POINT)
        return newest is not None and stamp(newest) > stamp_s - PERIOD_S / 2

    def arm(self) -> Trigger.Response:
        self.advance(2)
        answer = self.call(topics.ARM_SERVICE, Trigger, Trigger.Request())
        self.armed = answer.success
        return answer

    def send_chunk(self, forward_m: float = 0.08, width_m: float = GRIPPER_OPEN_M) -> None:
        steps = np.arange(1.0, 17.0)
        path = self.tcp + np.outer(steps / 16, [forward_m, 0.0, 0.0])
        quats = np.tile(DOWN_QUAT_XYZW, (16, 1))
        chunk = ActionChunk(self.now_s, self.now_s + 0.1 * steps, path, quats, np.full(16, width_m))
        self.publish(topics.ACTION_CHUNK, chunk_message(chunk))

    def move(self) -> None:
        """Get the arm under way."""
        self.send_chunk()
        for _ in range(40):
            self.advance()
            if self.status.state == SafetyStatus.STATE_TRACKING and self.speed > 0.02:
                return
        raise AssertionError(f"the arm does not move: {self.status}")

    @property
    def status(self) -> SafetyStatus:
        self.until(lambda: self.newest(topics.SAFETY_STATUS), what="a status")
        return self.newest(topics.SAFETY_STATUS)

    @property
    def speed(self) -> float:
        return float(np.abs(self.newest(topics.SET_POINT).joint_velocities).max())

    def until_state(self, state: int, reason: ReasonCode, periods: int = 400) -> None:
        for _ in range(periods):
            if (self.status.state, self.status.reason_code) == (state, reason):
                return
            self.advance()
        raise AssertionError(f"still {self.status.state_name} because of {self.status.reason!r}")


@pytest.fixture
def arm() -> Iterator[Callable[..., Arm]]:
    made: list[Arm] = []

    def make(**parameters: Any) -> Arm:
        made.append(Arm(**parameters))
        made[-1].bring_up()
        return made[-1]

    yield make
    for one in made:
        one.close()


def stamp(message: Any) -> float:
    return float(message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec)


def test_its_process_loads_nothing_of_images_networks_or_the_model_client() -> None:
    others = ("cv2", "PIL", "torch", "onnxruntime", "transformers", "openai", "httpx", "vls_steering.perception")
    code = f"import sys, vls_steering.nodes.executor; print(*(name for name in {others!r} if name in sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_nothing_is_sent_before_somebody_arms(arm: Callable[..., Arm]) -> None:
    one = arm()
    one.advance(10)
    one.spin(0.2)
    assert one.heard[topics.SET_POINT.name] == []
    assert one.status.state == SafetyStatus.STATE_UNARMED


def test_armed_it_holds_where_it_is_once_a_period(arm: Callable[..., Arm]) -> None:
    one = arm()
    assert one.arm().success
    start = one.joints
    one.advance(20)
    stamps = [stamp(message) for message in one.heard[topics.SET_POINT.name]]
    assert np.allclose(np.diff(stamps), PERIOD_S)
    np.testing.assert_allclose(one.joints, start, atol=1e-9)
    assert one.status.state == SafetyStatus.STATE_READY


def test_it_arms_itself_only_when_told_so(arm: Callable[..., Arm]) -> None:
    one = arm(auto_arm=True)
    one.advance(5)
    one.until(lambda: one.heard[topics.SET_POINT.name])


def test_a_chunk_is_followed_and_the_status_counts_it(arm: Callable[..., Arm]) -> None:
    one = arm()
    one.arm()
    one.move()
    one.advance(6)
    assert one.status.chunks_passed + one.status.chunks_scaled == 1
    assert 0 <= one.status.tracking_error_rad < 0.1


def test_a_silent_policy_ends_in_a_latched_hold(arm: Callable[..., Arm]) -> None:
    one = arm()
    one.arm()
    one.move()
    one.until_state(SafetyStatus.STATE_HOLDING, ReasonCode.CHUNK_TIMEOUT)
    one.until_state(SafetyStatus.STATE_HOLDING, ReasonCode.POLICY_SILENT)
    assert one.status.latched
    assert one.speed == 0.0


def test_silent_keypoints_stop_a_moving_arm(arm: Callable[..., Arm]) -> None:
    one = arm(keypoints_timeout_s=0.3)
    one.arm()
    one.send_chunk()
    one.until_state(SafetyStatus.STATE_HOLDING, ReasonCode.STREAM_SILENT)
    assert "keypoints" in one.status.reason


def test_the_emergency_stop_holds_until_every_source_released_it(arm: Callable[..., Arm]) -> None:
    one = arm()
    one.arm()
    one.move()
    assert one.call(topics.ESTOP_SERVICE, SetBool, SetBool.Request(data=True)).success
    one.publish(topics.ESTOP, Bool(data=True))
    one.until_state(SafetyStatus.STATE_FAULT, ReasonCode.EMERGENCY_STOP)
    one.call(topics.ESTOP_SERVICE, SetBool, SetBool.Request(data=False))
    assert "EMERGENCY_STOP" in one.arm().message
    one.publish(topics.ESTOP, Bool(data=False))
    one.spin(0.2)
    assert one.arm().success


QUALITIES = {
    "a default publisher": 10,
    "a best-effort button": qos_profile_sensor_data,
    "a latched panel": topics.LATCHED,
}


def panel(one: Arm, quality: Any) -> Any:
    """Another publisher of the emergency stop, known to the executor."""
    before = len(one.node.get_publishers_info_by_topic(topics.ESTOP.name))
    publisher = one.other.create_publisher(Bool, topics.ESTOP.name, quality)
    one.until(publisher.get_subscription_count, what="a subscription of the emergency stop")
    one.until(lambda: len(one.node.get_publishers_info_by_topic(topics.ESTOP.name)) > before, what="its discovery")
    return publisher


@pytest.mark.parametrize("quality", QUALITIES.values(), ids=QUALITIES)
def test_the_emergency_stop_is_heard_from_every_publisher(arm: Callable[..., Arm], quality: Any) -> None:
    one = arm()
    button = panel(one, quality)
    one.arm()
    one.move()
    button.publish(Bool(data=True))
    one.until_state(SafetyStatus.STATE_FAULT, ReasonCode.EMERGENCY_STOP)
    assert "EMERGENCY_STOP" in one.arm().message
    button.publish(Bool(data=False))
    one.until(lambda: not one.node.body._emergencies.engaged)
    assert one.arm().success


def test_one_panel_does_not_release_what_another_engaged(arm: Callable[..., Arm]) -> None:
    one = arm()
    first, second = panel(one, 10), panel(one, topics.LATCHED)
    first.publish(Bool(data=True))
    one.until(lambda: one.node.body._emergencies.engaged)
    second.publish(Bool(data=False))
    one.spin(0.3)
    assert "EMERGENCY_STOP" in one.arm().message
    first.publish(Bool(data=False))
    one.until(lambda: not one.node.body._emergencies.engaged)
    assert one.arm().success


def test_what_a_panel_engaged_that_is_gone_is_released_by_the_service_alone(arm: Callable[..., Arm]) -> None:
    one = arm()
    gone, stays = panel(one, 10), panel(one, 10)
    gone.publish(Bool(data=True))
    one.until(lambda: one.node.body._emergencies.engaged)
    answer = one.call(topics.ESTOP_SERVICE, SetBool, SetBool.Request(data=False))
    assert answer.message == "engaged by rest_of_the_graph", "it is there and can release it itself"
    one.other.destroy_publisher(gone)
    one.until(lambda: len(one.node.get_publishers_info_by_topic(topics.ESTOP.name)) == 1)
    stays.publish(Bool(data=False))
    one.spin(0.3)
    assert "EMERGENCY_STOP" in one.arm().message
    one.call(topics.ESTOP_SERVICE, SetBool, SetBool.Request(data=False))
    assert one.arm().success


def test_an_emergency_stop_that_cannot_be_heard_is_an_error_in_diagnostics(arm: Callable[..., Arm]) -> None:
    one = arm()
    one.until(lambda: "emergency stop" in one.node.reports)
    assert one.node.reports["emergency stop"].level is Level.OK
    # rclpy does not let one process have two types on a topic; another process may.
    stranger = SimpleNamespace(topic_type="std_msgs/msg/Empty", node_name="button", endpoint_gid=[1])
    one.node.get_publishers_info_by_topic = lambda _name: [stranger]
    one.until(lambda: one.node.reports["emergency stop"].level is Level.ERROR)
    assert "button publishes estop as std_msgs/msg/Empty" in one.node.reports["emergency stop"].message


def test_a_new_body_remembers_an_emergency_stop_and_what_stopped_the_one_before(arm: Callable[..., Arm]) -> None:
    one = arm()
    one.arm()
    one.move()
    one.call(topics.HOLD_SERVICE, Trigger, Trigger.Request())
    one.until_state(SafetyStatus.STATE_HOLDING, ReasonCode.HELD_BY_OPERATOR)
    one.armed = False
    for transition in ("deactivate", "cleanup", "configure", "activate"):
        getattr(one.node, f"trigger_{transition}")()
    one.spin(0.2)
    one.heard[topics.SET_POINT.name].clear()
    one.advance(2)
    one.until_state(SafetyStatus.STATE_UNARMED, ReasonCode.HELD_BY_OPERATOR)
    one.call(topics.ESTOP_SERVICE, SetBool, SetBool.Request(data=True))
    one.node.fail(RuntimeError("broken"))
    one.until(lambda: one.node.phase is Phase.UNCONFIGURED)
    one.bring_up()
    assert "EMERGENCY_STOP" in one.arm().message
    one.until_state(SafetyStatus.STATE_UNARMED, ReasonCode.EMERGENCY_STOP)
    assert not one.heard[topics.SET_POINT.name]


@pytest.mark.parametrize("robot", ["libfranka", "ros2_control"])
def test_only_a_simulated_arm_may_arm_itself(robot: str) -> None:
    with pytest.raises(ValidationError, match="a person arms"):
        ExecutorNodeSettings(robot=robot, auto_arm=True)


def test_an_emergency_stop_halts_the_hand_once_and_where_it_is(arm: Callable[..., Arm]) -> None:
    one, stops = arm(), list[float]()
    one.node.body._robot.stop_hand = lambda: stops.append(one.now_s)
    one.arm()
    one.move()
    one.send_chunk(width_m=0.0)
    one.advance(10)
    assert one.newest(topics.SET_POINT).gripper_width_m == 0.0
    one.width_m = 0.055  # the fingers close
    one.advance(2)
    one.call(topics.ESTOP_SERVICE, SetBool, SetBool.Request(data=True))
    one.advance()
    assert one.newest(topics.SET_POINT).gripper_width_m == pytest.approx(0.055)
    one.width_m = 0.05
    one.until_state(SafetyStatus.STATE_FAULT, ReasonCode.EMERGENCY_STOP)
    assert one.newest(topics.SET_POINT).gripper_width_m == pytest.approx(0.055)
    assert len(stops) == 1
    one.call(topics.ESTOP_SERVICE, SetBool, SetBool.Request(data=False))
    one.arm()
    one.send_chunk(width_m=GRIPPER_OPEN_M)
    one.advance(10)
    assert one.newest(topics.SET_POINT).gripper_width_m == GRIPPER_OPEN_M
    assert len(stops) == 1


def test_an_emergency_stop_lets_go_of_nothing(arm: Callable[..., Arm]) -> None:
    one = arm()
    one.width_m, one.holds = 0.04, True
    one.arm()
    one.send_chunk(width_m=0.0)
    one.advance(20)
    one.send_chunk(width_m=GRIPPER_OPEN_M)
    one.advance(2)
    one.call(topics.ESTOP_SERVICE, SetBool, SetBool.Request(data=True))
    one.until_state(SafetyStatus.STATE_FAULT, ReasonCode.EMERGENCY_STOP)
    assert one.newest(topics.SET_POINT).gripper_width_m == 0.0


def test_an_emergency_stop_pressed_before_the_start_counts(arm: Callable[..., Arm]) -> None:
    one = Arm()
    try:
        one.other.create_publisher(Bool, topics.ESTOP.name, topics.LATCHED).publish(Bool(data=True))
        one.bring_up()
        one.advance(2)
        one.spin(0.3)
        assert "EMERGENCY_STOP" in one.arm().message
    finally:
        one.close()


def test_a_second_policy_is_a_reason_not_to_arm(arm: Callable[..., Arm]) -> None:
    one = arm()
    rivals = [one.other.create_publisher(topics.ACTION_CHUNK.type, topics.ACTION_CHUNK.name, 1) for _ in range(2)]
    one.until(lambda: one.node.count_publishers(topics.ACTION_CHUNK.name) == len(rivals))
    answer = one.arm()
    assert not answer.success
    assert "2 nodes publish action_chunk" in answer.message


def test_a_malformed_chunk_is_told_and_survived(arm: Callable[..., Arm]) -> None:
    one = arm()
    one.arm()
    one.publish(topics.ACTION_CHUNK, topics.ACTION_CHUNK.type())
    one.until(lambda: "last malformed chunk" in one.node.facts)
    one.move()


def test_the_end_of_a_task_stops_the_arm_until_the_next_chunk(arm: Callable[..., Arm]) -> None:
    one = arm()
    one.arm()
    one.move()
    assert one.call(topics.END_TASK_SERVICE, Trigger, Trigger.Request()).success
    one.until_state(SafetyStatus.STATE_READY, ReasonCode.STOP_REQUESTED)
    assert one.speed == 0.0


def test_a_hold_holds_whatever_comes_until_somebody_arms(arm: Callable[..., Arm]) -> None:
    one = arm()
    one.arm()
    one.move()
    assert one.call(topics.HOLD_SERVICE, Trigger, Trigger.Request()).success
    one.until_state(SafetyStatus.STATE_HOLDING, ReasonCode.HELD_BY_OPERATOR)
    for _ in range(3):
        one.send_chunk()
        one.advance(5)
    one.until_state(SafetyStatus.STATE_HOLDING, ReasonCode.HELD_BY_OPERATOR)
    assert one.speed == 0.0
    assert one.arm().success


def test_a_stopped_clock_stops_the_arm(arm: Callable[..., Arm]) -> None:
    one = arm(clock_patience_s=0.2)
    one.arm()
    one.move()
    one.until(lambda: one.status.reason_code == ReasonCode.CONTROL_STALLED)
    one.until(lambda: one.speed == 0.0)
    assert one.status.state == SafetyStatus.STATE_HOLDING


def test_leaving_the_active_state_in_motion_ends_at_rest_and_says_so(arm: Callable[..., Arm]) -> None:
    one = arm()
    one.arm()
    one.move()
    one.node.trigger_deactivate()
    one.until(lambda: one.status.reason_code == ReasonCode.SHUTDOWN)
    one.spin(0.2)
    assert one.speed == 0.0
    assert one.status.state == SafetyStatus.STATE_HOLDING


def recover(one: Arm, arm: bool = True) -> RecoverAndArm.Result:
    client = ActionClient(one.other, RecoverAndArm, topics.RECOVER_ACTION)
    one.until(client.server_is_ready, what="the action")
    sent = client.send_goal_async(RecoverAndArm.Goal(arm=arm))
    one.until(sent.done, what="an answer")
    result = sent.result().get_result_async()
    one.until(result.done, what="a result")
    client.destroy()
    return result.result().result


def test_recovery_arms_after_a_latched_stop(arm: Callable[..., Arm]) -> None:
    one = arm()
    one.arm()
    one.move()
    one.call(topics.ESTOP_SERVICE, SetBool, SetBool.Request(data=True))
    one.until_state(SafetyStatus.STATE_FAULT, ReasonCode.EMERGENCY_STOP)
    refused = recover(one)
    assert (refused.success, refused.reason_code) == (False, ReasonCode.EMERGENCY_STOP)
    one.call(topics.ESTOP_SERVICE, SetBool, SetBool.Request(data=False))
    one.advance(2)
    done = recover(one)
    assert done.success, done.message
    assert list(done.done) == ["arm"]
    one.move()


def test_recovery_without_arming_leaves_the_arm_unarmed(arm: Callable[..., Arm]) -> None:
    one = arm()
    one.advance(2)
    assert recover(one, arm=False).success
    one.advance()
    one.until(lambda: one.status.state == SafetyStatus.STATE_UNARMED)
    assert not one.heard[topics.SET_POINT.name]


class SlowRecovery:
    """A step of the back end that ends when it is told to."""

    def __init__(self, one: Arm, arm: bool) -> None:
        self._going_on = threading.Event()
        self.began = threading.Event()
        one.node.body._robot.recovery = lambda: (RecoveryStep("wait", self._wait), RecoveryStep("next", lambda: None))
        client = ActionClient(one.other, RecoverAndArm, topics.RECOVER_ACTION)
        one.until(client.server_is_ready, what="the action")
        sent = client.send_goal_async(RecoverAndArm.Goal(arm=arm))
        one.until(sent.done, what="an answer")
        self._one, self._result = one, sent.result().get_result_async()
        one.until(self.began.is_set, what="a recovery under way")

    def _wait(self) -> None:
        self.began.set()
        self._going_on.wait(20.0)

    def go_on(self) -> None:
        self._going_on.set()

    def end(self) -> RecoverAndArm.Result:
        self.go_on()
        self._one.advance(2)
        self._one.until(self._result.done, what="a result")
        return self._result.result().result


def test_nobody_else_arms_while_the_arm_is_being_recovered(arm: Callable[..., Arm]) -> None:
    one = arm()
    one.advance(2)
    recovery = SlowRecovery(one, arm=True)
    answer = one.call(topics.ARM_SERVICE, Trigger, Trigger.Request())
    assert not answer.success
    assert "is being recovered" in answer.message
    assert recovery.end().success


def test_an_emergency_stop_pressed_and_released_during_a_recovery_is_remembered(arm: Callable[..., Arm]) -> None:
    one = arm()
    one.advance(2)
    recovery = SlowRecovery(one, arm=True)
    for pressed in (True, False):
        one.call(topics.ESTOP_SERVICE, SetBool, SetBool.Request(data=pressed))
    result = recovery.end()
    assert not result.success
    assert "EMERGENCY_STOP" in result.message
    one.advance()
    one.until_state(SafetyStatus.STATE_UNARMED, ReasonCode.EMERGENCY_STOP)
    assert not one.heard[topics.SET_POINT.name]


def test_leaving_the_active_state_during_a_recovery_ends_it_and_lets_the_arm_go(arm: Callable[..., Arm]) -> None:
    one = arm()
    one.arm()
    one.move()
    one.call(topics.ESTOP_SERVICE, SetBool, SetBool.Request(data=True))
    one.until_state(SafetyStatus.STATE_FAULT, ReasonCode.EMERGENCY_STOP)
    one.call(topics.ESTOP_SERVICE, SetBool, SetBool.Request(data=False))
    one.armed = False  # nothing is sent, so nothing is waited for
    recovery = SlowRecovery(one, arm=True)
    let_go: list[bool] = []
    body = one.node.body
    body._robot.stop = lambda: let_go.append(body._recovery._thread.is_alive())
    threading.Timer(0.5, recovery.go_on).start()
    one.node.trigger_deactivate()
    assert not one.node.failure
    assert let_go == [False], "once, and after the recovery's own step was over"
    one.spin(0.2)
    assert body._executor.status().state is ExecutorState.UNARMED


def test_what_the_arm_objects_to_has_to_go_before_somebody_arms(arm: Callable[..., Arm]) -> None:
    """Otherwise it would be armed and stop again a period later, for the same reason."""
    one, wrong = arm(auto_arm=True), list[Objection]()
    one.node.body._robot.objection = lambda: wrong[0] if wrong else None
    wrong.append(Objection(ReasonCode.GRIPPER_FAILED, "the hand is jammed"))
    one.advance(5)
    assert one.status.state == SafetyStatus.STATE_UNARMED  # nor does it arm itself
    answer = one.arm()
    assert not answer.success
    assert "GRIPPER_FAILED: the hand is jammed" in answer.message
    assert REASONS[ReasonCode.GRIPPER_FAILED].cure in answer.message
    refused = recover(one)
    assert (refused.success, "the hand is jammed" in refused.message) == (False, True)
    wrong.clear()
    assert one.arm().success


def test_an_arm_that_cannot_be_engaged_yet_does_not_end_the_loop(arm: Callable[..., Arm]) -> None:
    one, asked = arm(auto_arm=True), list[float]()

    def refuse() -> None:
        asked.append(one.now_s)
        raise VlsError("its mode is not known", "Wait")

    engage, one.node.body._robot.engage = one.node.body._robot.engage, refuse
    one.advance(5)
    one.until(lambda: "not armed by itself" in one.node.facts)
    one.node.body._robot.engage = engage
    one.advance(5)
    one.until(lambda: one.heard[topics.SET_POINT.name])
    assert asked


def test_a_second_publisher_of_chunks_stops_the_arm(arm: Callable[..., Arm]) -> None:
    one = arm()
    one.arm()
    one.move()
    topic = topics.ACTION_CHUNK
    intruder = one.other.create_publisher(topic.type, topic.name, topic.quality)
    one.until_state(SafetyStatus.STATE_HOLDING, ReasonCode.SECOND_PUBLISHER)
    assert not one.arm().success
    one.other.destroy_publisher(intruder)
    one.until(lambda: one.other.count_publishers(topic.name) == 1, what="one publisher")
    assert one.arm().success


def test_a_second_publisher_of_what_moves_the_arm_itself_stops_it(arm: Callable[..., Arm]) -> None:
    one = arm()
    one.node.body._robot.command_topics = ("arm_controller/joint_trajectory",)
    one.arm()
    one.move()
    rivals = [one.other.create_publisher(Bool, "arm_controller/joint_trajectory", 1) for _ in range(2)]
    one.until_state(SafetyStatus.STATE_HOLDING, ReasonCode.SECOND_PUBLISHER)
    assert "2 nodes publish arm_controller/joint_trajectory" in one.status.reason
    assert not one.arm().success
    one.other.destroy_publisher(rivals[0])
    one.until(lambda: one.other.count_publishers("arm_controller/joint_trajectory") == 1, what="one publisher")
    assert one.arm().success


def test_a_malformed_chunk_is_counted_with_its_reason(arm: Callable[..., Arm]) -> None:
    one = arm()
    one.arm()
    one.publish(topics.ACTION_CHUNK, topics.ACTION_CHUNK.type())
    one.until(lambda: "last malformed chunk" in one.node.facts)
    one.advance(10)
    one.until(lambda: one.status.last_reason_code == ReasonCode.MALFORMED)
    assert one.status.chunks_rejected == 1


def values(line: DiagnosticStatus) -> dict[str, str]:
    return {pair.key: pair.value for pair in line.values}


def safety_line(one: Arm) -> DiagnosticStatus:
    """The second of two: a busy machine may have missed a deadline before, and the first one says so."""
    one.diagnose("safety")
    return one.diagnose("safety")


def test_its_line_in_the_diagnostics_is_an_error_while_a_person_has_to_act(arm: Callable[..., Arm]) -> None:
    one = arm()
    one.advance(2)
    assert safety_line(one).level == DiagnosticStatus.OK
    one.arm()
    one.move()
    line = safety_line(one)
    assert (line.level, line.message) == (DiagnosticStatus.OK, "TRACKING")
    one.until_state(SafetyStatus.STATE_HOLDING, ReasonCode.CHUNK_TIMEOUT)
    assert safety_line(one).level == DiagnosticStatus.WARN
    one.until_state(SafetyStatus.STATE_HOLDING, ReasonCode.POLICY_SILENT)
    line = safety_line(one)
    assert line.level == DiagnosticStatus.ERROR
    assert "POLICY_SILENT" in line.message
    assert values(line)["latched"] == "true"
    assert float(values(line)["chunk_age_s"]) > 1.0
    assert one.arm().success
    assert safety_line(one).level == DiagnosticStatus.OK


def test_deadlines_missed_since_the_last_report_are_a_warning(arm: Callable[..., Arm]) -> None:
    one = arm()
    one.arm()
    one.advance(2)
    one.diagnose("safety")
    one.now_s += 2 * PERIOD_S
    one.advance()
    line = one.diagnose("safety")
    assert (line.level, values(line)["new_deadline_misses"]) == (DiagnosticStatus.WARN, "1")
    one.advance(2)
    assert one.diagnose("safety").level == DiagnosticStatus.OK


def test_chunks_that_no_longer_come_are_a_stale_stream_by_its_own_patience(arm: Callable[..., Arm]) -> None:
    one = arm()
    one.arm()
    assert one.diagnose("action_chunk").level == DiagnosticStatus.OK  # nobody has asked for any yet
    one.move()
    assert one.diagnose("action_chunk").level == DiagnosticStatus.OK
    one.advance(70)
    assert one.diagnose("action_chunk").level == DiagnosticStatus.STALE
