"""The emergency stop: who may press it, who releases it, and what arm and hand do meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("rclpy")

from nodes.executor_arm import Arm, arm
from rclpy.qos import qos_profile_sensor_data
from std_msgs.msg import Bool
from std_srvs.srv import SetBool, Trigger

from vls_steering.core.types import GRIPPER_OPEN_M
from vls_steering.msg import SafetyStatus
from vls_steering.nodes import topics
from vls_steering.nodes.base import Phase
from vls_steering.nodes.streams import Level
from vls_steering.safety import ReasonCode

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros")]
__all__ = ["arm"]


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
    one.until(lambda: not one.node.body._emergency.engaged)
    assert one.arm().success


def test_one_panel_does_not_release_what_another_engaged(arm: Callable[..., Arm]) -> None:
    one = arm()
    first, second = panel(one, 10), panel(one, topics.LATCHED)
    first.publish(Bool(data=True))
    one.until(lambda: one.node.body._emergency.engaged)
    second.publish(Bool(data=False))
    one.spin(0.3)
    assert "EMERGENCY_STOP" in one.arm().message
    first.publish(Bool(data=False))
    one.until(lambda: not one.node.body._emergency.engaged)
    assert one.arm().success


def test_what_a_panel_engaged_that_is_gone_is_released_by_the_service_alone(arm: Callable[..., Arm]) -> None:
    one = arm()
    gone, stays = panel(one, 10), panel(one, 10)
    gone.publish(Bool(data=True))
    one.until(lambda: one.node.body._emergency.engaged)
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
