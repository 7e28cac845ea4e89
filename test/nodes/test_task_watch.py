"""One task from instruction to outcome."""

from __future__ import annotations

import pytest

from vls_steering.nodes.task_watch import Answer, TaskError, TaskProgress, TaskState, TaskTimes, TaskWatch
from vls_steering.safety.reasons import ReasonCode
from vls_steering.safety.status import ExecutorState

SENTENCE = "pick up the blue cube"
SHA = "cd" * 32


@pytest.fixture
def watch() -> TaskWatch:
    return TaskWatch(SENTENCE, now_s=100.0, times=TaskTimes(task_s=20.0, planning_s=5.0, executor_silence_s=1.0))


def tracking(watch: TaskWatch, now_s: float) -> None:
    watch.guarded(ExecutorState.TRACKING, latched=False, reason=ReasonCode.NONE, text="", now_s=now_s)


def running(watch: TaskWatch) -> TaskWatch:
    watch.answered(Answer.ACCEPTED, SENTENCE, 100.5, "", SHA)
    assert watch.state is TaskState.RUNNING
    return watch


def test_success_needs_the_steering_to_finish_this_program(watch: TaskWatch) -> None:
    running(watch).steered(SHA, TaskProgress(1, 2, "lift", 0.9), finished=False)
    tracking(watch, 101.0)
    assert watch.check(101.0) is None
    assert watch.progress.stage_name == "lift"
    watch.steered("another program", TaskProgress(), finished=True)
    assert watch.check(101.0) is None
    watch.steered(SHA, TaskProgress(1, 2, "lift", 1.0), finished=True)
    outcome = watch.check(101.0)
    assert outcome is not None
    assert outcome.success


def test_a_refusal_is_passed_on_in_its_own_words(watch: TaskWatch) -> None:
    watch.answered(Answer.REFUSED, SENTENCE, 100.5, "there is no purple cube", "")
    outcome = watch.check(100.6)
    assert outcome is not None
    assert (outcome.error, outcome.message) == (TaskError.REFUSED, "there is no purple cube")


@pytest.mark.parametrize(("instruction", "stamp_s"), [("something else", 100.5), (SENTENCE, 99.0)])
def test_what_was_said_before_or_about_something_else_does_not_count(watch, instruction: str, stamp_s: float) -> None:
    watch.answered(Answer.REFUSED, instruction, stamp_s, "no", "")
    watch.answered(Answer.ACCEPTED, instruction, stamp_s, "", SHA)
    assert watch.state is TaskState.PLANNING
    assert watch.check(100.6) is None


def test_a_latched_stop_ends_the_task_and_a_gap_does_not(watch: TaskWatch) -> None:
    running(watch).guarded(ExecutorState.HOLDING, False, ReasonCode.CHUNK_ENDED, "ran out", 101.0)
    assert watch.check(101.0) is None
    watch.guarded(ExecutorState.HOLDING, True, ReasonCode.POLICY_SILENT, "nothing for 2 s", 101.5)
    outcome = watch.check(101.5)
    assert outcome is not None
    assert (outcome.error, outcome.message) == (TaskError.SAFETY_STOP, "POLICY_SILENT: nothing for 2 s")


def test_a_silent_executor_is_a_safety_stop(watch: TaskWatch) -> None:
    tracking(running(watch), 101.0)
    assert watch.check(101.9) is None
    outcome = watch.check(102.1)
    assert outcome is not None
    assert outcome.error is TaskError.SAFETY_STOP


def test_each_phase_has_its_own_time_out(watch: TaskWatch) -> None:
    tracking(watch, 105.0)
    assert watch.check(105.1).error is TaskError.INTERNAL_ERROR  # type: ignore[union-attr]
    other = running(TaskWatch(SENTENCE, 100.0, TaskTimes(task_s=20.0)))
    tracking(other, 120.0)
    assert other.check(119.9) is None
    assert other.check(120.1).error is TaskError.TASK_FAILED  # type: ignore[union-attr]


def test_a_task_that_takes_too_long_says_what_held_the_arm(watch: TaskWatch) -> None:
    running(watch).guarded(ExecutorState.HOLDING, False, ReasonCode.KEEP_OUT, "no good chunk: too close", 119.5)
    outcome = watch.check(120.1)
    assert outcome is not None
    assert outcome.message.endswith("and the arm held for KEEP_OUT: no good chunk: too close")
    moving = running(TaskWatch(SENTENCE, 100.0, TaskTimes(task_s=20.0)))
    moving.guarded(ExecutorState.HOLDING, False, ReasonCode.KEEP_OUT, "too close", 110.0)
    tracking(moving, 120.0)
    outcome = moving.check(120.1)
    assert outcome is not None
    assert "held" not in outcome.message


def test_the_first_outcome_stands(watch: TaskWatch) -> None:
    watch.end(TaskError.CANCELED)
    watch.end(TaskError.NONE)
    assert watch.check(100.1).error is TaskError.CANCELED  # type: ignore[union-attr]
