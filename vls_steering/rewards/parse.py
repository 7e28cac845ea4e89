"""Document to program: structure, expressions, types and units.  Nothing here needs a scene, and nothing runs."""

from __future__ import annotations

import json
from typing import Any

from vls_steering.rewards.diagnostics import Diagnostic, ProgramRejected, did_you_mean
from vls_steering.rewards.document import FREE, LANGUAGE_VERSION, RewardProgram, Stage, Term
from vls_steering.rewards.expression import Expression, Span
from vls_steering.rewards.language import Kind, Type
from vls_steering.rewards.source import parse_expression
from vls_steering.rewards.typecheck import constant_value, infer, split_weight
from vls_steering.rewards.units import TIME

MAX_DOCUMENT_CHARACTERS = 64_000
MAX_NESTING = 64
MAX_STAGES = 12
MAX_TERMS = 24
MAX_NAME = 120
MAX_INSTRUCTION = 600
MAX_DEADLINE_S = 600.0
MAX_WEIGHT = 1000.0

_PROGRAM_KEYS = ("version", "instruction", "stages")
_STAGE_KEYS = ("name", "reward", "safety", "preference", "gripper", "requires", "done", "deadline")


def parse_program(document: dict[str, Any] | str) -> RewardProgram:
    """Read a program from its JSON text or the mapping parsed from it.

    Raises ProgramRejected with every fault found.
    """
    if isinstance(document, str):
        document = load_json(document)
    return _DocumentReader().program(document)


def refuse_bulk(text: str) -> None:
    """Raise ProgramRejected for what a parser would take long to refuse: huge or bottomless text."""
    if len(text) > MAX_DOCUMENT_CHARACTERS:
        raise _reject("", "the document is too long", f"{len(text)} characters", f"at most {MAX_DOCUMENT_CHARACTERS}")
    depth = 0
    for character in text:
        depth += (character in "[{") - (character in "]}")
        if depth > MAX_NESTING:
            raise _reject("", "the document is nested too deeply", f"over {MAX_NESTING} brackets", "a few")


def load_json(text: str) -> dict[str, Any]:
    """A JSON object; refuses what JSON parsers shrug at: repeated keys, NaN, huge or bottomless documents."""
    refuse_bulk(text)

    def constant(word: str) -> float:
        raise _reject("", "not a number of JSON", word, "finite numbers")

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        repeated = next((key for key in keys if keys.count(key) > 1), None) if len(keys) <= 64 else keys[0]
        if repeated is not None:
            raise _reject("", "a key is given twice, or there are too many", repr(repeated[:60]), "each key once")
        return dict(pairs)

    try:
        value = json.loads(text, parse_constant=constant, object_pairs_hook=mapping)
    except json.JSONDecodeError as error:
        column, problem = error.colno, f"not valid JSON ({error.msg})"
        fault = Diagnostic("document", problem, "", "a JSON object", "", column - 1, column, error.lineno)
        raise ProgramRejected([fault]) from None
    except (RecursionError, ValueError) as error:
        raise _reject("", f"not usable JSON ({type(error).__name__})", "", "a JSON object") from None
    if not isinstance(value, dict):
        raise _reject("", "a program is a JSON object", type(value).__name__, '{"instruction": ..., "stages": [...]}')
    return value


def _reject(where: str, problem: str, found: str, accepted: str) -> ProgramRejected:
    return ProgramRejected([Diagnostic(where or "document", problem, found, accepted)])


class _DocumentReader:
    """Collects every fault of one document before refusing it."""

    def __init__(self) -> None:
        self._faults: list[Diagnostic] = []

    def program(self, document: Any) -> RewardProgram:
        if not isinstance(document, dict):
            raise _reject("", "a program is a mapping", type(document).__name__, "instruction, stages")
        self._keys("document", document, _PROGRAM_KEYS)
        version = document.get("version", LANGUAGE_VERSION)
        if version != LANGUAGE_VERSION or isinstance(version, bool):
            self._fault("version", "an unknown version of the language", repr(version)[:40], str(LANGUAGE_VERSION))
        instruction = self._text("instruction", document.get("instruction"), MAX_INSTRUCTION)
        entries = document.get("stages")
        stages: list[Stage | None] = []
        if not isinstance(entries, (list, tuple)) or not 1 <= len(entries) <= MAX_STAGES:
            self._fault("stages", "the stages are a list", _brief(entries), f"1 to {MAX_STAGES} stages")
        else:
            stages = [self._stage(f"stages[{i}]", entry) for i, entry in enumerate(entries)]
        if self._faults:
            raise ProgramRejected(self._faults)
        return RewardProgram(instruction, tuple(stage for stage in stages if stage is not None))

    def _stage(self, where: str, entry: Any) -> Stage | None:
        if not isinstance(entry, dict):
            self._fault(where, "a stage is a mapping", _brief(entry), ", ".join(_STAGE_KEYS))
            return None
        self._keys(where, entry, _STAGE_KEYS)
        name = self._text(f"{where}.name", entry.get("name"), MAX_NAME)
        reward = self._terms(f"{where}.reward", entry.get("reward"), objectives=True)
        safety = self._terms(f"{where}.safety", entry.get("safety", []), objectives=False)
        preference = self._terms(f"{where}.preference", entry.get("preference", []), objectives=True)
        gripper = self._gripper(f"{where}.gripper", entry.get("gripper", "free"))
        requires = (
            self._condition(f"{where}.requires", entry["requires"]) if entry.get("requires") is not None else None
        )
        if "done" not in entry:
            self._fault(f"{where}.done", "a stage needs to say when it is done", "nothing", "\"grasped('red cube')\"")
        done = self._condition(f"{where}.done", entry["done"]) if "done" in entry else None
        deadline = self._deadline(f"{where}.deadline", entry.get("deadline"))
        if isinstance(entry.get("reward"), (list, tuple)) and not entry["reward"]:
            self._fault(f"{where}.reward", "a stage needs something to prefer", "an empty list", "at least one term")
        if done is None:
            return None
        return Stage(name, reward, done, safety, gripper or FREE, requires, deadline, preference)

    def _terms(self, where: str, entries: Any, *, objectives: bool) -> tuple[Term, ...]:
        if not isinstance(entries, (list, tuple)) or len(entries) > MAX_TERMS:
            self._fault(where, "the terms are a list of expressions", _brief(entries), f"up to {MAX_TERMS} expressions")
            return ()
        terms = (self._term(f"{where}[{i}]", entry, objectives) for i, entry in enumerate(entries))
        return tuple(term for term in terms if term is not None)

    def _term(self, where: str, entry: Any, objectives: bool) -> Term | None:
        phrase = ""
        if isinstance(entry, dict):
            self._keys(where, entry, ("term", "phrase"))
            phrase = self._text(f"{where}.phrase", entry.get("phrase"), MAX_INSTRUCTION) if "phrase" in entry else ""
            entry = entry.get("term")
        expression, text = self._expression(where, entry)
        if expression is None:
            return None
        weight, body = split_weight(expression)
        if not 0.0 < weight <= MAX_WEIGHT:
            self._fault(
                where, "a weight must be positive", f"{weight:g}", f"0 to {MAX_WEIGHT:g}", text, expression.span
            )
            return None
        found = self._infer(where, text, body)
        if found is None:
            return None
        verdict = found.kind is Kind.PREDICATE and not found.instant
        if verdict or (objectives and found.kind is Kind.OBJECTIVE):
            return Term(expression, phrase)
        accepted = "always(...) or eventually(...)" + (", maximize(...) or minimize(...)" if objectives else "")
        problem = "a term of the reward judges the chunk" if objectives else "safety is a condition on the chunk"
        self._fault(where, problem, str(found), accepted, text, body.span)
        return None

    def _condition(self, where: str, entry: Any) -> Expression | None:
        expression, text = self._expression(where, entry)
        found = self._infer(where, text, expression) if expression is not None else None
        if found is None or expression is None:
            return None
        if found.kind is Kind.PREDICATE and found.instant:
            return expression
        accepted = "a condition on the present, e.g. grasped('red cube') or height(kp('red cube')) >= 10 cm"
        self._fault(where, "this is measured now, not over a chunk", str(found), accepted, text, expression.span)
        return None

    def _gripper(self, where: str, entry: Any) -> Expression | None:
        expression, text = self._expression(where, entry)
        found = self._infer(where, text, expression) if expression is not None else None
        if found is None or expression is None:
            return None
        if found.kind is Kind.INTENT:
            return expression
        accepted = "free, open, close, close_when(condition), open_when(condition), close_at_end, open_at_end"
        self._fault(where, "a gripper intent is needed", str(found), accepted, text, expression.span)
        return None

    def _deadline(self, where: str, entry: Any) -> float | None:
        if entry is None:
            return None
        expression, text = self._expression(where, entry)
        found = self._infer(where, text, expression) if expression is not None else None
        if found is None or expression is None:
            return None
        seconds = constant_value(expression)
        if seconds is None or found.dimension != TIME or not 0.0 < seconds <= MAX_DEADLINE_S:
            accepted = f"a time up to {MAX_DEADLINE_S:g} s, e.g. 10 s"
            self._fault(where, "a deadline is a time", repr(text[:40]), accepted, text, expression.span)
            return None
        return seconds

    def _expression(self, where: str, entry: Any) -> tuple[Expression | None, str]:
        if not isinstance(entry, str) or not entry.strip():
            self._fault(where, "an expression is a text", _brief(entry), "\"dist(ee, kp('red cube')) <= 2 cm\"")
            return None, ""
        try:
            return parse_expression(entry, where), entry
        except ProgramRejected as rejection:
            self._faults += rejection.diagnostics
            return None, entry

    def _infer(self, where: str, text: str, expression: Expression) -> Type | None:
        def report(span: Span, problem: str, found: str, accepted: str) -> None:
            self._fault(where, problem, found, accepted, text, span)

        return infer(expression, report)

    def _text(self, where: str, value: Any, limit: int) -> str:
        if not isinstance(value, str) or not 0 < len(value.strip()) <= limit or not value.isprintable():
            self._fault(where, "a line of plain text is needed", _brief(value), f"1 to {limit} characters")
            return ""
        return value

    def _keys(self, where: str, mapping: dict[Any, Any], known: tuple[str, ...]) -> None:
        for key in list(mapping)[:64]:
            if key not in known:
                self._fault(where, "an unknown key", _brief(key), did_you_mean(str(key), known))

    def _fault(
        self, where: str, problem: str, found: str, accepted: str, text: str = "", span: Span | None = None
    ) -> None:
        at = span or Span()
        self._faults.append(Diagnostic(where, problem, found, accepted, text, at.start, at.end))


def _brief(value: Any) -> str:
    if isinstance(value, (list, tuple, dict)):
        return f"a {type(value).__name__} of {len(value)}"
    return "nothing" if value is None else repr(value)[:60]
