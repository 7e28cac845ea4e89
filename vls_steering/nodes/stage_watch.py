"""Asks an advisor now and then which stage a running task is in; pure: it is told what is measured and what time it is.

Questions run in threads of the caller; their answers are kept until `heard`, which drops those that came too late or
are about another program.
"""

from __future__ import annotations

import queue
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from vls_steering.core.config import Settings
from vls_steering.core.errors import Refusal
from vls_steering.core.types import Keypoints
from vls_steering.rewards import CompiledProgram
from vls_steering.vlm.advice import Situation, Vote, advise_stage, stage_number
from vls_steering.vlm.base import Advisor


class StageWatchSettings(Settings):
    """How often a model is asked about a running task."""

    period_s: float = Field(0.0, ge=0.0, le=600.0, description="s between questions; 0: no advice")
    max_age_s: float = Field(10.0, gt=0.0, le=600.0, description="s after which an answer is too old to tell")
    max_votes: int = Field(5, ge=1, le=15, description="answers to one question, by whose majority it is settled")


@dataclass(frozen=True)
class _Running:
    """The program in force and where it was measured to be."""

    program: CompiledProgram
    stage: int
    progress: float
    since_s: float  # of this stage


@dataclass(frozen=True)
class _Heard:
    about: _Running
    asked_s: float
    result: Vote | Exception


class StageWatch:
    """At most one question at a time."""

    def __init__(self, settings: StageWatchSettings, advisor: Advisor | None) -> None:
        self._settings, self._advisor = settings, advisor
        self._answers: queue.SimpleQueue[_Heard] = queue.SimpleQueue()
        self._running: _Running | None = None
        self._asking = False
        self._due_s = 0.0

    @property
    def enabled(self) -> bool:
        return self._advisor is not None and self._settings.period_s > 0.0

    def begin(self, program: CompiledProgram, now_s: float) -> None:
        """A program is in force."""
        self._running = _Running(program, 0, 0.0, now_s)
        self._due_s = now_s + self._settings.period_s

    def end(self) -> None:
        """None is."""
        self._running = None

    def measured(self, program_sha256: str, stage: int, progress: float, now_s: float) -> None:
        """What the steering measures; news about another program is none."""
        running = self._running
        if running is not None and running.program.sha256 == program_sha256 and stage < len(running.program.stages):
            since_s = running.since_s if stage == running.stage else now_s
            self._running = _Running(running.program, stage, progress, since_s)

    def is_due(self, now_s: float) -> bool:
        """It is time to ask; the caller does, and until the answer is heard nothing is due."""
        due = self.enabled and self._running is not None and not self._asking and now_s >= self._due_s
        if due:
            self._asking = True
            self._due_s = now_s + self._settings.period_s
        return due

    def ask(self, keypoints: Keypoints, picture: np.ndarray | None, now_s: float) -> None:
        """Blocks until the vote is over; runs in a thread, and leaves whatever comes of it to be heard."""
        running = self._running
        if running is None or self._advisor is None:
            self._asking = False
            return
        stages = tuple(stage.name for stage in running.program.stages)
        elapsed_s = now_s - running.since_s
        instruction = running.program.program.instruction
        situation = Situation(instruction, stages, running.stage, running.progress, elapsed_s, keypoints, picture)
        try:
            result: Vote | Exception = advise_stage(situation, self._advisor, self._settings.max_votes)
        except Exception as error:  # noqa: BLE001 - whatever an advisor raises, the task goes on without it
            result = error
        self._answers.put(_Heard(running, now_s, result))

    def heard(self, now_s: float) -> Iterator[str]:
        """Lines for people about every answer that has come."""
        while not self._answers.empty():
            answer = self._answers.get()
            self._asking = False
            running = self._running
            if running is None or running.program is not answer.about.program or running.stage != answer.about.stage:
                yield "an answer was about something that is over"
            elif now_s - answer.asked_s > self._settings.max_age_s:
                yield f"an answer came after {now_s - answer.asked_s:.0f} s, too late"
            else:
                yield _in_words(answer)


def _in_words(answer: _Heard) -> str:
    if isinstance(answer.result, Refusal):
        return str(answer.result)
    if isinstance(answer.result, Exception):
        return f"{type(answer.result).__name__}: {answer.result}"
    shown = stage_number(answer.result)
    if shown is None:
        return f"no majority among {answer.result.asked} answers"
    names = [stage.name for stage in answer.about.program.stages]
    votes = f"{answer.result.votes} of {answer.result.asked} answers"
    if shown == answer.about.stage:
        return f"the picture agrees with the sensors: {names[shown]!r} ({votes})"
    return f"the picture shows {names[shown]!r}, the sensors {names[answer.about.stage]!r} ({votes})"
