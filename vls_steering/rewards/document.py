"""The reward program as a frozen value, with one canonical JSON form and its hash."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from vls_steering.rewards.expression import Expression, Name, to_text

LANGUAGE_VERSION = 1


FREE = Name("free")


@dataclass(frozen=True)
class Term:
    """One wish of a stage and, where it is known, the words of the instruction it comes from.

    The phrase "default" marks what nobody asked for: a rule of the planner, stated so that it can be seen.
    """

    expression: Expression
    phrase: str = ""

    @property
    def text(self) -> str:
        return to_text(self.expression)

    def as_json(self) -> str | dict[str, str]:
        return {"term": self.text, "phrase": self.phrase} if self.phrase else self.text


@dataclass(frozen=True)
class Stage:
    """One step of the task: what to prefer, what must never happen, when it is over."""

    name: str
    reward: tuple[Term, ...]
    done: Expression
    safety: tuple[Term, ...] = ()
    gripper: Expression = FREE
    requires: Expression | None = None  # holds while the stage makes sense; lost = go back a stage
    deadline_s: float | None = None  # since the stage began
    preference: tuple[Term, ...] = ()  # decides between motions that serve the task alike

    def as_json(self) -> dict[str, Any]:
        document: dict[str, Any] = {"name": self.name, "reward": [term.as_json() for term in self.reward]}
        if self.safety:
            document["safety"] = [term.as_json() for term in self.safety]
        if self.preference:
            document["preference"] = [term.as_json() for term in self.preference]
        document["gripper"] = to_text(self.gripper)
        if self.requires is not None:
            document["requires"] = to_text(self.requires)
        document["done"] = to_text(self.done)
        if self.deadline_s is not None:
            document["deadline"] = f"{self.deadline_s!r} s"
        return document


@dataclass(frozen=True)
class RewardProgram:
    """What one instruction wants in one scene, stage by stage."""

    instruction: str
    stages: tuple[Stage, ...]
    version: int = LANGUAGE_VERSION

    def as_json(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "instruction": self.instruction,
            "stages": [stage.as_json() for stage in self.stages],
        }

    def pretty(self) -> str:
        """Indented JSON for people; the same program as `canonical`."""
        return json.dumps(self.as_json(), indent=2, ensure_ascii=False)

    @cached_property
    def canonical(self) -> str:
        """The one text of this program: equal programs, equal text."""
        return json.dumps(self.as_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)

    @cached_property
    def sha256(self) -> str:
        """Hex digest of the canonical text; it goes into every chunk and log this program steered."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()
