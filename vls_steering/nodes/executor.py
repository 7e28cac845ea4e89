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
from contextlib import ExitStack
from dataclasses import replace
from typing import Literal

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from pydantic import Field, model_validator
from std_msgs.msg import Bool

from vls_steering.core.errors import ShapeError, VlsError
from vls_steering.core.types import RobotState, SetPoint
from vls_steering.msg import ActionChunk as ActionChunkMessage
from vls_steering.msg import Keypoints
from vls_steering.nodes import topics
from vls_steering.nodes.back_ends import BACK_ENDS, BackEndSettings
from vls_steering.nodes.base import NodeDefinition, RoomNode
from vls_steering.nodes.camera_health import cameras_heard
from vls_steering.nodes.conversions import (
    chunk_of,
    joint_state_message,
    keypoints_of,
    safety_status_message,
    set_point_message,
    stamp_seconds,
)
from vls_steering.nodes.emergency import PUBLISHERS_LOOKED_AT_S, EmergencyStop
from vls_steering.nodes.keep_out_objects import KeepOutObjects
from vls_steering.nodes.loop import PacedLoop
from vls_steering.nodes.node_set import SIMULATED_ROBOTS
from vls_steering.nodes.recovery import RecoveryServer
from vls_steering.nodes.run import run_node
from vls_steering.nodes.safety_report import SafetyReporter
from vls_steering.nodes.scheduling import Urgency, go_first
from vls_steering.nodes.streams import StreamReport
from vls_steering.robots.backend import RobotBackend
from vls_steering.robots.clearance import ArmClearance
from vls_steering.robots.kinematics import ArmKinematics
from vls_steering.safety import (
    FR3_LIMITS,
    REASONS,
    Chunk,
    Executor,
    ExecutorSettings,
    ExecutorState,
    FloodGuard,
    ReasonCode,
    SafetyStatus,
    Severity,
    Verdict,
    clearance_check,
)

REST_WITHIN_S = 2.0  # a stop within the limits takes less
MISSED = 1.5  # a period this many times too long is a missed deadline
KEPT_STOP = "latched stop"
SILENT = (ExecutorState.UNARMED, ExecutorState.RECOVERING)


class ExecutorNodeSettings(BackEndSettings):
    robot: Literal["sim", "protocol", "libfranka", "ros2_control"] = Field("sim", description="robot back end")
    auto_arm: bool = Field(False, description="arm at activation without being asked: simulation only")
    status_hz: float = Field(
        20.0, ge=1.0, le=1000.0, description="rate of executor/status, once a period at most; a change is told at once"
    )
    clock_patience_s: float = Field(
        5.0, ge=0.1, le=60.0, description="wall time that /clock may stand still before a moving arm is stopped"
    )
    keypoints_timeout_s: float = Field(
        1.5, ge=0.0, le=60.0, description="longest silence of the keypoints while the arm moves; 0 = not watched"
    )
    camera_timeout_s: float = Field(
        0.2, ge=0.0, le=60.0, description="oldest usable picture of any camera while the arm moves; 0 = not watched"
    )
    keep_out_objects: tuple[str, ...] = Field(
        (), description="objects, by perception's names, that no part of the arm may come close to, wherever they are"
    )
    limits: ExecutorSettings = ExecutorSettings()

    @model_validator(mode="after")
    def _somebody_looks(self) -> ExecutorNodeSettings:
        if self.keep_out_objects and self.keypoints_timeout_s == 0:
            raise ValueError("keep_out_objects need keypoints that are watched: keypoints_timeout_s > 0")
        if len(set(self.keep_out_objects)) != len(self.keep_out_objects):
            raise ValueError("keep_out_objects names an object twice")
        return self

    @model_validator(mode="after")
    def _a_person_arms(self) -> ExecutorNodeSettings:
        if self.auto_arm and self.robot not in SIMULATED_ROBOTS:
            raise ValueError(f"auto_arm is for {' and '.join(SIMULATED_ROBOTS)} alone, a person arms {self.robot}")
        return self


class ExecutorBody:
    """Exists while configured; the loop runs while active."""

    def __init__(self, node: RoomNode, settings: ExecutorNodeSettings) -> None:
        self._node, self._settings = node, settings
        limits = settings.limits
        eyes = {
            topics.KEYPOINTS.name: settings.keypoints_timeout_s,
            topics.CAMERA_HEALTH.name: settings.camera_timeout_s,
        }
        watched = {**limits.stream_timeouts_s, **{name: patience for name, patience in eyes.items() if patience > 0}}
        limits = limits.model_copy(update={"stream_timeouts_s": watched})
        self._period_s = limits.control_period_s
        names = settings.keep_out_objects
        clearance = ArmClearance(limits.self_clearance_m, limits.keep_out_clearance_m, limits.keep_out_boxes_m, names)
        self._objects = KeepOutObjects(names, clearance)
        self._executor = Executor(
            FR3_LIMITS, limits, ArmKinematics(), (self._objects.check,), (clearance_check(clearance),)
        )
        back_end = BACK_ENDS[settings.robot]
        self._robot: RobotBackend = back_end.make(node, settings, limits.velocity_fraction)
        self._lock = threading.Lock()
        self._chunk: Chunk | None = None
        self._flood = FloodGuard(limits.max_chunk_hz)
        # Neither an emergency stop nor what stopped the arm is forgotten with a body that failed.
        self._emergency = EmergencyStop(node, self._switch_emergency)
        if KEPT_STOP in node.kept:
            self._executor.stop(*node.kept[KEPT_STOP])
        if self._emergency.engaged:
            self._executor.set_emergency_stop(True, node.now_s())
        self._set_points = node.publisher(topics.SET_POINT)
        self._statuses = node.publisher(topics.SAFETY_STATUS)
        self._joint_states = node.publisher(topics.JOINT_STATES) if back_end.tells_joint_states else None
        self._grasped = node.publisher(topics.GRIPPER_GRASPED) if back_end.tells_joint_states else None

    def start(self) -> None:
        self._loop: PacedLoop | None = None
        self._recovery: RecoveryServer | None = None
        self._sent: SetPoint | None = None
        self._follows = False  # whether the arm took the last set-point
        self._last_s = self._told_s = -math.inf
        self._told: tuple[ExecutorState, ReasonCode] | None = None
        self._period_ms, self._misses = 0.0, 0
        self._reporter = SafetyReporter()
        self._kept_width_m: float | None = None
        self._measured: RobotState | None = None
        self._may_arm_itself = self._settings.auto_arm
        node = self._node
        self._robot.start()
        # /diagnostics call a stream silent when the executor does.
        limits = self._settings.limits
        node.subscribe(topics.ACTION_CHUNK, self._receive_chunk, silence_s=limits.chunk_timeout_s)
        if self._settings.keypoints_timeout_s > 0:
            node.subscribe(topics.KEYPOINTS, self._hear_keypoints, silence_s=self._settings.keypoints_timeout_s)
        if self._settings.camera_timeout_s > 0:
            node.subscribe(topics.CAMERA_HEALTH, self._hear_cameras, silence_s=self._settings.camera_timeout_s)
        self._emergency.start()
        node.serve_trigger(topics.ARM_SERVICE, self._arm)
        node.serve_trigger(topics.HOLD_SERVICE, self._hold)
        node.serve_trigger(topics.END_TASK_SERVICE, self._end_task)
        self._recovery = RecoveryServer(
            node, self._robot, self._begin_recovery, self._arm_recovered, self._fail_recovery
        )
        node.every_monotonic(PUBLISHERS_LOOKED_AT_S, self._look_for_others)
        node.report_by(self._report)
        self._loop = PacedLoop(node, self._period_s, self._step, self._stalled, self._settings.clock_patience_s)

    def stop(self) -> None:
        """The last thing sent is a hold.  /clock cannot be heard meanwhile: the wall clock paces the stop.

        Whatever fails on the way, the arm's connection is released.
        """
        with ExitStack() as last:
            last.callback(self._let_go)
            if self._recovery is not None:
                last.callback(self._recovery.end)
            last.callback(self._come_to_rest, ReasonCode.SHUTDOWN)
            if self._loop is not None:
                last.callback(self._loop.end)

    def _let_go(self) -> None:
        """The back end has no command any more: the next arming starts from where the arm is."""
        try:
            self._robot.stop()
        finally:
            with self._lock:
                self._executor.disarm()
            status = self._executor.status()
            self._node.kept.pop(KEPT_STOP, None)
            if status.latched and status.reason is not ReasonCode.SHUTDOWN:
                self._node.kept[KEPT_STOP] = (status.reason, self._node.now_s(), status.reason_text)

    def tear_down(self) -> None:
        pass

    # The control loop ------------------------------------------------------------------------------------------------

    def _step(self, now_s: float) -> None:
        with self._lock:
            self._time(now_s)
            state = self._robot.state()
            if state is not None:
                self._executor.observe(state)
                self._tell_measurement(state)
            if self._may_arm_itself and state is not None and not self._executor.status().latched:
                self._may_arm_itself = not self._try_to_arm(state, now_s)
            self._heed_objection(now_s)
            if self._executor.status().state not in SILENT:
                self._send(now_s)
            if self._chunk is not None:
                chunk, self._chunk = self._chunk, None
                self._executor.submit(chunk, now_s)
            self._tell(now_s)

    def _try_to_arm(self, state: RobotState, now_s: float) -> bool:
        if self._executor.why_not_arm(state, now_s) is not None or self._robot.objection() is not None:
            return False
        try:
            self._robot.engage()
        except VlsError as refusal:
            self._node.facts["not armed by itself"] = str(refusal)
            return False
        return self._executor.arm(state, now_s).accepted

    def _heed_objection(self, now_s: float) -> None:
        """The arm's own refusal stops the executor, for the arm's own reason."""
        objection = self._robot.objection()
        if objection is not None and self._executor.status().state not in SILENT:
            self._executor.stop(objection.reason, now_s, objection.text)

    def _send(self, now_s: float) -> None:
        set_point = self._with_still_hand(self._executor.step(now_s))
        self._follows = self._robot.send(set_point, self._executor.stop_ahead)
        if self._follows:
            self._sent = set_point
            self._set_points.publish(set_point_message(set_point))

    def _with_still_hand(self, set_point: SetPoint) -> SetPoint:
        """From a fault on, until somebody arms again, the fingers stay where they are; a closed grip stays closed."""
        if REASONS[self._executor.status().reason].severity is not Severity.FAULT:
            self._kept_width_m = None
            return set_point
        if self._kept_width_m is None:
            self._robot.stop_hand()
            state = self._robot.state()
            if state is None:
                return set_point
            self._kept_width_m = 0.0 if state.gripper_holds else state.gripper_width_m
        return replace(set_point, gripper_width_m=self._kept_width_m)

    def _tell_measurement(self, state: RobotState) -> None:
        """Joint states and grasp, when nobody else publishes what this arm measures."""
        if self._joint_states is None or self._grasped is None or state is self._measured:
            return
        if self._measured is None or state.gripper_holds != self._measured.gripper_holds:
            self._grasped.publish(Bool(data=state.gripper_holds))
        self._measured = state
        self._joint_states.publish(joint_state_message(state))

    def _stalled(self) -> None:
        """Simulated time stands still: whatever moves by another clock must not go on."""
        if self._executor.status().state in (ExecutorState.TRACKING, ExecutorState.STOPPING):
            text = f"/clock has stood still for {self._settings.clock_patience_s:g} s"
            self._come_to_rest(ReasonCode.CONTROL_STALLED, text)

    def _come_to_rest(self, reason: ReasonCode, text: str = "") -> None:
        with self._lock:
            status = self._executor.status()
            if status.state in SILENT:
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

    def _report(self) -> StreamReport:
        with self._lock:
            return self._reporter.report(self._executor.status(), self._period_ms, self._misses)

    # What others ask for ---------------------------------------------------------------------------------------------

    def _receive_chunk(self, message: ActionChunkMessage) -> None:
        now_s = self._node.now_s()
        if self._flood.counts(now_s):
            with self._lock:
                if self._executor.status().state not in SILENT:
                    self._executor.stop(
                        ReasonCode.CHUNK_FLOOD, now_s, f"at least {self._flood.rate_hz:.0f} chunks a second"
                    )
            return
        try:
            chunk = chunk_of(message)
        except ShapeError as error:
            # Not followed and not forgotten: without a good one in time the executor stops for this reason.
            self._node.facts["last malformed chunk"] = str(error)
            self._node.get_logger().warning(f"malformed chunk: {error}", throttle_duration_sec=1.0)
            with self._lock:
                self._executor.refuse(str(error), now_s)
            return
        self._chunk = chunk

    def _hear_keypoints(self, message: Keypoints) -> None:
        """Their stamp is that of the pictures: a camera that stands still is as silent as one that is gone."""
        try:
            seen = keypoints_of(message) if self._settings.keep_out_objects else None
        except ShapeError as error:
            with self._lock:
                self._executor.beat(topics.KEYPOINTS.name, -math.inf, f"{topics.KEYPOINTS.name}: {error}")
            raise
        with self._lock:
            self._executor.beat(topics.KEYPOINTS.name, min(stamp_seconds(message.header.stamp), self._node.now_s()))
            if seen is not None:
                self._objects.hear(seen)

    def _hear_cameras(self, message: DiagnosticArray) -> None:
        """As long as something is wrong with a camera its last good picture only gets older."""
        heard = cameras_heard(message)
        with self._lock:
            healthy_s = min(heard.healthy_s, self._node.now_s())
            self._executor.beat(topics.CAMERA_HEALTH.name, healthy_s, heard.complaint)

    def _look_for_others(self) -> None:
        other = self._second_publisher()
        if other:
            with self._lock:
                if self._executor.status().state not in SILENT:
                    self._executor.stop(ReasonCode.SECOND_PUBLISHER, self._node.now_s(), other)

    def _second_publisher(self) -> str:
        """Which command topic has more than one publisher, in words; empty when none has."""
        for name in (topics.ACTION_CHUNK.name, topics.SET_POINT.name, *self._robot.command_topics):
            count = self._node.count_publishers(name)
            if count > 1:
                return f"{count} nodes publish {name}"
        return ""

    def _arm(self, recovered: bool = False) -> str:
        other = self._second_publisher()
        if other:
            raise VlsError(other, "Only one may: stop the others, then arm")
        with self._lock:
            state, now_s = self._robot.state(), self._node.now_s()
            if state is None:
                raise VlsError("no joint state was received", "Check the robot connection, then arm")
            refusal = self._executor.why_not_arm(state, now_s, recovered, self._follows)
            if refusal is not None:
                raise VlsError(f"{refusal.reason.name}: {refusal.text}")
            objection = self._robot.objection()
            if objection is not None:
                raise VlsError(f"{objection.reason.name}: {objection.text}", REASONS[objection.reason].cure)
            self._robot.engage()
            self._executor.arm(state, now_s, recovered, self._follows)
        return "armed"

    def _arm_recovered(self) -> str:
        return self._arm(recovered=True)

    def _begin_recovery(self) -> Verdict:
        with self._lock:
            return self._executor.begin_recovery(self._robot.state(), self._node.now_s())

    def _fail_recovery(self, text: str) -> None:
        with self._lock:
            self._executor.fail_recovery(text, self._node.now_s())

    def _hold(self) -> str:
        with self._lock:
            self._executor.stop(ReasonCode.HELD_BY_OPERATOR, self._node.now_s())
        return "stopping; the arm holds until somebody arms"

    def _end_task(self) -> str:
        with self._lock:
            self._executor.stop(ReasonCode.STOP_REQUESTED, self._node.now_s())
        return "stopping; the next good chunk moves the arm again"

    def _switch_emergency(self, engaged: bool) -> None:
        with self._lock:
            self._executor.set_emergency_stop(engaged, self._node.now_s())


def _before_arming(status: SafetyStatus, now_s: float) -> SafetyStatus:
    """Before its first step the executor has no time of its own."""
    return replace(status, stamp_s=now_s, chunk_age_s=math.inf, joint_state_age_s=math.inf)


NODE = NodeDefinition("executor", ExecutorNodeSettings, ExecutorBody)


def main() -> int:
    go_first(Urgency.CONTROLS)
    return run_node(NODE)


if __name__ == "__main__":
    sys.exit(main())
