"""One instruction from goal to result, followed on the terminal: what `vls demo` and `vls tell` have in common."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from vls_steering.bench.demo_display import Display, TaskView
from vls_steering.core.errors import ExitCode
from vls_steering.msg import SafetyStatus
from vls_steering.nodes.conversions import stamp_seconds
from vls_steering.nodes.demo_client import DemoClient
from vls_steering.nodes.task_watch import TaskError

SILENCE_S = 15.0  # wall time without a word from the steering while a task runs
RETRIES, RETRY_S = 10, 0.5
POLL_S = 0.1

EXIT_CODES: Mapping[TaskError, ExitCode] = MappingProxyType(
    {
        TaskError.NONE: ExitCode.SUCCESS,
        # No program came: nothing has moved.
        TaskError.INTERNAL_ERROR: ExitCode.REFUSED,
        TaskError.REFUSED: ExitCode.REFUSED,
        TaskError.TASK_FAILED: ExitCode.TASK_FAILED,
        TaskError.SAFETY_STOP: ExitCode.SAFETY_STOP,
        TaskError.CANCELED: ExitCode.INTERRUPTED,
        TaskError.NOT_READY: ExitCode.SAFETY_STOP,
    }
)


class Stopped(Exception):
    """The task cannot go on; says why, and what the arm does."""


class TaskFollower:
    """The main thread's half of a client; `check` is called all the while and may raise what ends the waiting."""

    def __init__(self, client: DemoClient, display: Display, check: Callable[[], None] = lambda: None) -> None:
        self._client, self._display, self._check = client, display, check
        self._began_s = time.monotonic()
        self._ended_s: float | None = None

    @property
    def wall_s(self) -> float:
        """From the goal to its result."""
        return (self._ended_s or time.monotonic()) - self._began_s

    def await_up(self, patience_s: float) -> None:
        """Return when every node is active; raises TimeoutError with those that are not, empty before any was heard."""
        client, started_s = self._client, time.monotonic()
        while not client.is_up:
            self._check()
            if time.monotonic() - started_s > patience_s:
                states = client.node_states.items()
                raise TimeoutError(", ".join(f"{name} ({state})" for name, state in states if state != "active"))
            self._display.nodes(client.node_states)
            time.sleep(POLL_S)
        self._display.nodes(client.node_states)

    def carry_out(self, instruction: str, timeout_s: float) -> tuple[ExitCode, str]:
        """Exit code and message; raises Stopped when the steering falls silent.  `timeout_s` 0: the manager's."""
        result = self._follow(instruction, timeout_s)
        for _ in range(RETRIES):
            if result.error_code != TaskError.NOT_READY or self._client.feedback is not None:
                break
            time.sleep(RETRY_S)  # the manager has not heard yet what this client has
            result = self._follow(instruction, timeout_s)
        code = EXIT_CODES[TaskError(result.error_code)]
        rest = f"; {rest_of(self._client)}" if code is ExitCode.SAFETY_STOP else ""
        return code, f"{result.error_msg}{rest}"

    def stamp_s(self) -> float:
        """The graph's time, by the executor's status; 0 before the first."""
        safety = self._client.safety
        return stamp_seconds(safety.header.stamp) if safety is not None else 0.0

    def _follow(self, instruction: str, timeout_s: float) -> Any:
        """The RunTask.Result."""
        client, start_s = self._client, self.stamp_s()
        self._began_s, self._ended_s = time.monotonic(), None
        client.begin(instruction, timeout_s)
        while client.result is None:
            self._check()
            silent_s = time.monotonic() - client.last_news_s
            if silent_s > SILENCE_S:
                raise Stopped(f"no word from the steering for {silent_s:.0f} s; {rest_of(client)}")
            self._display.task(self._view(self.stamp_s() - start_s))
            time.sleep(POLL_S)
        self._ended_s = time.monotonic()
        self._display.task(self._view(self.stamp_s() - start_s))
        return client.result

    def _view(self, elapsed_s: float) -> TaskView:
        feedback, steering, safety = self._client.feedback, self._client.steering, self._client.safety
        return TaskView(
            elapsed_s=elapsed_s,
            stage=feedback.stage if feedback else 0,
            stages=feedback.stages if feedback else 0,
            stage_name=feedback.stage_name if feedback else "",
            progress=feedback.progress if feedback else 0.0,
            tick_ms=steering.tick_ms if steering else 0.0,
            strength=steering.strength if steering else 0.0,
            executor=safety.state_name if safety else "silent",
            executor_reason=" ".join(safety.reason.split())
            if safety and safety.state != SafetyStatus.STATE_TRACKING
            else "",
        )


def rest_of(client: DemoClient) -> str:
    """Take the task back, and say what the arm does."""
    return "the arm holds" if client.cancel() else "the arm was not seen to come to rest"
