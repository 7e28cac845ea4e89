"""Recorded answers: what was recorded goes the same way again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from vlm.scripted import OUTLINE, REQUEST, WRONG_OUTLINE, Scripted

from vls_steering.core.errors import ConfigurationError, Refusal
from vls_steering.vlm import plan
from vls_steering.vlm.base import BackEndFailure, Failure
from vls_steering.vlm.replay import Recorder, Replay

AGAIN = {**OUTLINE, "refusal": ""}


@pytest.mark.parametrize(
    "answers",
    [
        (OUTLINE,),
        (WRONG_OUTLINE, OUTLINE, OUTLINE),
        (WRONG_OUTLINE, {**WRONG_OUTLINE, "again": True}, BackEndFailure("s", Failure.NO_JSON), OUTLINE),
        (WRONG_OUTLINE, BackEndFailure("s", Failure.TIMED_OUT), OUTLINE),
    ],
    ids=["one", "second", "repaired", "repaired after a failure"],
)
def test_replayed_answers_end_in_the_same_program(answers: tuple[object, ...], tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    wrapped = Recorder(Scripted(*answers, *[BackEndFailure("s", Failure.OVER_BUDGET)] * 3), path)
    first = plan(REQUEST, wrapped)
    again = plan(REQUEST, Replay.from_file(path))
    assert (again.sha256, again.repairs) == (first.sha256, first.repairs)
    assert (first.written_by, again.written_by) == ("scripted", "replay")


def test_a_recorded_refusal_is_a_refusal_again(tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    with pytest.raises(Refusal, match="cannot"):
        plan(REQUEST, Recorder(Scripted(None), path))
    with pytest.raises(Refusal, match="cannot"):
        plan(REQUEST, Replay.from_file(path))


def test_an_instruction_given_twice_is_recorded_as_it_went_last(tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    gone = BackEndFailure("s", Failure.UNREACHABLE)
    recorder = Recorder(Scripted(OUTLINE, OUTLINE, AGAIN, gone), path)
    plan(REQUEST, recorder)
    plan(REQUEST, recorder)
    assert json.loads(path.read_text())[REQUEST.instruction] == [AGAIN, {"failure": "UNREACHABLE"}]


def test_a_recording_that_cannot_be_written_costs_no_answer(tmp_path: Path) -> None:
    recorder = Recorder(Scripted(OUTLINE, OUTLINE), tmp_path / "missing" / "answers.json")
    assert plan(REQUEST, recorder).written_by == "scripted"


def test_a_file_written_by_hand_may_hold_one_answer(tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    path.write_text(json.dumps({"Pick up  the red cube": [OUTLINE]}))
    assert plan(REQUEST, Replay.from_file(path)).written_by == "replay"


def test_an_unknown_instruction_is_refused() -> None:
    with pytest.raises(BackEndFailure, match="no further answer on record"):
        plan(REQUEST, Replay({}))


@pytest.mark.parametrize("text", ["", "[]", '{"a": 1}', '{"a": [1]}'])
def test_a_malformed_recording_is_a_configuration_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    path.write_text(text)
    with pytest.raises(ConfigurationError):
        Replay.from_file(path)
