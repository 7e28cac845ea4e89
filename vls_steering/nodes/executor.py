"""The safety executor's node: chunks in, set-points out, in a loop that shares its process with nothing else.

The control loop has its own thread; the node's thread only receives.  In each period the set-point is sent first and a
new chunk is reviewed afterwards, so that the several milliseconds of inverse kinematics that a review takes delay no
set-point.  One lock keeps the executor to one caller at a time.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import Field
from std_msgs.msg import Bool
from std_srvs.srv import SetBool

from vls_steering.core.config import Settings
from vls_steering.core.errors import ShapeError, VlsError
from vls_steering.core.types import ActionChunk, SetPoint
from vls_steering.msg import ActionChunk as ActionChunkMessage
from vls_steering.msg import Keypoints
from vls_steering.nodes import topics
from vls_steering.nodes.base import NodeDefinition, RoomNode
from vls_steering.nodes.conversions import chunk_of, safety_status_message, set_point_message
from vls_steering.nodes.loop import PacedLoop
from vls_steering.nodes.run import run_node
from vls_steering.nodes.sim_robot import SimRobot
from vls_steering.robots.backend import RobotBackend
from vls_steering.robots.kinematics import ArmKinematics
from vls_steering.safety import FR3_LIMITS, Executor, ExecutorSettings, ExecutorState, ReasonCode, SafetyStatus

REST_WITHIN_S = 2.0  # a stop within the limits takes less
MISSED = 1.5  # a period this many times too long is a missed deadline
BACK_ENDS = {"sim": SimRobot}


class ExecutorNodeSettings(Settings):
    robot: Literal["sim"] = Field("sim", description="robot back end")
    auto_arm: bool = Field(False, description="arm at activation without being asked: simulation only")
    status_hz: float = Field(20.0, ge=1.0, le=100.0, description="rate of executor/status; a change is told at once")
    clock_patience_s: float = Field(
        5.0, ge=0.1, le=60.0, description="wall time that /clock may stand still before a moving arm is stopped"
    )
    keypoints_timeout_s: float = Field(
        1.5, ge=0.0, le=60.0, description="longest silence of the keypoints while the arm moves; 0 = not watched"
    )
    limits: ExecutorSettings = ExecutorSettings()


class ExecutorBody:
    """Exists while configured; the loop runs while active."""

    def __init__(self, node: RoomNode, settings: ExecutorNodeSettings) -> None:
        self._node, self._settings = node, settings
        limits = settings.limits
        if settings.keypoints_timeout_s > 0:
            watched = {**limits.stream_timeouts_s, topics.KEYPOINTS.name: settings.keypoints_timeout_s}
            limits = limits.model_copy(update={"stream_timeouts_s": watched})
        self._period_s = limits.control_period_s
        self._executor = Executor(FR3_LIMITS, limits, ArmKinematics())
        self._robot: RobotBackend = BACK_ENDS[settings.robot](node)
        self._lock = threading.Lock()
        self._chunk: ActionChunk | None = None
        self._emergencies: set[str] = set()
        self._set_points = node.publisher(topics.SET_POINT)
        self._statuses = node.publisher(topics.SAFETY_STATUS)

    def start(self) -> None:
        self._sent: SetPoint | None = None
        self._last_s = self._told_s = -math.inf
        self._told: tuple[ExecutorState, ReasonCode] | None = None
        self._period_ms, self._misses = 0.0, 0
        self._may_arm_itself = self._settings.auto_arm
        node = self._node
        self._robot.start()
        node.subscribe(topics.ACTION_CHUNK, self._receive_chunk)
        node.subscribe(topics.KEYPOINTS, self._hear_keypoints)
        node.subscribe(topics.ESTOP, lambda message: self._switch_emergency("topic", message))
        node.serve_trigger(topics.ARM_SERVICE, self._arm)
        node.serve_trigger(topics.HOLD_SERVICE, self._hold)
        service = node.create_service(SetBool, topics.ESTOP_SERVICE, self._serve_emergency)
        node.own(lambda: node.destroy_service(service))
        self._loop = PacedLoop(node, self._period_s, self._step, self._stalled, self._settings.clock_patience_s)

    def stop(self) -> None:
        """The last thing sent is a hold.  /clock cannot be heard meanwhile: the wall clock paces the stop."""
        try:
            self._loop.end()
        finally:
            self._come_to_rest(ReasonCode.SHUTDOWN)
            self._robot.stop()

    def tear_down(self) -> None:
        pass

    # The control loop ------------------------------------------------------------------------------------------------

    def _step(self, now_s: float) -> None:
        with self._lock:
            self._time(now_s)
            state = self._robot.state()
            if state is not None:
                self._executor.observe(state)
            if self._may_arm_itself and state is not None:
                self._may_arm_itself = not self._executor.arm(state, now_s).accepted
            if self._executor.status().state is not ExecutorState.UNARMED:
                self._send(now_s)
            if self._chunk is not None:
                chunk, self._chunk = self._chunk, None
                self._executor.submit(chunk, now_s)
            self._tell(now_s)

    def _send(self, now_s: float) -> None:
        self._sent = self._executor.step(now_s)
        self._robot.send(self._sent)
        self._set_points.publish(set_point_message(self._sent))

    def _stalled(self) -> None:
        """Simulated time stands still: whatever moves by another clock must not go on."""
        if self._executor.status().state in (ExecutorState.TRACKING, ExecutorState.STOPPING):
            text = f"/clock has stood still for {self._settings.clock_patience_s:g} s"
            self._come_to_rest(ReasonCode.CONTROL_STALLED, text)

    def _come_to_rest(self, reason: ReasonCode, text: str = "") -> None:
        with self._lock:
            status = self._executor.status()
            if status.state is ExecutorState.UNARMED:
                return
            now_s = status.stamp_s
            self._executor.stop(reason, now_s, text)
            give_up_s = time.monotonic() + REST_WITHIN_S
            while time.monotonic() < give_up_s:
                now_s += self._period_s
                self._send(now_s)
                if self._executor.status().state is not ExecutorState.STOPPING:
                    break
                time.sleep(self._period_s)
            self._publish(self._executor.status())

    def _time(self, now_s: float) -> None:
        if math.isfinite(self._last_s):
            self._period_ms = 1e3 * (now_s - self._last_s)
            self._misses += self._period_ms > MISSED * 1e3 * self._period_s
        self._last_s = now_s

    def _tell(self, now_s: float) -> None:
        status = self._executor.status()
        key = (status.state, status.reason)
        if key != self._told or not 0 <= now_s - self._told_s < 1 / self._settings.status_hz - 1e-6:
            self._told, self._told_s = key, now_s
            self._publish(status if math.isfinite(status.stamp_s) else _before_arming(status, now_s))

    def _publish(self, status: SafetyStatus) -> None:
        message = safety_status_message(status)
        measured = self._robot.state()
        if self._sent is not None and measured is not None:
            error = np.abs(measured.joint_positions - self._sent.joint_positions)
            message.tracking_error_rad = float(error.max())
        message.period_ms, message.deadline_misses = self._period_ms, self._misses
        self._statuses.publish(message)

    # What others ask for ---------------------------------------------------------------------------------------------

    def _receive_chunk(self, message: ActionChunkMessage) -> None:
        try:
            self._chunk = chunk_of(message)
        except ShapeError as error:
            # Not followed and not forgotten: without a good one in time the executor stops for its own reasons.
            self._node.facts["last malformed chunk"] = str(error)
            self._node.get_logger().warning(f"malformed chunk: {error}", throttle_duration_sec=1.0)

    def _hear_keypoints(self, _message: Keypoints) -> None:
        with self._lock:
            self._executor.beat(topics.KEYPOINTS.name, self._node.now_s())

    def _arm(self) -> str:
        for topic in (topics.ACTION_CHUNK, topics.SET_POINT):
            count = self._node.count_publishers(topic.name)
            if count > 1:
                raise VlsError(f"{count} nodes publish {topic.name}", "Only one may: stop the others, then arm")
        with self._lock:
            state = self._robot.state()
            if state is None:
                raise VlsError("no joint state was received", "Check the robot connection, then arm")
            verdict = self._executor.arm(state, self._node.now_s())
        if not verdict.accepted:
            raise VlsError(f"{verdict.reason.name}: {verdict.text}")
        return "armed"

    def _hold(self) -> str:
        with self._lock:
            self._executor.stop(ReasonCode.STOP_REQUESTED, self._node.now_s())
        return "stopping; the next good chunk moves the arm again"

    def _switch_emergency(self, source: str, message: Bool | SetBool.Request) -> None:
        """Engaged while any source engages it."""
        (self._emergencies.add if message.data else self._emergencies.discard)(source)
        with self._lock:
            self._executor.set_emergency_stop(bool(self._emergencies), self._node.now_s())

    def _serve_emergency(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self._switch_emergency("service", request)
        engaged = ", ".join(sorted(self._emergencies))
        response.success, response.message = True, f"engaged by {engaged}" if engaged else "released; arm to go on"
        return response


def _before_arming(status: SafetyStatus, now_s: float) -> SafetyStatus:
    """Before its first step the executor has no time of its own."""
    return replace(status, stamp_s=now_s, chunk_age_s=math.inf, joint_state_age_s=math.inf)


NODE = NodeDefinition("executor", ExecutorNodeSettings, ExecutorBody)


def main() -> int:
    return run_node(NODE)


if __name__ == "__main__":
    sys.exit(main())
