"""Advice on a running task: which stage does the picture show?  Asked beside the control loop, never in it.

What is measured decides; advice is for people and for the log, and says when the eyes of a model disagree with the
sensors.  One answer of a model is noise, so it is asked until one option cannot be overtaken any more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vls_steering.core.types import Keypoints
from vls_steering.vlm.base import Advisor, Question

# A query is small whatever the scene.
MOST_OBJECTS = 12
MOST_STAGES = 12


@dataclass(frozen=True)
class Situation:
    """A running task as far as an advisor is told of it."""

    instruction: str
    stages: tuple[str, ...]
    stage: int  # in force, counted from 0
    progress: float  # measured, 0..1
    elapsed_s: float  # in this stage
    keypoints: Keypoints
    image: np.ndarray | None = None


@dataclass(frozen=True)
class Vote:
    """The option that won, None when none did, with its share of the answers."""

    winner: str | None
    votes: int
    asked: int


def vote(ask: Callable[[int], str], options: tuple[str, ...], most: int = 5) -> Vote:
    """Ask up to `most` times and stop as soon as the leader cannot be caught up with.

    `ask(turn)` gives one of the options; anything it raises ends the vote.
    """
    counts = Counter[str]()
    for turn in range(most):
        counts[ask(turn)] += 1
        ranked = counts.most_common(2)
        second = ranked[1][1] if len(ranked) > 1 else 0
        if ranked[0][1] - second > most - turn - 1:
            break
    (winner, votes), *others = counts.most_common()
    tied = bool(others) and others[0][1] == votes
    return Vote(None if tied or winner not in options else winner, votes, sum(counts.values()))


def advise_stage(situation: Situation, advisor: Advisor, most: int = 5) -> Vote:
    """Which of the stages the picture shows, by vote; raises BackEndFailure when the back end cannot be used."""
    names = situation.stages[:MOST_STAGES]
    options = tuple(f"{number}: {name}" for number, name in enumerate(names, start=1))
    text = _summary(situation)
    return vote(lambda turn: advisor.choose(Question(text, options, situation.image, turn)), options, most)


def stage_number(chosen: Vote) -> int | None:
    """Counted from 0; None without a winner."""
    return None if chosen.winner is None else int(chosen.winner.split(":", 1)[0]) - 1


def _summary(situation: Situation) -> str:
    """Bounded: the same length for one object or a hundred."""
    points = situation.keypoints.points[:MOST_OBJECTS]
    where = ", ".join(
        f"{number} {point.name[:40]} at ({', '.join(f'{100 * float(v):.0f}' for v in point.position)}) cm"
        for number, point in enumerate(points, start=1)
    )
    return (
        f"The task is {situation.instruction[:300]!r}. By its sensors the arm is in stage {situation.stage + 1}, "
        f"{100 * situation.progress:.0f} % done, for {situation.elapsed_s:.0f} s. Objects: {where or 'none'}. "
        "Which stage does the picture show it in?"
    )
