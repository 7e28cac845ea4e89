"""What is wrong with a reward program, said so that a person or a model can repair it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from vls_steering.core.errors import Refusal


@dataclass(frozen=True)
class Diagnostic:
    """One fault: where it is, what was found there and what would be accepted."""

    where: str  # path in the document, e.g. "stages[0].reward[1]"
    problem: str
    found: str = ""
    accepted: str = ""
    text: str = ""  # the expression, when the fault lies in one
    start: int = 0  # characters of `text` that are at fault: [start, end)
    end: int = 0
    line: int = 0  # of the program's file that holds `text`, from 1; 0 = to be found

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.problem}"]
        if self.found:
            parts.append(f"found {self.found}")
        if self.accepted:
            parts.append(f"accepted: {self.accepted}")
        return "; ".join(parts)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class ProgramRejected(Refusal):
    """A reward program that will not run; carries every diagnostic."""

    def __init__(self, diagnostics: Iterable[Diagnostic]) -> None:
        self.diagnostics = tuple(diagnostics)
        super().__init__("the reward program is rejected: " + " | ".join(map(str, self.diagnostics)))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """What to write instead of an unknown `word`: the closest known names first, then all of them."""
    names = sorted(known)
    if not names:
        return "nothing: there is none"
    close = difflib.get_close_matches(word[:80], names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
    return f"{hint}known: {', '.join(map(repr, names))}"
