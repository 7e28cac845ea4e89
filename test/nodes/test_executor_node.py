"""The executor's node: nothing moves before it is armed, everything that goes wrong ends in a hold."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticStatus
from nodes.executor_arm import PERIOD_S, Arm, arm, recover, stamp
from pydantic import ValidationError
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from vls_steering.core.errors import VlsError
from vls_steering.core.types import Keypoint, Keypoints
from vls_steering.msg import SafetyStatus
from vls_steering.nodes import topics
from vls_steering.nodes.base import Phase
from vls_steering.nodes.conversions import keypoints_message
from vls_steering.nodes.executor import ExecutorNodeSettings
from vls_steering.robots.backend import Objection
from vls_steering.robots.clearance import ArmClearance
from vls_steering.safety import REASONS, ReasonCode

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros")]
__all__ = ["arm"]


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


def show(one: Arm, name: str, place_m: list[float]) -> None:
    """What perception would tell of a box of 10 cm."""
    box = Keypoint(name, np.array(place_m), np.full(3, 0.1))
    one.publish(topics.KEYPOINTS, keypoints_message(Keypoints(one.now_s, (box,))))
    one.advance(2)


def test_an_object_that_was_never_seen_cannot_be_kept_clear_of(arm: Callable[..., Arm]) -> None:
    one = arm(keypoints_timeout_s=60.0, keep_out_objects=["purple box"])
    one.arm()
    one.send_chunk()
    one.until(lambda: one.advance() or one.status.chunks_rejected > 0)
    assert one.status.last_reason_code == ReasonCode.KEEP_OUT
    assert "not seen yet" in one.status.last_reason
    show(one, "purple box", [0.4, 0.5, 0.1])
    one.move()


def test_keypoints_that_are_no_numbers_count_as_silence_that_says_why(arm: Callable[..., Arm]) -> None:
    one = arm(keypoints_timeout_s=0.3, keep_out_objects=["purple box"])
    one.arm()
    show(one, "purple box", [0.4, 0.5, 0.1])
    one.move()
    message = keypoints_message(Keypoints(one.now_s, (Keypoint("purple box", np.zeros(3), np.full(3, 0.1)),)))
    message.points[0].position.x = np.nan
    one.publish(topics.KEYPOINTS, message)
    one.until_state(SafetyStatus.STATE_HOLDING, ReasonCode.STREAM_FAULTY)
    assert "position of 'purple box'" in one.status.reason
    assert one.node.phase is Phase.ACTIVE


@pytest.mark.parametrize("in_the_way", [True, False])
def test_an_object_that_is_put_in_the_way_stops_the_arm_in_front_of_it(
    arm: Callable[..., Arm], in_the_way: bool
) -> None:
    """While the arm follows a chunk that was good when it came."""
    one = arm(keypoints_timeout_s=60.0, keep_out_objects=["purple box"])
    one.arm()
    aside_m, ahead_m = [0.4, 0.6, 0.1], (one.tcp + [0.16, 0.0, 0.0]).tolist()
    show(one, "purple box", aside_m)
    one.send_chunk(forward_m=0.3)
    one.until(lambda: one.advance() or one.speed > 0.1, what="motion")
    show(one, "purple box", ahead_m if in_the_way else aside_m)
    one.advance(100)
    assert one.speed == 0.0
    box = ArmClearance(0.01, 0.0, (), ("purple box",))
    box.place("purple box", np.array(ahead_m), np.full(3, 0.1))
    assert (box.closest(one.joints) is None) == in_the_way, "without the box the arm goes where it would have been"


@pytest.mark.parametrize("robot", ["libfranka", "ros2_control"])
def test_only_a_simulated_arm_may_arm_itself(robot: str) -> None:
    with pytest.raises(ValidationError, match="a person arms"):
        ExecutorNodeSettings(robot=robot, auto_arm=True)


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
