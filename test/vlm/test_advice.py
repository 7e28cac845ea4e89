"""Advice: a vote of bounded questions."""

from __future__ import annotations

import numpy as np
import pytest
from rewards.table import keypoints

from vls_steering.core.types import Keypoint, Keypoints
from vls_steering.vlm.advice import Situation, Vote, advise_stage, stage_number, vote
from vls_steering.vlm.base import BackEndFailure, Failure, Question

OPTIONS = ("1: grasp", "2: lift")


def poll(*answers: int, most: int = 5) -> Vote:
    return vote(lambda turn: OPTIONS[answers[turn] - 1], OPTIONS, most)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ((1, 1, 1), Vote("1: grasp", 3, 3)),
        ((2, 1, 2, 2), Vote("2: lift", 3, 4)),
        ((1, 2, 1, 2, 2), Vote("2: lift", 3, 5)),
    ],
)
def test_it_ends_when_the_leader_cannot_be_caught_up_with(answers: tuple[int, ...], expected: Vote) -> None:
    assert poll(*answers) == expected


def test_a_tie_has_no_winner() -> None:
    tied = poll(1, 2, most=2)
    assert tied == Vote(None, 1, 2)
    assert stage_number(tied) is None


class Watching:
    name = "watching"

    def __init__(self, answer: int) -> None:
        self._answer = answer
        self.questions: list[Question] = []

    def choose(self, question: Question) -> str:
        self.questions.append(question)
        if self._answer < 0:
            raise BackEndFailure(self.name, Failure.TIMED_OUT)
        return question.options[self._answer]


TABLE = keypoints()


def situation(scene: Keypoints = TABLE, stages: int = 3) -> Situation:
    names = tuple(f"stage {i}" for i in range(stages))
    return Situation("pick up the red cube", names, 0, 0.4, 7.0, scene, np.zeros((2, 2, 3), np.uint8))


def test_the_stage_that_the_picture_shows() -> None:
    advisor = Watching(1)
    chosen = advise_stage(situation(), advisor)
    assert (stage_number(chosen), chosen.asked) == (1, 3)
    assert [question.turn for question in advisor.questions] == [0, 1, 2]
    assert advisor.questions[0].options == ("1: stage 0", "2: stage 1", "3: stage 2")
    assert advisor.questions[0].image is not None


def test_a_query_stays_small_whatever_the_scene() -> None:
    crowd = tuple(Keypoint(f"thing {i} " + "x" * 500, np.zeros(3), np.ones(3)) for i in range(200))
    advisor = Watching(0)
    advise_stage(situation(Keypoints(0.0, crowd), stages=100), advisor)
    assert len(advisor.questions[0].text) < 2000
    assert len(advisor.questions[0].options) == 12


def test_a_silent_advisor_is_named() -> None:
    with pytest.raises(BackEndFailure, match="watching did not answer in time"):
        advise_stage(situation(), Watching(-1))
