"""Brings the nodes up in order and down in reverse, watches that they live, and carries out `run_task`."""

from __future__ import annotations

import sys
from typing import Any

from pydantic import Field
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.task import Future
from std_msgs.msg import String
from std_srvs.srv import Trigger

from vls_steering.action import RunTask
from vls_steering.core.config import Settings
from vls_steering.msg import SafetyStatus, SteeringStatus, VlmStatus
from vls_steering.nodes import topics
from vls_steering.nodes.base import NodeDefinition, RoomNode
from vls_steering.nodes.bringup import Goal, State, Step, next_step, reached
from vls_steering.nodes.conversions import stamp_seconds
from vls_steering.nodes.fleet import Fleet
from vls_steering.nodes.node_set import MANAGER, SIMULATED_ROBOTS, nodes_for
from vls_steering.nodes.run import run_node
from vls_steering.nodes.streams import Level, StreamReport
from vls_steering.nodes.task_watch import Answer, Outcome, TaskError, TaskProgress, TaskTimes, TaskWatch
from vls_steering.safety.reasons import ReasonCode
from vls_steering.safety.status import ExecutorState

PERIOD_S = 0.1
STEERING_SILENCE_S = 1.0  # for /diagnostics: the policy reports every tick, a tenth of this


class ManagerSettings(Settings):
    """Parameters of the manager."""

    robot: str = Field("sim", description="robot back end: decides which nodes are managed")
    nodes: tuple[str, ...] = Field((), description="managed nodes in bring-up order; empty: the robot's node set")
    autostart: bool = Field(True, description="bring the nodes up at once")
    silence_s: float = Field(5.0, gt=0, le=60, description="s without an answer after which a node counts as lost")
    transition_s: float = Field(90.0, gt=0, le=600, description="s that a transition may take (loading weights)")
    task_timeout_s: float = Field(90.0, gt=0, le=3600, description="s until a task counts as failed")
    planning_timeout_s: float = Field(45.0, gt=0, le=600, description="s until a reward program must be accepted")
    executor_silence_s: float = Field(1.0, gt=0, le=10, description="s without executor status that end a task")


class ManagerBody:
    """Lifecycle of the others, and one task at a time."""

    drain_within_s = 10.0

    def __init__(self, node: RoomNode, settings: ManagerSettings) -> None:
        self._node, self._settings = node, settings
        managed = settings.nodes or tuple(e.name for e in nodes_for(settings.robot) if e is not MANAGER)
        self._fleet = Fleet(node, managed, settings.silence_s, settings.transition_s)
        self._goal: Goal | None = Goal.UP if settings.autostart else None
        self._was_up = False
        self._refused: Step | None = None
        self._loss = ""  # what became of the node set since it was up; kept until somebody asks for something else
        self._drained: Future | None = None
        self._task: TaskWatch | None = None
        self._task_done: Future | None = None
        self._goal_handle: Any = None
        self._latest_safety: SafetyStatus | None = None
        self._instruction = node.publisher(topics.INSTRUCTION)
        self._arm: Any = node.create_client(Trigger, topics.ARM_SERVICE)
        self._hold: Any = node.create_client(Trigger, topics.HOLD_SERVICE)
        self._end_task: Any = node.create_client(Trigger, topics.END_TASK_SERVICE)
        node.own(lambda: node.destroy_client(self._arm))
        node.own(lambda: node.destroy_client(self._hold))
        node.own(lambda: node.destroy_client(self._end_task))

    def start(self) -> None:
        node = self._node
        node.subscribe(topics.VLM_STATUS, self._on_vlm)
        node.subscribe(topics.STEERING_STATUS, self._on_steering, silence_s=STEERING_SILENCE_S)
        node.subscribe(topics.SAFETY_STATUS, self._on_safety, silence_s=self._settings.executor_silence_s)
        node.serve_trigger("manager/bring_up", lambda: self._aim(Goal.UP))
        node.serve_trigger("manager/shut_down", lambda: self._aim(Goal.DOWN))
        server = ActionServer(
            node,
            RunTask,
            topics.RUN_TASK_ACTION,
            execute_callback=self._execute,
            goal_callback=lambda _goal: GoalResponse.ACCEPT,
            cancel_callback=self._cancel,
        )
        node.own(server.destroy)
        node.every_monotonic(PERIOD_S, self._tick)
        node.report_by(self._report)

    def stop(self) -> None:
        if self._task is not None:
            self._task.end(TaskError.CANCELED, "the manager was stopped")
            self._finish_task()
        _ask(self._end_task)

    def tear_down(self) -> None:
        pass

    def drain(self) -> Future:
        """Take every node down in reverse order; done when all are."""
        self._drained = Future()
        if self._task is not None:
            self._task.end(TaskError.CANCELED, "the manager is shutting down")
        self._aim(Goal.DOWN)
        return self._drained

    # Lifecycle of the others ------------------------------------------------------------------------------------------

    def _aim(self, goal: Goal) -> str:
        self._goal, self._refused, self._was_up, self._loss = goal, None, False, ""
        return f"taking {', '.join(self._fleet.order)} {goal.value}"

    def _tick(self) -> None:
        self._fleet.poll()
        self._follow_task()
        self._reconcile()
        self._node.facts.update({name: state.value for name, state in self._fleet.states.items()})

    def _reconcile(self) -> None:
        if self._goal is None or self._fleet.changing:
            return
        states = self._fleet.states
        if reached(self._fleet.order, states, self._goal):
            if self._goal is Goal.UP and not self._was_up:
                self._was_up = True
                self._node.get_logger().info("all nodes are active: send a goal to run_task")
            if self._goal is Goal.DOWN and self._drained is not None and not self._drained.done():
                self._drained.set_result(None)
            return
        if self._was_up:
            self._lost(states)
            return
        step = next_step(self._fleet.order, states, self._goal)
        if step is not None and step != self._refused:
            self._fleet.change(step, self._changed)

    def _changed(self, step: Step, success: bool) -> None:
        if success:
            self._node.get_logger().info(f"{step.node}: {step.transition.name.lower()} done")
            return
        # Asking again would give the same answer: the cause is in that node's log and diagnostics.
        self._refused = step
        self._node.get_logger().error(f"{step.node} refused to {step.transition.name.lower()}; see its log")

    def _lost(self, states: dict[str, State]) -> None:
        """A node fell out of the active state: end the task, hold the arm, and wait for a person."""
        missing = [f"{name} ({state.value})" for name, state in states.items() if state is not State.ACTIVE]
        message = f"{', '.join(missing)} left the active state"
        self._node.get_logger().error(f"{message}; call manager/bring_up when it is back")
        if self._task is not None:
            self._task.end(TaskError.NOT_READY, message)
        _ask(self._hold)
        self._goal, self._was_up, self._loss = None, False, message

    def _report(self) -> StreamReport:
        states = {name: state.value for name, state in self._fleet.states.items()}
        if self._loss:
            level, message = Level.ERROR, f"{self._loss}; call manager/bring_up when it is back"
        elif self._refused is not None:
            message = (
                f"{self._refused.node} refused to {self._refused.transition.name.lower()}; see its line and its log"
            )
            level = Level.ERROR
        elif self._was_up:
            level, message = Level.OK, "all nodes are active"
        else:
            level, message = Level.WARN, f"on the way {self._goal.value}" if self._goal else "not asked to come up"
        return StreamReport("node set", level, message, states)

    # Tasks ------------------------------------------------------------------------------------------------------------

    async def _execute(self, goal_handle: Any) -> RunTask.Result:
        goal = goal_handle.request
        now_s = self._node.now_s()
        times = TaskTimes(
            task_s=goal.timeout_s if goal.timeout_s > 0 else self._settings.task_timeout_s,
            planning_s=self._settings.planning_timeout_s,
            executor_silence_s=self._settings.executor_silence_s,
        )
        watch = TaskWatch(goal.instruction, now_s, times)
        obstacle = self._why_not_now()
        if obstacle:
            watch.end(TaskError.NOT_READY, obstacle)
        else:
            self._task, self._task_done, self._goal_handle = watch, Future(), goal_handle
            try:
                self._arm_then_instruct(watch)
                await self._task_done
            finally:
                self._task = self._task_done = self._goal_handle = None
        return self._result(watch, goal_handle)

    def _why_not_now(self) -> str:
        if self._task is not None:
            return f"busy with {self._task.instruction!r}; cancel it first"
        idle = [f"{name} ({s.value})" for name, s in self._fleet.states.items() if s is not State.ACTIVE]
        if idle:
            return f"not active: {', '.join(idle)}"
        safety = self._latest_safety
        if safety is None:
            return "the executor has not reported its state"
        if safety.latched:
            return f"the executor holds since {safety.reason}; remove the cause and call {topics.ARM_SERVICE}"
        if safety.state == ExecutorState.RECOVERING:
            return "the arm is being recovered"
        if safety.state == ExecutorState.UNARMED and self._settings.robot not in SIMULATED_ROBOTS:
            return f"the arm is not armed; make the cell safe and call {topics.ARM_SERVICE}"
        return ""

    def _arm_then_instruct(self, watch: TaskWatch) -> None:
        """Arm a simulated arm that has not been armed yet; a latched stop, or another arm, is a person's."""
        if self._latest_safety is None or self._latest_safety.state != ExecutorState.UNARMED:
            self._instruction.publish(String(data=watch.instruction))
            return

        def armed(future: Any) -> None:
            answer = future.result()
            if answer is None or not answer.success:
                watch.end(TaskError.NOT_READY, f"the executor cannot be armed: {answer and answer.message}")
            elif watch is self._task:
                self._instruction.publish(String(data=watch.instruction))

        self._arm.call_async(Trigger.Request()).add_done_callback(armed)

    def _follow_task(self) -> None:
        watch, handle = self._task, self._goal_handle
        if watch is None or handle is None:
            return
        if watch.check(self._node.now_s()) is not None:
            self._finish_task()
            return
        progress = watch.progress
        handle.publish_feedback(
            RunTask.Feedback(
                state=watch.state.value,
                stage=progress.stage,
                stages=progress.stages,
                stage_name=progress.stage_name,
                progress=progress.progress,
            )
        )

    def _finish_task(self) -> None:
        """Whatever the outcome: the program is withdrawn and the arm stops, ready for the next task."""
        if self._task_done is None or self._task_done.done():
            return
        self._instruction.publish(String(data=""))
        _ask(self._end_task)
        self._task_done.set_result(None)

    def _cancel(self, goal_handle: Any) -> CancelResponse:
        if self._task is not None and self._goal_handle is goal_handle:
            self._task.end(TaskError.CANCELED, "canceled; the arm holds")
        return CancelResponse.ACCEPT

    def _result(self, watch: TaskWatch, goal_handle: Any) -> RunTask.Result:
        outcome = watch.outcome or Outcome(TaskError.INTERNAL_ERROR, "the task ended without an outcome")
        if outcome.success:
            goal_handle.succeed()
        elif goal_handle.is_cancel_requested:
            goal_handle.canceled()
        else:
            goal_handle.abort()
        self._node.get_logger().info(f"{watch.instruction!r}: {outcome.error.name} {outcome.message}".rstrip())
        return RunTask.Result(
            success=outcome.success,
            error_code=int(outcome.error),
            error_msg=outcome.message,
            program_sha256=watch.program_sha256,
            duration_s=watch.elapsed_s(self._node.now_s()),
        )

    # What the nodes say -----------------------------------------------------------------------------------------------

    def _on_vlm(self, status: VlmStatus) -> None:
        if self._task is not None and status.state != VlmStatus.STATE_IDLE:
            stamp_s = stamp_seconds(status.header.stamp)
            self._task.answered(
                Answer(status.state), status.instruction, stamp_s, status.message, status.program_sha256
            )

    def _on_steering(self, status: SteeringStatus) -> None:
        if self._task is not None:
            progress = TaskProgress(status.stage, status.stages, status.stage_name, status.progress)
            self._task.steered(status.program_sha256, progress, status.finished)

    def _on_safety(self, status: SafetyStatus) -> None:
        self._latest_safety = status
        if self._task is not None:
            reason = ReasonCode(status.reason_code)
            state = ExecutorState(status.state)
            self._task.guarded(state, status.latched, reason, status.reason, self._node.now_s())


def _ask(client: Any) -> None:
    if client.service_is_ready():
        client.call_async(Trigger.Request())


NODE = NodeDefinition("manager", ManagerSettings, ManagerBody, self_starting=True)


def main() -> int:
    return run_node(NODE)


if __name__ == "__main__":
    sys.exit(main())
