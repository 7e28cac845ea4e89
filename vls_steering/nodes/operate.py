"""What a person asks of a running executor: arm, hold, emergency stop, recovery."""

from __future__ import annotations

import time
from typing import Any

import rclpy
from action_msgs.srv import CancelGoal
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from std_srvs.srv import SetBool, Trigger

from vls_steering.action import RecoverAndArm
from vls_steering.core.errors import ExitCode, VlsError
from vls_steering.nodes import topics

THERE_WITHIN_S = 10.0
ANSWERS_WITHIN_S = 10.0
RECOVERS_WITHIN_S = 60.0
# A busy host may know of a request before it knows where the answer goes, and drop it: all of these may be repeated.
ASK_AGAIN_S = 1.0
POLL_S = 0.02


class Declined(VlsError):
    """The executor is there and says no."""

    exit_code = ExitCode.SAFETY_STOP


class Operator:
    """Asks the executor in `namespace`; use it as a context manager.

    Each method returns what the executor did; raises Declined with its reason, and VlsError when it does not answer.
    """

    def __init__(self, namespace: str = "") -> None:
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node("operator", namespace=namespace)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)

    def __enter__(self) -> Operator:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown()

    def arm(self) -> str:
        """Let it move; it says why not."""
        return self._agreed(self._ask(topics.ARM_SERVICE, Trigger, Trigger.Request()))

    def hold(self) -> str:
        """Take back every task, then stop: a task that went on would move the arm again with its next chunk."""
        cancel = f"{topics.RUN_TASK_ACTION}/_action/cancel_goal"
        client: Any = self._node.create_client(CancelGoal, cancel)
        # First the arm, then the tasks, then the arm again: whatever a task still sent in between.
        said = self._agreed(self._ask(topics.HOLD_SERVICE, Trigger, Trigger.Request()))
        if not self._spin_until(client.service_is_ready, ASK_AGAIN_S):
            return f"{said}; no manager is there whose task could be taken back"
        taken_back = len(self._ask(cancel, CancelGoal, CancelGoal.Request()).goals_canceling)
        said = self._agreed(self._ask(topics.HOLD_SERVICE, Trigger, Trigger.Request()))
        return f"{said}; tasks taken back: {taken_back}"

    def emergency_stop(self, engaged: bool) -> str:
        """Engaged while any source engages it."""
        what = "engaged" if engaged else "released"
        try:
            answer = self._ask(topics.ESTOP_SERVICE, SetBool, SetBool.Request(data=engaged))
        except VlsError as error:
            problem = f"the emergency stop was NOT {what}: {error.problem}"
            raise VlsError(problem, "Use the button on the cell") from error
        return f"emergency stop {what}: {self._agreed(answer)}"

    def recover_and_arm(self) -> str:
        """Carry out the back end's own steps, then arm."""
        actions: Any = ActionClient(self._node, RecoverAndArm, topics.RECOVER_ACTION)
        try:
            self._await(actions.server_is_ready, THERE_WITHIN_S, topics.RECOVER_ACTION)
            sent = actions.send_goal_async(RecoverAndArm.Goal(arm=True))
            self._await(sent.done, ANSWERS_WITHIN_S, topics.RECOVER_ACTION)
            result = sent.result().get_result_async()
            self._await(result.done, RECOVERS_WITHIN_S, topics.RECOVER_ACTION)
            return f"recovered and armed: {self._agreed(result.result().result)}"
        finally:
            actions.destroy()

    def _ask(self, service: str, kind: Any, request: Any) -> Any:
        client: Any = self._node.create_client(kind, service)
        self._await(client.service_is_ready, THERE_WITHIN_S, service)
        give_up_s = time.monotonic() + ANSWERS_WITHIN_S
        futures = []
        while time.monotonic() < give_up_s:
            futures.append(client.call_async(request))
            self._spin_until(lambda: any(future.done() for future in futures), ASK_AGAIN_S)
            for future in futures:
                if future.done():
                    return future.result()
        raise VlsError(f"{self._node.resolve_service_name(service)} does not answer", "Look into the executor's log")

    def _agreed(self, answer: Any) -> str:
        if not answer.success:
            raise Declined(str(answer.message), "Remove the cause, then ask again")
        return str(answer.message)

    def _await(self, condition: Any, within_s: float, name: str) -> None:
        if not self._spin_until(condition, within_s):
            where = self._node.resolve_service_name(name)
            cure = "Is the graph running, with the same ROS_DOMAIN_ID and --namespace"
            raise VlsError(f"{where} was not there within {within_s:g} s", cure)

    def _spin_until(self, condition: Any, within_s: float) -> bool:
        give_up_s = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > give_up_s:
                return False
            self._executor.spin_once(timeout_sec=POLL_S)
        return True
