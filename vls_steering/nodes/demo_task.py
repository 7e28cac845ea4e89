"""The task of a demo over DDS: start the nodes, send the instruction, follow it, stop the nodes."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vls_steering.bench.demo_display import Display
from vls_steering.core.errors import ConfigurationError, ExitCode
from vls_steering.nodes.demo_client import DemoClient
from vls_steering.nodes.node_set import Deployment
from vls_steering.nodes.supervisor import Supervisor, node_environment, node_processes
from vls_steering.nodes.task_follow import POLL_S, Stopped, TaskFollower, rest_of
from vls_steering.nodes.topic_log import Entry

BRING_UP_S = 180.0
TASK_S = 40.0  # of simulated time
SETTLE_S = 1.0  # of simulated time after the last stage: what was lifted must stay up
SETTLE_WITHIN_S = 10.0

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
        except Stopped as stopped:
            code, message = ExitCode.SAFETY_STOP, str(stopped)
        except KeyboardInterrupt:
            code, message = ExitCode.INTERRUPTED, f"interrupted; {rest_of(client)}"
        display.note(message or "every stage is done", "green" if code is ExitCode.SUCCESS else "red")
        return TaskEnd(code, message, client.log.entries, task.wall_s)


class _Task:
    """Bring-up, then one goal after the other, with an eye on the processes."""

    def __init__(self, client: DemoClient, processes: Supervisor, log_folder: Path, display: Display) -> None:
        self._client, self._processes = client, processes
        self._log_folder, self._display = log_folder, display
        self._follower = TaskFollower(client, display, self._check_processes)

    @property
    def wall_s(self) -> float:
        """From the last goal to its result."""
        return self._follower.wall_s

    def bring_up(self) -> None:
        """Wait until every node is active; raises Stopped when one is not in time."""
        started_s = time.monotonic()
        try:
            self._follower.await_up(BRING_UP_S)
        except TimeoutError as late:
            raise Stopped(f"not up within {BRING_UP_S:g} s: {late}; see {self._log_folder}") from late
        self._display.note(f"all nodes are active after {time.monotonic() - started_s:.0f} s")

    def carry_out(self, instruction: str) -> tuple[ExitCode, str]:
        """Exit code and message; raises Stopped when the nodes let the task down."""
        code, message = self._follower.carry_out(instruction, TASK_S)
        if code is ExitCode.SUCCESS:
            self._settle()
        return code, message

    def _settle(self) -> None:
        since_s, give_up_s = self._follower.stamp_s(), time.monotonic() + SETTLE_WITHIN_S
        while self._follower.stamp_s() - since_s < SETTLE_S and time.monotonic() < give_up_s:
            time.sleep(POLL_S)

    def _check_processes(self) -> None:
        """A node that died ends the task: what it was, and what the arm does."""
        for gone in self._processes.ended():
            log = self._log_folder / f"{gone.name}.log"
            if gone.code == ExitCode.BAD_ARGUMENTS:
                raise ConfigurationError(_last_line(log) or f"{gone.name} refused its parameters", f"See {log}")
            raise Stopped(f"the {gone.name} node {_cause(gone.code)}; {rest_of(self._client)}; see {log}")


def _cause(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").split(os.linesep)
    except OSError:
        return ""
    return next((line for line in reversed(lines) if line.strip()), "")
