"""The demo's own node: waits for bring-up, sends the instruction, follows it, logs it.

It spins on a thread of its own; the main thread looks at its attributes and keeps Ctrl-C, the processes and the
terminal.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.action import ActionClient
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from vls_steering.action import RunTask
from vls_steering.msg import SafetyStatus, SteeringStatus
from vls_steering.nodes import topics
from vls_steering.nodes.bringup import State
from vls_steering.nodes.node_set import MANAGER
from vls_steering.nodes.task_watch import TaskError
from vls_steering.nodes.topic_log import LOGGED, TopicLog

CANCEL_WITHIN_S = 10.0  # wall time; the world may be slowed down
AT_REST_RAD_S = 0.005
HEARD_S = 0.3  # until a cancel has reached the executor


class DemoClient:
    """One instruction, from goal to result; use it as a context manager."""

    def __init__(self) -> None:
        # Ctrl-C belongs to the main thread: the arm must be told to hold while ROS 2 still works.
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        node = rclpy.create_node("demo")
        self._node = node
        self.node_states: dict[str, str] = {}
        self.feedback: RunTask.Feedback | None = None
        self.steering: SteeringStatus | None = None
        self.safety: SafetyStatus | None = None
        self.result: RunTask.Result | None = None
        self.last_news_s = time.monotonic()  # of the steering
        self.log = TopicLog(node, LOGGED)
        self._goal: Any = None
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 50)
        node.create_subscription(SteeringStatus, topics.STEERING_STATUS.name, self._on_steering, 1)
        node.create_subscription(SafetyStatus, topics.SAFETY_STATUS.name, self._on_safety, 1)
        self._tasks: Any = ActionClient(node, RunTask, topics.RUN_TASK_ACTION)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._spin, name="demo client", daemon=True)
        self._thread.start()

    def __enter__(self) -> DemoClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop spinning, then leave ROS 2: in this order, or the process aborts."""
        self._executor.shutdown()
        self._thread.join(timeout=5.0)
        self._node.destroy_node()
        rclpy.try_shutdown()

    @property
    def is_up(self) -> bool:
        """Every managed node is active and the manager takes goals."""
        active = bool(self.node_states) and all(state == State.ACTIVE.value for state in self.node_states.values())
        return active and self.safety is not None and bool(self._tasks.server_is_ready())

    def begin(self, instruction: str, timeout_s: float) -> None:
        """Send the goal; `result` is set when it has ended, whatever way."""
        self.result = self.feedback = None
        self.last_news_s = time.monotonic()
        goal = RunTask.Goal(instruction=instruction, timeout_s=timeout_s)
        sent = self._tasks.send_goal_async(goal, feedback_callback=self._on_feedback)
        sent.add_done_callback(self._on_answer)

    def cancel(self) -> bool:
        """Ask for the end of the task and wait for it; whether the arm was seen to be at rest."""
        goal = self._goal
        if goal is not None and self.result is None:
            goal.cancel_goal_async()
            time.sleep(HEARD_S)
        return self.rests_within(CANCEL_WITHIN_S)

    def rests_within(self, patience_s: float) -> bool:
        """Whether, within the time, what is sent to the arm stands still; an arm that was sent nothing does."""
        give_up_s = time.monotonic() + patience_s
        while time.monotonic() < give_up_s:
            sent = self.log.newest(topics.SET_POINT)
            if sent is None or max(abs(velocity) for velocity in sent.joint_velocities) < AT_REST_RAD_S:
                return True
            time.sleep(0.05)
        return False

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()

    def _on_answer(self, future: Any) -> None:
        goal = future.result()
        if goal is None or not goal.accepted:
            self.result = RunTask.Result(
                success=False, error_code=int(TaskError.NOT_READY), error_msg="the manager did not take the goal"
            )
            return
        self._goal = goal
        goal.get_result_async().add_done_callback(self._on_result)

    def _on_result(self, future: Any) -> None:
        self.result = future.result().result

    def _on_feedback(self, message: Any) -> None:
        self.feedback = message.feedback

    def _on_steering(self, message: SteeringStatus) -> None:
        self.steering = message
        self.last_news_s = time.monotonic()

    def _on_safety(self, message: SafetyStatus) -> None:
        self.safety = message

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        """The manager's own line tells the state of every node that it manages."""
        for status in message.status:
            if status.name == f"{MANAGER.name}: lifecycle":
                facts = {pair.key: pair.value for pair in status.values}
                facts.pop("phase", None)
                self.node_states = facts
