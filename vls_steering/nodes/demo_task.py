"""The task of a demo over DDS: start the nodes, send the instruction, follow it, stop the nodes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vls_steering.bench.demo_display import Display, TaskView
from vls_steering.core.errors import ConfigurationError, ExitCode
from vls_steering.nodes.conversions import stamp_seconds
from vls_steering.nodes.demo_client import DemoClient
from vls_steering.nodes.node_set import Deployment
from vls_steering.nodes.supervisor import Supervisor, node_environment, node_processes
from vls_steering.nodes.task_watch import TaskError
from vls_steering.nodes.topic_log import Entry

BRING_UP_S = 180.0
TASK_S = 40.0  # of simulated time
SILENCE_S = 15.0  # wall time without a word from the steering while a task runs
SETTLE_S = 1.0  # of simulated time after the last stage: what was lifted must stay up
SETTLE_WITHIN_S = 10.0
RETRIES, RETRY_S = 10, 0.5
POLL_S = 0.1

EXIT_CODES = {
    TaskError.NONE: ExitCode.SUCCESS,
    # No program came: nothing has moved.
    TaskError.INTERNAL_ERROR: ExitCode.REFUSED,
    TaskError.REFUSED: ExitCode.REFUSED,
    TaskError.TASK_FAILED: ExitCode.TASK_FAILED,
    TaskError.SAFETY_STOP: ExitCode.SAFETY_STOP,
    TaskError.CANCELED: ExitCode.INTERRUPTED,
    TaskError.NOT_READY: ExitCode.SAFETY_STOP,
}
# After these the arm holds and takes the next instruction.
GOES_ON = (ExitCode.SUCCESS, ExitCode.TASK_FAILED, ExitCode.REFUSED)


@dataclass(frozen=True)
class TaskEnd:
    """How a task ended, and everything that was said meanwhile."""

    exit_code: ExitCode
    message: str  # empty on success
    entries: Sequence[Entry] = ()
    wall_s: float = 0.0


def run_task(instruction: str, deployment: Deployment, log_folder: Path, display: Display) -> TaskEnd:
    """Carry out one instruction with a node set of its own; Ctrl-C ends in a hold and exit code 130.

    Raises ConfigurationError when a node refuses its parameters.
    """
    return run_tasks((instruction,), deployment, log_folder, display)


def run_tasks(instructions: Iterable[str], deployment: Deployment, log_folder: Path, display: Display) -> TaskEnd:
    """Carry out instructions one after the other with one node set, each asked for when the last has ended.

    A task that fails or is refused does not end the series, a stop does.  The result is the last task's, its log the
    whole series'.  Otherwise as `run_task`.
    """
    processes = Supervisor(
        node_processes(deployment), log_folder, node_environment(log_folder), echo=lambda _line: None
    )
    with processes, DemoClient() as client:
        task = _Task(client, processes, log_folder, display)
        code, message = ExitCode.SUCCESS, ""
        try:
            task.bring_up()
            for instruction in instructions:
                code, message = task.carry_out(instruction)
                if code not in GOES_ON:
                    break
        except _Stopped as stopped:
            code, message = ExitCode.SAFETY_STOP, str(stopped)
        except KeyboardInterrupt:
            code, message = ExitCode.INTERRUPTED, f"interrupted; {_rest(client)}"
        display.note(message or "every stage is done", "green" if code is ExitCode.SUCCESS else "red")
        return TaskEnd(code, message, client.log.entries, task.wall_s)


class _Stopped(Exception):
    """The task cannot go on; says why, and what the arm does."""


class _Task:
    """Bring-up, then one goal; the main thread's half of the client."""

    def __init__(self, client: DemoClient, processes: Supervisor, log_folder: Path, display: Display) -> None:
        self._client, self._processes = client, processes
        self._log_folder, self._display = log_folder, display
        self._began_s = time.monotonic()
        self._ended_s: float | None = None

    @property
    def wall_s(self) -> float:
        """From the goal to its result."""
        return (self._ended_s or time.monotonic()) - self._began_s

    def carry_out(self, instruction: str) -> tuple[ExitCode, str]:
        """Exit code and message; raises _Stopped when the nodes let the task down."""
        result = self._follow(instruction)
        for _ in range(RETRIES):
            if result.error_code != TaskError.NOT_READY or self._client.feedback is not None:
                break
            time.sleep(RETRY_S)  # the manager has not heard yet what this client has
            result = self._follow(instruction)
        if result.success:
            self._settle()
        code = EXIT_CODES[TaskError(result.error_code)]
        rest = f"; {_rest(self._client)}" if code is ExitCode.SAFETY_STOP else ""
        return code, f"{result.error_msg}{rest}"

    def bring_up(self) -> None:
        """Wait until every node is active; raises _Stopped when one is not in time."""
        client, started_s = self._client, time.monotonic()
        while not client.is_up:
            self._check_processes()
            if time.monotonic() - started_s > BRING_UP_S:
                late = ", ".join(f"{name} ({state})" for name, state in client.node_states.items() if state != "active")
                raise _Stopped(f"not up within {BRING_UP_S:g} s: {late}; see {self._log_folder}")
            self._display.nodes(client.node_states)
            time.sleep(POLL_S)
        self._display.nodes(client.node_states)
        self._display.note(f"all nodes are active after {time.monotonic() - started_s:.0f} s")

    def _follow(self, instruction: str) -> Any:
        """The RunTask.Result."""
        client = self._client
        start_s = self._simulated_s()
        self._began_s, self._ended_s = time.monotonic(), None
        client.begin(instruction, TASK_S)
        while client.result is None:
            self._check_processes()
            silent_s = time.monotonic() - client.last_news_s
            if silent_s > SILENCE_S:
                raise _Stopped(f"no word from the steering for {silent_s:.0f} s; {_rest(client)}")
            self._display.task(self._view(self._simulated_s() - start_s))
            time.sleep(POLL_S)
        self._ended_s = time.monotonic()
        self._display.task(self._view(self._simulated_s() - start_s))
        return client.result

    def _settle(self) -> None:
        since_s, give_up_s = self._simulated_s(), time.monotonic() + SETTLE_WITHIN_S
        while self._simulated_s() - since_s < SETTLE_S and time.monotonic() < give_up_s:
            time.sleep(POLL_S)

    def _simulated_s(self) -> float:
        safety = self._client.safety
        return stamp_seconds(safety.header.stamp) if safety is not None else 0.0

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
        )

    def _check_processes(self) -> None:
        """A node that died ends the task: what it was, and what the arm does."""
        for gone in self._processes.ended():
            log = self._log_folder / f"{gone.name}.log"
            if gone.code == ExitCode.BAD_ARGUMENTS:
                raise ConfigurationError(_last_line(log) or f"{gone.name} refused its parameters", f"See {log}")
            raise _Stopped(f"the {gone.name} node {_cause(gone.code)}; {_rest(self._client)}; see {log}")


def _rest(client: DemoClient) -> str:
    return "the arm holds" if client.cancel() else "the arm was not seen to come to rest"


def _cause(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").split(os.linesep)
    except OSError:
        return ""
    return next((line for line in reversed(lines) if line.strip()), "")
