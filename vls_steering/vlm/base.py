"""The seam between an instruction and a reward program: who writes it, what they are told, and how they fail."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import numpy as np

from vls_steering.core.errors import Refusal
from vls_steering.core.types import Keypoints
from vls_steering.rewards import Diagnostic


@dataclass(frozen=True)
class PlanRequest:
    """One instruction in one scene.

    After a rejected answer, `rejected` is that document and `diagnostics` what the checker said about it.
    """

    instruction: str
    keypoints: Keypoints
    image: np.ndarray | None = None  # (H, W, 3) uint8 RGB of the scene, with the numbered keypoints drawn in
    rejected: dict[str, Any] | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    turn: int = 0  # answers that were asked for before this one; a model that samples may vary with it


@dataclass(frozen=True)
class PlanAnswer:
    """A document that nobody has checked yet, or why there is none."""

    document: dict[str, Any] | None
    refusal: str
    written_by: str


class Planner(Protocol):
    """Writes reward programs.  `name` goes into every log of what it wrote."""

    @property
    def name(self) -> str: ...

    @property
    def varies(self) -> bool:
        """It is a model, which asked again may answer something else: several programs are asked for, and each is
        rehearsed and compared with the instruction."""
        ...

    def write(self, request: PlanRequest) -> PlanAnswer:
        """Answer a request; raises BackEndFailure when there is no answer."""
        ...


@dataclass(frozen=True)
class Question:
    """A question with a fixed set of answers: which stage is this, which object is meant."""

    text: str
    options: tuple[str, ...]
    image: np.ndarray | None = None  # (H, W, 3) uint8 RGB
    turn: int = 0


class Advisor(Protocol):
    """Answers questions by one of their options."""

    @property
    def name(self) -> str: ...

    def choose(self, question: Question) -> str:
        """One of the options; raises BackEndFailure when there is no answer among them."""
        ...


class Failure(Enum):
    """Why a back end gave no usable answer."""

    UNREACHABLE = "cannot be reached"
    BROKEN_OFF = "broke the connection off"
    TIMED_OUT = "did not answer in time"
    HTTP_ERROR = "answered with an HTTP error"
    TOO_LONG = "answered too much"
    NOT_A_COMPLETION = "answered something that is no chat completion"
    NO_CHOICE = "answered with no choice"
    CUT_OFF = "was cut off in the middle of its answer"
    NO_JSON = "answered no JSON object"
    NOT_AN_OPTION = "answered none of the options"
    NOT_RECORDED = "has no further answer on record"
    OVER_BUDGET = "has used up its budget"


class BackEndFailure(Refusal):
    """A back end that could not be used, with the name of the reason; nothing moves."""

    def __init__(self, back_end: str, failure: Failure, detail: str = "", cure: str = "") -> None:
        self.failure = failure
        told = f": {detail}" if detail else ""
        super().__init__(f"{back_end} {failure.value}{told}", cure)
