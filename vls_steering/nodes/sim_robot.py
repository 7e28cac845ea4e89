"""The simulated arm as the executor's node sees it: topics of the sim bridge, named as franka_ros2 names them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from sensor_msgs.msg import JointState
from std_msgs.msg import Bool

from vls_steering.core.errors import ShapeError
from vls_steering.core.types import RobotState, SetPoint
from vls_steering.nodes import topics
from vls_steering.nodes.base import RoomNode
from vls_steering.nodes.conversions import robot_state_of, stamp_seconds
from vls_steering.robots.backend import Objection, RecoveryStep, StopAhead
from vls_steering.robots.kinematics import ArmKinematics

JOINT_STATE_HZ = 100.0
WAITING = 16  # more would be older than any use of them
ROUNDING_S = 1e-6  # of a stamp


class JointStateReader:
    """The newest joint states that are not ahead of the node's clock, as a RobotState for whoever asks.

    /clock and joint states arrive one after the other: a busy node may hear of a measurement before it hears that its
    instant has come.  Messages that lack arm joints belong to another arm or gripper and are ignored.
    """

    def __init__(self, node: RoomNode, kinematics: ArmKinematics) -> None:
        self._node, self._kinematics = node, kinematics

    def start(self) -> None:
        self._waiting: deque[tuple[JointState, bool]] = deque(maxlen=WAITING)
        self._state: RobotState | None = None
        self._holds = False
        self._node.subscribe(topics.JOINT_STATES, self._measured, JOINT_STATE_HZ)
        self._node.subscribe(topics.GRIPPER_GRASPED, self._grasped)

    def newest(self) -> RobotState | None:
        """Kinematics included; the same object until something new is due.  One calling thread at a time."""
        now_s = self._node.now_s()
        due = None
        while self._waiting and stamp_seconds(self._waiting[0][0].header.stamp) <= now_s + ROUNDING_S:
            due = self._waiting.popleft()
        if due is not None:
            try:
                self._state = robot_state_of(due[0], self._kinematics.tcp_pose, due[1])
                self._node.complaints["joint states"] = ""
            except ShapeError as error:
                self._node.complaints["joint states"] = str(error)
        return self._state

    def _measured(self, message: JointState) -> None:
        self._waiting.append((message, self._holds))

    def _grasped(self, message: Bool) -> None:
        self._holds = bool(message.data)


class SimRobot:
    """RobotBackend of the simulation."""

    command_topics = ()  # the executor's own set-points

    def __init__(self, node: RoomNode) -> None:
        self._reader = JointStateReader(node, ArmKinematics())

    def start(self) -> None:
        self._reader.start()

    def state(self) -> RobotState | None:
        return self._reader.newest()

    def engage(self) -> None:
        """The bridge always listens."""

    def send(self, set_point: SetPoint, stop_ahead: StopAhead) -> bool:
        """Nothing to do: the bridge obeys `executor/set_point`, which the node publishes for every back end."""
        return True

    def stop_hand(self) -> None:
        """The set-points say so: from the stop on the node has them keep the width."""

    def objection(self) -> Objection | None:
        return None

    def recovery(self) -> Sequence[RecoveryStep]:
        """Nothing in it can fail that arming would not clear."""
        return ()

    def stop(self) -> None:
        """The bridge holds the last set-point."""
