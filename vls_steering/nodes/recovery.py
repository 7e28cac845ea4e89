"""The `recover_and_arm` action: the back end's own steps, on a thread of their own, then arming."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.task import Future

from vls_steering.action import RecoverAndArm
from vls_steering.core.errors import VlsError
from vls_steering.nodes import topics
from vls_steering.nodes.base import RoomNode
from vls_steering.robots.backend import RecoveryStep, RobotBackend
from vls_steering.safety import ReasonCode, Verdict

STEP_WITHIN_S = 5.0  # that a shutdown waits for the step under way


class RecoveryServer:
    """One recovery at a time; `begin`, `arm` and `fail` are the executor's side of it, on the node's thread."""

    def __init__(
        self,
        node: RoomNode,
        robot: RobotBackend,
        begin: Callable[[], Verdict],
        arm: Callable[[], str],
        fail: Callable[[str], None],
    ) -> None:
        self._node, self._robot = node, robot
        self._begin, self._arm, self._fail = begin, arm, fail
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        server = ActionServer(
            node,
            RecoverAndArm,
            topics.RECOVER_ACTION,
            execute_callback=self._execute,
            goal_callback=lambda _goal: GoalResponse.ACCEPT,
            # Half a recovery is no state to leave an arm in.
            cancel_callback=lambda _handle: CancelResponse.REJECT,
        )
        node.own(server.destroy)

    def end(self) -> None:
        """Begin no further step, and return when the one under way is over; the executor's side is told at once."""
        self._ending.set()
        self._fail("the executor is being shut down")
        if self._thread is not None:
            self._thread.join(STEP_WITHIN_S)
            if self._thread.is_alive():
                raise TimeoutError(f"a step of the recovery took longer than {STEP_WITHIN_S:g} s")

    async def _execute(self, handle: Any) -> RecoverAndArm.Result:
        result = RecoverAndArm.Result()
        verdict = self._begin()
        if not verdict.accepted:
            return _refused(handle, result, verdict.reason, verdict.text)
        ended: Any = Future()
        self._thread = threading.Thread(target=self._run, args=(handle, result, ended), name="recovery", daemon=True)
        self._thread.start()
        failure = await ended
        if self._ending.is_set():
            return result  # nobody is left to be told, and nothing to be armed
        if failure:
            self._fail(failure)
            return _refused(handle, result, ReasonCode.RECOVERY_FAILED, failure)
        if not handle.request.arm:
            self._fail("recovered, not armed: arm when the cell is ready")
        else:
            try:
                self._arm()
            except VlsError as refusal:
                self._fail(f"arm: {refusal}")
                return _refused(handle, result, ReasonCode.RECOVERY_FAILED, f"arm: {refusal}")
            result.done.append("arm")
        result.success, result.message = True, ", ".join(result.done) or "nothing to recover"
        handle.succeed()
        return result

    def _run(self, handle: Any, result: RecoverAndArm.Result, ended: Future) -> None:
        """On a thread of its own; what failed is the future's result, empty when nothing did."""
        failure = ""
        try:
            steps = self._robot.recovery()
            for index, step in enumerate(steps):
                if self._ending.is_set():
                    failure = "the executor is being shut down"
                    break
                handle.publish_feedback(RecoverAndArm.Feedback(step=step.name, index=index, steps=len(steps)))
                failure = _carry_out(step)
                if failure:
                    break
                result.done.append(step.name)
        finally:
            ended.set_result(failure)


def _carry_out(step: RecoveryStep) -> str:
    try:
        step.run()
    except Exception as error:  # noqa: BLE001 - whatever breaks, the action must answer and say where
        return f"{step.name}: {error}"
    return ""


def _refused(handle: Any, result: RecoverAndArm.Result, reason: ReasonCode, text: str) -> RecoverAndArm.Result:
    handle.abort()
    result.success, result.reason_code, result.message = False, reason.value, text
    return result
