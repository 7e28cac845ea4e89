"""From the document that a model wrote to a program, through every check that needs no motion.

A document is a program of the reward language, or an outline (`steps` and `constraints`) that `compose` makes a
program of.  Either way its faults come out as diagnostics that the model can repair.
"""

from __future__ import annotations

from typing import Any, TypeVar

from vls_steering.core.errors import Refusal
from vls_steering.core.types import Keypoints
from vls_steering.rewards import (
    Diagnostic,
    ProgramRejected,
    RewardProgram,
    check_program,
    parse_program,
    verify_program,
)
from vls_steering.vlm.base import PlanRequest
from vls_steering.vlm.compose import compose
from vls_steering.vlm.grounding import ungrounded
from vls_steering.vlm.outline import DIRECTIONS, Constraint, ConstraintKind, Outline, Relation, Skill, Step

MAX_STEPS = 6
MAX_CONSTRAINTS = 8
_LENGTH_KINDS = (ConstraintKind.KEEP_FROM, ConstraintKind.BELOW, ConstraintKind.ABOVE)
_THING_KINDS = (ConstraintKind.AVOID, ConstraintKind.KEEP_FROM, ConstraintKind.UPRIGHT)

EnumT = TypeVar("EnumT", Skill, Relation, ConstraintKind)


def read_known(document: dict[str, Any], request: PlanRequest) -> RewardProgram:
    """The program of a writer that only puts known stages together; raises ProgramRejected."""
    # What was asked for is what the log must say, whatever the writer put there.
    program = parse_program({**document, "instruction": request.instruction})
    _reject(check_program(program, request.keypoints))
    return program


def read_program(document: dict[str, Any], request: PlanRequest) -> RewardProgram:
    """The program of a model; raises ProgramRejected with every fault that was found.

    A program that was written freely is rehearsed in the scene; one composed of an outline consists of known stages.
    """
    if "steps" in document:
        program = read_known(_composed(outline_of(document, request.keypoints), request), request)
        _reject(ungrounded(program, request.instruction, request.keypoints))
        return program
    stated = _stated(document.get("constraints", []))
    body = {key: value for key, value in document.items() if key not in ("constraints", "refusal")}
    program = read_known(body, request)
    _reject(ungrounded(program, request.instruction, request.keypoints, stated))
    _reject(verify_program(program, request.keypoints))
    return program


def _reject(faults: tuple[Diagnostic, ...]) -> None:
    if faults:
        raise ProgramRejected(faults)


def _composed(outline: Outline, request: PlanRequest) -> dict[str, Any]:
    try:
        return compose(request.instruction, outline, request.keypoints)
    except ProgramRejected:
        raise
    except Refusal as refusal:
        raise ProgramRejected([Diagnostic("steps", refusal.problem, "", refusal.cure)]) from None


def _stated(entries: Any) -> list[str]:
    """Phrases of the constraints that a program's writer found in the instruction."""
    if not isinstance(entries, list) or len(entries) > 4 * MAX_CONSTRAINTS:
        raise ProgramRejected([Diagnostic("constraints", "the constraints are a list", type(entries).__name__)])
    phrases = [entry.get("phrase") if isinstance(entry, dict) else None for entry in entries]
    if not all(isinstance(phrase, str) and phrase.strip() for phrase in phrases):
        raise ProgramRejected([Diagnostic("constraints", "each constraint has a phrase", "one without")])
    return [str(phrase) for phrase in phrases]


def outline_of(document: dict[str, Any], keypoints: Keypoints) -> Outline:
    """Read an outline from the JSON that `prompt.outline_schema` describes; raises ProgramRejected."""
    return _OutlineReader(keypoints).outline(document)


class _OutlineReader:
    """Collects every fault of one outline before refusing it."""

    def __init__(self, keypoints: Keypoints) -> None:
        self._names = keypoints.names
        self._faults: list[Diagnostic] = []

    def outline(self, document: dict[str, Any]) -> Outline:
        steps = [self._step(f"steps[{i}]", row) for i, row in self._rows(document, "steps", MAX_STEPS)]
        rows = self._rows(document, "constraints", MAX_CONSTRAINTS)
        constraints = [self._constraint(f"constraints[{i}]", row) for i, row in rows]
        if not steps and not self._faults:
            self._fault("steps", "an outline needs a step", "an empty list", "at least one step")
        if self._faults:
            raise ProgramRejected(self._faults)
        return Outline(tuple(s for s in steps if s is not None), tuple(c for c in constraints if c is not None))

    def _rows(self, document: dict[str, Any], key: str, most: int) -> list[tuple[int, dict[str, Any]]]:
        rows = document.get(key, [])
        if not isinstance(rows, list) or len(rows) > most or not all(isinstance(row, dict) for row in rows):
            self._fault(key, "a list of objects is needed", type(rows).__name__, f"at most {most}")
            return []
        return list(enumerate(rows))

    def _step(self, where: str, row: dict[str, Any]) -> Step | None:
        skill = self._choice(where, "skill", row.get("skill"), Skill)
        if skill is None:
            return None
        thing, targets, relation = "", tuple[str, ...](), None
        if skill not in (Skill.MOVE, Skill.OPEN_HAND, Skill.CLOSE_HAND):
            thing = self._object(f"{where}.object", row.get("object"))
        if skill is Skill.PLACE:
            relation = self._choice(where, "relation", row.get("relation"), Relation)
        elif skill in (Skill.HOLD, Skill.MOVE):
            relation = Relation.ABOVE
        if relation is not None:
            targets = self._targets(where, row, relation)
        direction = str(row.get("direction") or "forward") if skill is Skill.PUSH else ""
        if direction and direction not in DIRECTIONS:
            self._fault(f"{where}.direction", "an unknown direction", repr(direction)[:40], ", ".join(DIRECTIONS))
        length_cm = self._number(f"{where}.length_cm", row.get("length_cm", 0)) if skill in _MEASURED else 0.0
        if skill is Skill.PLACE and relation is Relation.ABOVE:
            skill = Skill.HOLD
        return Step(skill, thing, relation, targets, direction, length_cm / 100 if length_cm > 0 else None)

    def _targets(self, where: str, row: dict[str, Any], relation: Relation) -> tuple[str, ...]:
        first = self._object(f"{where}.target", row.get("target"))
        if relation is not Relation.BETWEEN:
            return (first,)
        return first, self._object(f"{where}.second_target", row.get("second_target"))

    def _constraint(self, where: str, row: dict[str, Any]) -> Constraint | None:
        kind = self._choice(where, "kind", row.get("kind"), ConstraintKind)
        phrase = row.get("phrase")
        if not isinstance(phrase, str) or not phrase.strip():
            self._fault(f"{where}.phrase", "the words of the instruction that say so", "nothing", "quote them")
            return None
        if kind is None:
            return None
        thing = self._object(f"{where}.object", row.get("object")) if kind in _THING_KINDS else ""
        amount = None
        if kind in (*_LENGTH_KINDS, ConstraintKind.WITHIN):
            amount = self._number(f"{where}.amount", row.get("amount"))
            amount = amount / 100 if kind in _LENGTH_KINDS else amount
        return Constraint(kind, phrase.strip(), thing, amount)

    def _object(self, where: str, value: Any) -> str:
        if value not in self._names:
            self._fault(where, "no such object in the scene", repr(value)[:60], ", ".join(map(repr, self._names)))
            return ""
        return str(value)

    def _choice(self, where: str, key: str, value: Any, kind: type[EnumT]) -> EnumT | None:
        known = [str(member.value) for member in kind]
        if value in known:
            return kind(value)
        self._fault(f"{where}.{key}", f"an unknown {key}", repr(value)[:60], ", ".join(known))
        return None

    def _number(self, where: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1000:
            self._fault(where, "a number is needed", repr(value)[:40], "centimetres or seconds, 0 to 999")
            return 0.0
        return float(value)

    def _fault(self, where: str, problem: str, found: str, accepted: str) -> None:
        self._faults.append(Diagnostic(where, problem, found, accepted))


_MEASURED = (Skill.PICK, Skill.PUSH, Skill.HOLD, Skill.MOVE)
