"""A policy's stand-in for the fault and control benches: random valid chunks, until told otherwise.

It wanders through the middle of the workspace.  `stand_in/do` says how it is to misbehave; the names are those of
`MISDEEDS`.  A process of its own, so that it can be killed and stalled like a real one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.timer import Timer
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from vls_steering.core.arrays import FloatArray
from vls_steering.core.errors import ShapeError
from vls_steering.core.types import DOWN_QUAT_XYZW, GRIPPER_OPEN_M, ActionChunk
from vls_steering.msg import ActionChunk as ActionChunkMessage
from vls_steering.msg import SafetyStatus
from vls_steering.nodes import topics
from vls_steering.nodes.conversions import chunk_message, robot_state_of
from vls_steering.nodes.scheduling import Urgency, go_first
from vls_steering.nodes.topics import LATCHED, Topic
from vls_steering.robots.kinematics import ArmKinematics

DO = Topic("stand_in/do", String, LATCHED)
PERIOD_S, STEP_S, STEPS = 0.05, 0.05, 24
MIDDLE_M, REACH_M = np.array([0.45, 0.0, 0.32]), np.array([0.08, 0.16, 0.08])
FASTEST_HZ = 0.25
FLOOD = 2  # chunks a millisecond, or as many as this process can
FRESH_S = 0.5  # a plan whose last chunk is older starts again from where the arm is


class Wander:
    """A smooth random path that leaves from anywhere: sines with random rates and phases, faded in."""

    def __init__(self, seed: int, start_m: FloatArray, start_s: float) -> None:
        rng = np.random.default_rng(seed)
        self._rates = 2 * np.pi * rng.uniform(0.3, 1.0, 3) * FASTEST_HZ
        self._phases = rng.uniform(0.0, 2 * np.pi, 3)
        self._start_m, self._start_s = start_m, start_s

    def at(self, time_s: float) -> FloatArray:
        elapsed = max(time_s - self._start_s, 0.0)
        share = 1.0 - np.exp(-((elapsed / 2.0) ** 3))
        there = MIDDLE_M + REACH_M * np.sin(self._rates * elapsed + self._phases)
        return np.asarray(self._start_m + share * (there - self._start_m))


class StandInPolicy:
    """One chunk every 50 ms along its path, changed by the misdeed in force."""

    def __init__(self, seed: int) -> None:
        self._node = node = rclpy.create_node("stand_in_policy")
        self._seed = seed
        self._kinematics = ArmKinematics()
        self._tcp: FloatArray | None = None
        self._wander: Wander | None = None
        self._told_s = 0.0
        self._width_m = GRIPPER_OPEN_M
        self._misdeed = ""
        self._sequence = 0
        self._tracks = False
        self._last: ActionChunkMessage | None = None
        self._chunks = node.create_publisher(
            topics.ACTION_CHUNK.type, topics.ACTION_CHUNK.name, topics.ACTION_CHUNK.quality
        )
        node.create_subscription(JointState, topics.JOINT_STATES.name, self._measured, topics.JOINT_STATES.quality)
        node.create_subscription(SafetyStatus, topics.SAFETY_STATUS.name, self._look, topics.SAFETY_STATUS.quality)
        node.create_subscription(String, DO.name, self._told, DO.quality)
        node.create_timer(PERIOD_S, self._tick)
        self._pouring: Timer | None = None  # alive while it floods: a thousand wake-ups a second cost half a core

    def spin(self) -> None:
        executor = SingleThreadedExecutor()
        executor.add_node(self._node)
        try:
            executor.spin()
        except (KeyboardInterrupt, ExternalShutdownException):
            pass
        finally:
            executor.shutdown()
            self._node.destroy_node()
            rclpy.try_shutdown()

    def _now_s(self) -> float:
        return self._node.get_clock().now().nanoseconds * 1e-9

    def _measured(self, message: JointState) -> None:
        try:
            self._tcp = robot_state_of(message, self._kinematics.tcp_pose).tcp_position
        except ShapeError:
            return

    def _look(self, message: SafetyStatus) -> None:
        self._tracks = message.state == SafetyStatus.STATE_TRACKING

    def _told(self, message: String) -> None:
        word, _, value = message.data.partition(" ")
        self._misdeed = word
        if self._pouring is not None:
            self._node.destroy_timer(self._pouring)
            self._pouring = None
        if word == "flood":
            self._pouring = self._node.create_timer(0.001, self._flood)
        if word == "stall":
            time.sleep(float(value))
            self._misdeed = ""
        elif word == "grip":
            self._width_m, self._misdeed = float(value), ""

    def _tick(self) -> None:
        now_s = self._now_s()
        if self._tcp is None:
            return
        # Whoever does not move for another reason than this node's is planned for from where it stands.
        stands = not self._tracks and not self._misdeed
        if self._wander is None or stands or now_s - self._told_s > FRESH_S:
            self._seed += 1
            self._wander = Wander(self._seed, self._tcp, now_s)
        self._told_s = now_s
        chunk = self._chunk(now_s)
        misdeed = MISDEEDS.get(self._misdeed)
        message = chunk_message(chunk)
        self._chunks.publish(misdeed(message, self._last) if misdeed is not None else message)
        self._last = message

    def _flood(self) -> None:
        if self._last is not None:
            for _ in range(FLOOD):
                self._chunks.publish(self._last)

    def _chunk(self, now_s: float) -> ActionChunk:
        assert self._wander is not None
        times = np.asarray(now_s + STEP_S * np.arange(1, STEPS + 1), dtype=np.float64)
        positions = np.array([self._wander.at(t) for t in times])
        quats = np.tile(DOWN_QUAT_XYZW, (STEPS, 1))
        self._sequence += 1
        widths = np.full(STEPS, self._width_m)
        return ActionChunk(now_s, times, positions, quats, widths, sequence=self._sequence)


def _shifted(message: ActionChunkMessage, shift_s: float) -> ActionChunkMessage:
    stamp = message.header.stamp
    nanoseconds = stamp.sec * 10**9 + stamp.nanosec + round(shift_s * 1e9)
    stamp.sec, stamp.nanosec = divmod(nanoseconds, 10**9)
    return message


def _jumped(message: ActionChunkMessage) -> ActionChunkMessage:
    aside_m = 0.3 if message.poses[0].position.y < 0 else -0.3
    for pose in message.poses:
        pose.position.y += aside_m
    return message


def _not_a_number(message: ActionChunkMessage) -> ActionChunkMessage:
    message.poses[3].position.x = float("nan")
    return message


def _long(message: ActionChunkMessage) -> ActionChunkMessage:
    count = 2_000
    message.times_from_stamp_s = (0.05 * np.arange(1, count + 1)).tolist()
    message.poses = [message.poses[0]] * count
    message.gripper_widths_m = [0.08] * count
    return message


# What a chunk becomes, given the one before it.
MISDEEDS: Mapping[str, Callable[[ActionChunkMessage, ActionChunkMessage | None], ActionChunkMessage]] = {
    "stale": lambda message, _last: _shifted(message, -3.0),
    "skewed": lambda message, _last: _shifted(message, 2.0),
    # Every second one, so that good ones come in between.
    "reordered": lambda message, _last: _shifted(message, -3 * PERIOD_S) if message.sequence % 2 else message,
    "duplicated": lambda message, last: last if last is not None and message.sequence % 2 else message,
    "jumping": lambda message, _last: _jumped(message),
    "nan": lambda message, _last: _not_a_number(message),
    "empty": lambda message, _last: ActionChunkMessage(header=message.header),
    "huge": lambda message, _last: _long(message),
}


def main() -> int:
    go_first(Urgency.PLANS)  # as the policy node does
    rclpy.init(args=sys.argv)
    StandInPolicy(seed=int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdigit() else 0).spin()
    return 0


if __name__ == "__main__":
    sys.exit(main())
