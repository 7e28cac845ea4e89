"""recover_and_arm: in the back end's own steps, one at a time, and an emergency stop meanwhile counts."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

pytest.importorskip("rclpy")

from nodes.executor_arm import Arm, arm, recover
from rclpy.action import ActionClient
from std_srvs.srv import SetBool, Trigger

from vls_steering.action import RecoverAndArm
from vls_steering.msg import SafetyStatus
from vls_steering.nodes import topics
from vls_steering.robots.backend import RecoveryStep
from vls_steering.safety import ExecutorState, ReasonCode

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros")]
__all__ = ["arm"]


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
