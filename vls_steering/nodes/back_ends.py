"""The arms that the executor's node can drive: one line each, and what of their settings are ROS parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vls_steering.core.config import Settings
from vls_steering.nodes.base import RoomNode
from vls_steering.nodes.ros2_control import Ros2ControlRobot, Ros2ControlSettings
from vls_steering.nodes.sim_robot import SimRobot
from vls_steering.robots.backend import RobotBackend
from vls_steering.robots.kinematics import ArmKinematics
from vls_steering.robots.libfranka import LibfrankaRobot, LibfrankaSettings

LOOPBACK = "127.0.0.1"


class BackEndSettings(Settings):
    """Parameters of the back ends; only those of the chosen one are looked at."""

    libfranka: LibfrankaSettings = LibfrankaSettings()
    ros2_control: Ros2ControlSettings = Ros2ControlSettings()


@dataclass(frozen=True)
class BackEnd:
    """How to make one, given the share of the arm's velocity limits in use; and whether its measurements have to be
    published for the others.
    """

    make: Callable[[RoomNode, BackEndSettings, float], RobotBackend]
    tells_joint_states: bool = False


def _libfranka(node: RoomNode, settings: LibfrankaSettings, velocity_fraction: float) -> LibfrankaRobot:
    return LibfrankaRobot(settings, ArmKinematics().tcp_pose, node.now_s, velocity_fraction)


BACK_ENDS: Mapping[str, BackEnd] = {
    "sim": BackEnd(lambda node, _settings, _fraction: SimRobot(node)),
    "libfranka": BackEnd(
        lambda node, settings, fraction: _libfranka(node, settings.libfranka, fraction), tells_joint_states=True
    ),
    # The simulated arm behind the same protocol, on this host.
    "protocol": BackEnd(
        lambda node, settings, fraction: _libfranka(
            node, settings.libfranka.model_copy(update={"host": LOOPBACK}), fraction
        ),
        tells_joint_states=True,
    ),
    "ros2_control": BackEnd(lambda node, settings, _fraction: Ros2ControlRobot(node, settings.ros2_control)),
}
