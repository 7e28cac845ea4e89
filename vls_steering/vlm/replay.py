"""Recorded answers, replayed: demonstrations, tests and users without a model get what a model once wrote.

A recording is a JSON object: instruction -> list of answers in the order in which they were given.  An answer is the
document as the model wrote it, `{"refusal": "..."}`, or `{"failure": "NO_JSON"}` where there was none, so that the same
instruction in the same scene goes the same way again and ends in the same program.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from vls_steering.core.errors import ConfigurationError
from vls_steering.vlm.base import BackEndFailure, Failure, PlanAnswer, Planner, PlanRequest


class Replay:
    """Planner that looks the instruction up in recorded answers; they match without regard to case and spacing."""

    name = "replay"
    varies = True

    def __init__(self, answers: Mapping[str, list[dict[str, Any]]]) -> None:
        self._answers = MappingProxyType({_key(text): tuple(documents) for text, documents in answers.items()})

    @classmethod
    def from_file(cls, path: Path) -> Replay:
        """Read a recording; raises ConfigurationError when it is missing or malformed."""
        return cls(read_recording(path))

    def write(self, request: PlanRequest) -> PlanAnswer:
        """The answer that was given at this turn; raises BackEndFailure when there was none."""
        answers = self._answers.get(_key(request.instruction), ())
        if request.turn >= len(answers):
            detail = f"{len(answers)} for {request.instruction!r}"
            raise BackEndFailure(self.name, Failure.NOT_RECORDED, detail, "Record it with another back end")
        answer = answers[request.turn]
        if "failure" in answer:
            known = Failure.__members__.get(str(answer["failure"]), Failure.NOT_RECORDED)
            raise BackEndFailure(self.name, known, "when this was recorded")
        if "refusal" in answer and not (answer.get("stages") or answer.get("steps")):
            return PlanAnswer(None, str(answer["refusal"]), self.name)
        return PlanAnswer(answer, "", self.name)


class Recorder:
    """Planner that writes down what another one answers; its file is complete after every answer."""

    def __init__(self, planner: Planner, path: Path) -> None:
        self._planner, self._path = planner, path
        self._answers = read_recording(path) if path.exists() else {}

    @property
    def name(self) -> str:
        return self._planner.name

    @property
    def varies(self) -> bool:
        return self._planner.varies

    def write(self, request: PlanRequest) -> PlanAnswer:
        try:
            answer = self._planner.write(request)
        except BackEndFailure as failure:
            self._record(request, {"failure": failure.failure.name})
            raise
        self._record(request, answer.document if answer.document is not None else {"refusal": answer.refusal})
        return answer

    def _record(self, request: PlanRequest, answer: dict[str, Any]) -> None:
        """Asked again, an instruction's recording begins anew."""
        earlier = self._answers.get(request.instruction, [])[: request.turn]
        self._answers[request.instruction] = [*earlier, answer]
        text = json.dumps(self._answers, indent=2, ensure_ascii=False)
        partial = self._path.with_suffix(".partial")
        # A full disk costs the recording, never the answer.
        with contextlib.suppress(OSError):
            partial.write_text(text + "\n", encoding="utf-8")
            partial.replace(self._path)


def read_recording(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Raises ConfigurationError when the file is missing or malformed."""
    try:
        recorded = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"cannot read the recorded answers {path}: {error}") from error
    lists = recorded.values() if isinstance(recorded, dict) else [None]
    if not all(isinstance(answers, list) and all(isinstance(a, dict) for a in answers) for answers in lists):
        raise ConfigurationError(f"{path} is not a recording", "Expected {instruction: [program, ...]}")
    return dict(recorded)


def _key(instruction: str) -> str:
    return " ".join(instruction.lower().split())
