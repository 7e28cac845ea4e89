"""The message types of franka_ros2 and ros2_control: the only place that imports them, and only when asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vls_steering.core.errors import ConfigurationError


@dataclass(frozen=True)
class FrankaInterfaces:
    """Classes under the names that their packages give them."""

    JointTrajectory: Any
    JointTrajectoryPoint: Any
    FollowJointTrajectory: Any
    Grasp: Any
    Move: Any
    ErrorRecovery: Any
    FrankaRobotState: Any
    SwitchController: Any
    SetHardwareComponentState: Any


def franka_interfaces() -> FrankaInterfaces:
    """Raises ConfigurationError with the missing package."""
    try:
        from control_msgs.action import FollowJointTrajectory
        from controller_manager_msgs.srv import SetHardwareComponentState, SwitchController
        from franka_msgs.action import ErrorRecovery, Grasp, Move
        from franka_msgs.msg import FrankaRobotState
        from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint
    except ImportError as error:
        raise ConfigurationError(
            f"{error.name or error} is not installed: robot:=ros2_control needs the messages of franka_ros2",
            "Source a workspace with franka_ros2, ros2_control and control_msgs, or use robot:=libfranka",
        ) from error
    return FrankaInterfaces(
        JointTrajectory,
        JointTrajectoryPoint,
        FollowJointTrajectory,
        Grasp,
        Move,
        ErrorRecovery,
        FrankaRobotState,
        SwitchController,
        SetHardwareComponentState,
    )
