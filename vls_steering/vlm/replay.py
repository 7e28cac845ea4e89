"""Recorded answers, replayed: demonstrations, tests and users without a model get what a model once wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from vls_steering.core.errors import ConfigurationError
from vls_steering.vlm.base import PlanAnswer, PlanRequest


class Replay:
    """Planner that looks the instruction up in a file of recorded answers.

    The file is a JSON object: instruction -> list of documents in the order in which they were given, so that a
    repair is replayed as well as a first answer.  Instructions match without regard to case and spacing.
    """

    name = "replay"

    def __init__(self, answers: Mapping[str, list[dict[str, Any]]]) -> None:
        self._answers = MappingProxyType({_key(text): tuple(documents) for text, documents in answers.items()})

    @classmethod
    def from_file(cls, path: Path) -> Replay:
        """Read a recording; raises ConfigurationError when it is missing or malformed."""
        try:
            recorded = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ConfigurationError(f"cannot read the recorded answers {path}: {error}") from error
        if not isinstance(recorded, dict) or not all(isinstance(value, list) for value in recorded.values()):
            raise ConfigurationError(f"{path} is not a recording", "Expected {instruction: [program, ...]}")
        return cls(recorded)

    def write(self, request: PlanRequest) -> PlanAnswer:
        """The recorded answer; after a rejected one, the answer that followed it."""
        answers = self._answers.get(_key(request.instruction), ())
        if not answers:
            return PlanAnswer(None, f"no answer to {request.instruction!r} was recorded", self.name)
        turn = answers.index(request.rejected) + 1 if request.rejected in answers else 0
        return PlanAnswer(answers[min(turn, len(answers) - 1)], "", self.name)


def _key(instruction: str) -> str:
    return " ".join(instruction.lower().split())
