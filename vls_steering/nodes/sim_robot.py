"""The simulated arm as the executor's node sees it: topics of the sim bridge, named as franka_ros2 names them."""

from __future__ import annotations

from sensor_msgs.msg import JointState
from std_msgs.msg import Bool

from vls_steering.core.errors import ShapeError
from vls_steering.core.types import RobotState, SetPoint
from vls_steering.nodes import topics
from vls_steering.nodes.base import RoomNode
from vls_steering.nodes.conversions import robot_state_of
from vls_steering.robots.kinematics import ArmKinematics

JOINT_STATE_HZ = 100.0


class JointStateReader:
    """The newest joint states and grasp, turned into a RobotState when somebody asks.

    Messages that lack arm joints belong to somebody else's arm or gripper and are ignored.
    """

    def __init__(self, node: RoomNode, kinematics: ArmKinematics) -> None:
        self._node = node
        self._kinematics = kinematics
        self._message: JointState | None = None
        self._holds = False
        self._converted: tuple[JointState, bool] | None = None
        self._state: RobotState | None = None

    def start(self) -> None:
        self._message = self._converted = self._state = None
        self._node.subscribe(topics.JOINT_STATES, self._measured, JOINT_STATE_HZ)
        self._node.subscribe(topics.GRIPPER_GRASPED, self._grasped)

    def newest(self) -> RobotState | None:
        """Kinematics included; the same object until something new was received."""
        message, holds = self._message, self._holds
        if message is not None and self._converted != (message, holds):
            try:
                self._state = robot_state_of(message, self._kinematics.tcp_pose, holds)
            except ShapeError as error:
                self._node.facts["joint states"] = str(error)
            self._converted = (message, holds)
        return self._state

    def _measured(self, message: JointState) -> None:
        self._message = message

    def _grasped(self, message: Bool) -> None:
        self._holds = bool(message.data)


class SimRobot:
    """RobotBackend of the simulation."""

    def __init__(self, node: RoomNode) -> None:
        self._reader = JointStateReader(node, ArmKinematics())

    def start(self) -> None:
        self._reader.start()

    def state(self) -> RobotState | None:
        return self._reader.newest()

    def send(self, set_point: SetPoint) -> None:
        """Nothing to do: the bridge obeys `executor/set_point`, which the node publishes for every back end."""

    def stop(self) -> None:
        """The bridge holds the last set-point."""
