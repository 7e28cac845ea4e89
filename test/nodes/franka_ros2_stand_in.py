"""franka_ros2 as far as the back end sees it: the interfaces, with their refusals, aborts and preemptions."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import rclpy
from control_msgs.action import FollowJointTrajectory
from controller_manager_msgs.srv import SetHardwareComponentState, SwitchController
from franka_msgs.action import ErrorRecovery, Grasp, Move
from franka_msgs.msg import FrankaRobotState
from nodes.trajectory_controller import TrajectoryController
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import JointState
from trajectory_msgs.msg import JointTrajectory

from vls_steering.core.types import ARM_JOINTS, GRIPPER_OPEN_M
from vls_steering.robots.kinematics import NOMINAL_POSTURE

HOME = np.array(NOMINAL_POSTURE)
OTHER, IDLE, REFLEX = 0, 1, 4
JTC = "fr3_arm_controller"
PERIOD_S = 0.01


class StandIn:
    """franka_ros2 as far as the back end sees it; `wants` says what it is to refuse, abort or find."""

    def __init__(self, node: Any) -> None:
        self.node = node
        self.wants: set[str] = set()
        self.trajectories: list[JointTrajectory] = []
        self.controller = TrajectoryController(HOME)
        self.recovered: list[str] = []
        self.mode = IDLE
        self._joints = node.create_publisher(JointState, "franka/joint_states", qos_profile_sensor_data)
        self._fingers = node.create_publisher(JointState, "franka_gripper/joint_states", qos_profile_sensor_data)
        self._states = node.create_publisher(FrankaRobotState, "franka_robot_state_broadcaster/robot_state", 1)
        node.create_subscription(JointTrajectory, f"{JTC}/joint_trajectory", self._streamed, 10)
        self._goal: Any = None
        self._cancelled: Any = None
        self.grasps = 0
        for kind, name, execute in (
            (FollowJointTrajectory, f"{JTC}/follow_joint_trajectory", self._follow),
            (Grasp, "franka_gripper/grasp", self._grasp),
            (Move, "franka_gripper/move", self._move),
            (ErrorRecovery, "action_server/error_recovery", self._recover),
        ):
            ActionServer(node, kind, name, execute, goal_callback=self._judge, cancel_callback=self._cancel)
        node.create_service(SwitchController, "controller_manager/switch_controller", self._switch)
        node.create_service(
            SetHardwareComponentState, "controller_manager/set_hardware_component_state", self._activate
        )
        node.create_timer(0.01, self._tell)

    def _tell(self) -> None:
        message = JointState(name=list(ARM_JOINTS), position=HOME.tolist(), velocity=[0.0] * 7)
        message.header.stamp = self.node.get_clock().now().to_msg()
        if "joints of no number" in self.wants:
            message.velocity[2] = math.nan
        self._joints.publish(message)
        finger_m = math.nan if "fingers of no number" in self.wants else GRIPPER_OPEN_M / 2
        self._fingers.publish(JointState(name=["fr3_finger_joint1", "fr3_finger_joint2"], position=[finger_m] * 2))
        state = FrankaRobotState(robot_mode=self.mode)
        state.current_errors.cartesian_reflex = self.mode == REFLEX
        if "mute" not in self.wants:
            self._states.publish(state)

    def _judge(self, _goal: Any) -> GoalResponse:
        return GoalResponse.REJECT if "refuse" in self.wants else GoalResponse.ACCEPT

    def _cancel(self, _handle: Any) -> CancelResponse:
        if self._cancelled is not None:
            self._cancelled.set_result(True)
        return CancelResponse.ACCEPT

    def _streamed(self, message: JointTrajectory) -> None:
        """As the controller does: a trajectory on the topic preempts the goal in force."""
        self.trajectories.append(message)
        self.controller.take(time.monotonic(), message)
        if self._goal is not None and not self._goal.done():
            self._goal.set_result("preempted")

    async def _follow(self, handle: Any) -> FollowJointTrajectory.Result:
        result = FollowJointTrajectory.Result()
        if "abort" in self.wants:
            result.error_code, result.error_string = result.PATH_TOLERANCE_VIOLATED, "joint 4 left its tolerance"
            handle.abort()
            return result
        self._goal = rclpy.task.Future()
        await self._goal
        handle.abort() if "gives up" in self.wants else handle.succeed()
        return result

    async def _grasp(self, handle: Any) -> Grasp.Result:
        self.grasps += 1
        if "slow grasp" in self.wants:
            self._cancelled = rclpy.task.Future()
            await self._cancelled
            handle.canceled()
            return Grasp.Result()
        handle.succeed()
        return Grasp.Result(success="object" in self.wants)

    def _move(self, handle: Any) -> Move.Result:
        handle.succeed()
        return Move.Result(success="jam" not in self.wants, error="jammed" if "jam" in self.wants else "")

    def _recover(self, handle: Any) -> ErrorRecovery.Result:
        self.recovered.append("clear")
        self.mode = IDLE
        handle.succeed()
        return ErrorRecovery.Result()

    def _switch(self, request: Any, response: Any) -> Any:
        self.recovered.append("activate" if request.activate_controllers else "deactivate")
        response.ok = "stuck controller" not in self.wants
        return response

    def _activate(self, request: Any, response: Any) -> Any:
        self.recovered.append(f"hardware {request.target_state.label}")
        response.ok = True
        return response
