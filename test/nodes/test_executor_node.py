"""The executor's node: nothing moves before it is armed, everything that goes wrong ends in a hold."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

from nodes.stage import Stage
from rclpy.action import ActionClient
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger

from vls_steering.action import RecoverAndArm
from vls_steering.core.errors import VlsError
from vls_steering.core.types import DOWN_QUAT_XYZW, GRIPPER_OPEN_M, ActionChunk, RobotState
from vls_steering.msg import SafetyStatus
from vls_steering.nodes import topics
from vls_steering.nodes.conversions import chunk_message, joint_state_message
from vls_steering.nodes.executor import NODE
from vls_steering.robots.backend import Objection
from vls_steering.robots.kinematics import NOMINAL_POSTURE, ArmKinematics
from vls_steering.safety import REASONS, ReasonCode

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


def test_a_hold_is_asked_for_and_given(arm: Callable[..., Arm]) -> None:
    one = arm()
    one.arm()
    one.move()
    assert one.call(topics.HOLD_SERVICE, Trigger, Trigger.Request()).success
    one.until_state(SafetyStatus.STATE_READY, ReasonCode.STOP_REQUESTED)
    assert one.speed == 0.0


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
