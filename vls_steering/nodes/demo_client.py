"""The node of `vls demo` and `vls tell`: waits for bring-up, sends the instruction, follows it, logs it.

It spins on a thread of its own; the main thread looks at its attributes and keeps Ctrl-C, the processes and the
terminal.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable
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
    """One instruction, from goal to result; use it as a context manager.

    `namespace` is that of the graph; `logged` are the topics that are kept, the set-points among them.
    """

    def __init__(self, name: str = "demo", namespace: str = "", logged: Iterable[topics.Topic[Any]] = LOGGED) -> None:
        # Ctrl-C belongs to the main thread: the arm must be told to hold while ROS 2 still works.
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        node = rclpy.create_node(name, namespace=namespace)
        self._node = node
        self._manager = f"{namespace.strip('/')}/{MANAGER.name}: lifecycle".lstrip("/")
        self.node_states: dict[str, str] = {}
        self.feedback: RunTask.Feedback | None = None
        self.steering: SteeringStatus | None = None
        self.safety: SafetyStatus | None = None
        self.result: RunTask.Result | None = None
        self.last_news_s = time.monotonic()  # of the steering
        self.log = TopicLog(node, logged)
        self._goal: Any = None
        self._sent: Any = None
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
        self.result = self.feedback = self._goal = None
        self.last_news_s = time.monotonic()
        goal = RunTask.Goal(instruction=instruction, timeout_s=timeout_s)
        self._sent = self._tasks.send_goal_async(goal, feedback_callback=self._on_feedback)
        self._sent.add_done_callback(self._on_answer)

    def cancel(self) -> bool:
        """Ask for the end of the task and wait for it; whether the arm was seen to be at rest."""
        give_up_s = time.monotonic() + CANCEL_WITHIN_S
        while self._sent is not None and self._goal is None and self.result is None and time.monotonic() < give_up_s:
            time.sleep(0.02)  # only a goal that was taken can be cancelled, and it must not begin after we have left
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
            if status.name == self._manager:
                facts = {pair.key: pair.value for pair in status.values}
                facts.pop("phase", None)
                self.node_states = facts
