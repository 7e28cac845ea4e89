"""Follows one task from instruction to outcome; pure: it is told what the nodes say and what time it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

from vls_steering.safety.reasons import ReasonCode
from vls_steering.safety.status import ExecutorState

# Simulated clocks of two nodes differ by the delay of /clock.
CLOCK_SLACK_S = 0.2


class TaskError(IntEnum):
    """Error codes of action/RunTask; the first ones are the exit codes of `vls`."""

    NONE = 0
    INTERNAL_ERROR = 1
    REFUSED = 3
    TASK_FAILED = 4
    SAFETY_STOP = 5
    CANCELED = 6
    NOT_READY = 7


class TaskState(Enum):
    PLANNING = "planning"  # the instruction is being turned into a program
    RUNNING = "running"  # the arm moves


class Answer(Enum):
    """What the vlm node said about an instruction."""

    WRITING = 1
    ACCEPTED = 2
    REFUSED = 3
    FAILED = 4


@dataclass(frozen=True)
class Outcome:
    error: TaskError
    message: str = ""

    @property
    def success(self) -> bool:
        return self.error is TaskError.NONE


@dataclass(frozen=True)
class TaskTimes:
    """Limits in seconds."""

    task_s: float = 60.0  # from goal to done
    planning_s: float = 30.0  # until a program is accepted
    executor_silence_s: float = 1.0  # without an executor status


@dataclass(frozen=True)
class TaskProgress:
    """What the steering measured last."""

    stage: int = 0
    stages: int = 0
    stage_name: str = ""
    progress: float = 0.0


class TaskWatch:
    """State of one task.  The first outcome stands: later reports do not change it."""

    def __init__(self, instruction: str, now_s: float, times: TaskTimes) -> None:
        self.instruction = instruction
        self.state = TaskState.PLANNING
        self.progress = TaskProgress()
        self.program_sha256 = ""
        self.outcome: Outcome | None = None
        self._times = times
        self._held = ""  # why the arm stands still
        self._started_s = now_s
        self._executor_seen_s = now_s

    def end(self, error: TaskError, message: str = "") -> None:
        """Settle the outcome, unless it is settled."""
        self.outcome = self.outcome or Outcome(error, message)

    def answered(self, answer: Answer, instruction: str, stamp_s: float, message: str, program_sha256: str) -> None:
        """The vlm node's status.  It is latched, so what it said before this task is heard again: not meant for us."""
        is_old = stamp_s < self._started_s - CLOCK_SLACK_S
        if instruction != self.instruction or is_old or self.state is not TaskState.PLANNING:
            return
        if answer is Answer.ACCEPTED:
            self.state = TaskState.RUNNING
            self.program_sha256 = program_sha256
        elif answer is Answer.REFUSED:
            self.end(TaskError.REFUSED, message)
        elif answer is Answer.FAILED:
            self.end(TaskError.INTERNAL_ERROR, message)

    def steered(self, program_sha256: str, progress: TaskProgress, finished: bool) -> None:
        """The policy node's status; one about another program is late news."""
        if self.state is not TaskState.RUNNING or program_sha256 != self.program_sha256:
            return
        self.progress = progress
        if finished:
            self.end(TaskError.NONE)

    def guarded(self, state: ExecutorState, latched: bool, reason: ReasonCode, text: str, now_s: float) -> None:
        """The executor's status.  A gap between chunks resumes by itself; a latched stop ends the task."""
        self._executor_seen_s = now_s
        self._held = f"{reason.name}: {text}" if reason is not ReasonCode.NONE else ""
        if latched or state is ExecutorState.FAULT:
            self.end(TaskError.SAFETY_STOP, f"{reason.name}: {text}")

    def elapsed_s(self, now_s: float) -> float:
        return now_s - self._started_s

    def check(self, now_s: float) -> Outcome | None:
        """The outcome, or None while the task goes on."""
        elapsed_s = self.elapsed_s(now_s)
        silent_s = now_s - self._executor_seen_s
        if silent_s > self._times.executor_silence_s:
            self.end(TaskError.SAFETY_STOP, f"the executor has been silent for {silent_s:.1f} s")
        elif self.state is TaskState.PLANNING and elapsed_s > self._times.planning_s:
            self.end(TaskError.INTERNAL_ERROR, f"no reward program within {self._times.planning_s:g} s")
        elif elapsed_s > self._times.task_s:
            stage = self.progress.stage_name or self.state.value
            held = f", and the arm held for {self._held}" if self._held else ""
            self.end(TaskError.TASK_FAILED, f"not done within {self._times.task_s:g} s; it was at {stage!r}{held}")
        return self.outcome
