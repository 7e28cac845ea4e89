"""The executor's node with the test as its arm: simulated time moves period by period."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

from nodes.stage import Stage
from rclpy.action import ActionClient
from std_msgs.msg import Bool
from std_srvs.srv import Trigger

from vls_steering.action import RecoverAndArm
from vls_steering.core.types import DOWN_QUAT_XYZW, GRIPPER_OPEN_M, ActionChunk, RobotState
from vls_steering.msg import SafetyStatus
from vls_steering.nodes import topics
from vls_steering.nodes.conversions import chunk_message, joint_state_message
from vls_steering.nodes.executor import NODE
from vls_steering.robots.kinematics import NOMINAL_POSTURE, ArmKinematics
from vls_steering.safety import ReasonCode

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


def recover(one: Arm, arm: bool = True) -> RecoverAndArm.Result:
    client = ActionClient(one.other, RecoverAndArm, topics.RECOVER_ACTION)
    one.until(client.server_is_ready, what="the action")
    sent = client.send_goal_async(RecoverAndArm.Goal(arm=arm))
    one.until(sent.done, what="an answer")
    result = sent.result().get_result_async()
    one.until(result.done, what="a result")
    client.destroy()
    return result.result().result
