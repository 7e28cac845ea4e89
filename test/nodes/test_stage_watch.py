"""Stage advice: one question at a time, and late answers are no news."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy")

from vlm.scripted import REQUEST

from vls_steering.nodes.stage_watch import StageWatch, StageWatchSettings
from vls_steering.rewards import CompiledProgram
from vls_steering.vlm import OfflineGrammar, plan
from vls_steering.vlm.base import BackEndFailure, Failure, Question

SETTINGS = StageWatchSettings(period_s=5.0, max_age_s=3.0)


class Seeing:
    """Says which stage it sees."""

    name = "seeing"

    def __init__(self, *stages: int) -> None:
        self._stages = list(stages)

    def choose(self, question: Question) -> str:
        if not self._stages:
            raise BackEndFailure(self.name, Failure.TIMED_OUT)
        return question.options[self._stages.pop(0)]


@pytest.fixture(scope="module")
def program() -> CompiledProgram:
    return plan(REQUEST, OfflineGrammar())


def watch(program: CompiledProgram, *stages: int) -> StageWatch:
    made = StageWatch(SETTINGS, Seeing(*stages))
    made.begin(program, 0.0)
    return made


def test_it_is_due_once_a_period_and_not_while_a_question_is_open(program: CompiledProgram) -> None:
    one = watch(program, 0, 0, 0)
    assert not one.is_due(4.9)
    assert one.is_due(5.0)
    assert not one.is_due(50.0)
    one.ask(REQUEST.keypoints, None, 5.0)
    assert list(one.heard(6.0)) == [
        "the picture agrees with the sensors: 'open the hand above the red cube' (3 of 3 answers)"
    ]
    assert one.is_due(50.0)


def test_a_disagreement_names_both(program: CompiledProgram) -> None:
    one = watch(program, 2, 2, 2)
    one.ask(REQUEST.keypoints, None, 5.0)
    (told,) = one.heard(6.0)
    assert (
        told == "the picture shows 'lift the red cube', the sensors 'open the hand above the red cube' (3 of 3 answers)"
    )


def test_late_answers_and_answers_about_what_is_over_are_dropped(program: CompiledProgram) -> None:
    late = watch(program, 0, 0, 0)
    late.ask(REQUEST.keypoints, None, 5.0)
    assert list(late.heard(9.0)) == ["an answer came after 4 s, too late"]
    over = watch(program, 0, 0, 0)
    over.ask(REQUEST.keypoints, None, 5.0)
    over.measured(program.sha256, 1, 0.0, 5.5)
    assert list(over.heard(6.0)) == ["an answer was about something that is over"]


def test_a_silent_advisor_costs_a_line(program: CompiledProgram) -> None:
    one = watch(program)
    one.ask(REQUEST.keypoints, None, 5.0)
    assert list(one.heard(6.0)) == ["seeing did not answer in time"]


def test_without_a_period_or_an_advisor_nothing_is_asked(program: CompiledProgram) -> None:
    for one in (StageWatch(StageWatchSettings(), Seeing(0)), StageWatch(SETTINGS, None)):
        one.begin(program, 0.0)
        assert not one.enabled
        assert not one.is_due(100.0)
