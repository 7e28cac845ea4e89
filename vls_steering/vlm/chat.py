"""The conversation with a chat model, whichever back end carries it: what is said, and what is made of the answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vls_steering.vlm.base import BackEndFailure, Failure, PlanAnswer, PlanRequest, Question
from vls_steering.vlm.prompt import (
    ADVICE_PROMPT,
    Form,
    FormChoice,
    Schema,
    answer_schema,
    repair_text,
    request_text,
    system_prompt,
    template,
)

NOT_JSON = "That holds no JSON object. Answer with the JSON object and nothing else."
# Of a wrong answer, this much is quoted back.
QUOTED_CHARACTERS = 2000


@dataclass(frozen=True)
class Message:
    """One turn of a conversation; an image goes with the text."""

    role: str  # system, user, assistant
    text: str
    image: np.ndarray | None = None  # (H, W, 3) uint8 RGB


# Carries one conversation to a model and brings the JSON object of its answer back.
Ask = Callable[[Sequence[Message], Schema], dict[str, Any]]


def plan_messages(request: PlanRequest, form: Form, image: np.ndarray | None) -> list[Message]:
    """What asks for a program, and for its repair where the last one was rejected."""
    messages = [Message("system", system_prompt(form)), Message("user", request_text(request), image)]
    if request.rejected is not None:
        messages.append(Message("assistant", json.dumps(request.rejected, ensure_ascii=False)))
        messages.append(Message("user", repair_text(request)))
    return messages


def write_answer(request: PlanRequest, choice: FormChoice, image: np.ndarray | None, name: str, ask: Ask) -> PlanAnswer:
    """Ask for the answer in each form in turn until there is one that refuses nothing.

    What consists of known stages is surer than what is written freely, so the outline comes first.
    """
    answer = PlanAnswer(None, "", name)
    for form in _forms(request, choice):
        answer = plan_answer(ask(plan_messages(request, form, image), answer_schema(form, request)), name)
        if answer.document is not None:
            break
    return answer


def _forms(request: PlanRequest, choice: FormChoice) -> tuple[Form, ...]:
    """A repair has the form of what is repaired."""
    if request.rejected is not None:
        return ("outline",) if "steps" in request.rejected else ("program",)
    return ("outline", "program") if choice == "auto" else (choice,)


def question_messages(question: Question, image: np.ndarray | None) -> list[Message]:
    text = json.dumps({"question": question.text, "options": question.options}, ensure_ascii=False)
    return [Message("system", template(ADVICE_PROMPT)), Message("user", text, image)]


def asked_again(messages: Sequence[Message], answer: str) -> list[Message]:
    """The conversation after an answer that held no JSON."""
    return [*messages, Message("assistant", answer[:QUOTED_CHARACTERS]), Message("user", NOT_JSON)]


def plan_answer(document: dict[str, Any], name: str) -> PlanAnswer:
    """A model's document, its refusal apart from it."""
    refusal = document.get("refusal", "")
    if isinstance(refusal, str) and refusal.strip() and not document.get("stages") and not document.get("steps"):
        return PlanAnswer(None, _line(refusal), name)
    kept = {key: value for key, value in document.items() if key != "refusal"}
    return PlanAnswer(_without_blanks(kept), "", name)


def chosen_option(document: dict[str, Any], question: Question, name: str) -> str:
    answer = document.get("answer")
    if answer not in question.options:
        raise BackEndFailure(name, Failure.NOT_AN_OPTION, repr(answer)[:60])
    return str(answer)


def find_json(text: str) -> dict[str, Any] | None:
    """The first JSON object in a text that may have prose or a code fence around it."""
    decoder = json.JSONDecoder()
    at = text.find("{")
    for _ in range(20):
        if at < 0:
            return None
        try:
            value, _ = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            at = text.find("{", at + 1)
            continue
        return value if isinstance(value, dict) else None
    return None


def _without_blanks(document: dict[str, Any]) -> dict[str, Any]:
    """A schema that lists every key makes models fill optional ones with "": leave those out of a program."""
    stages = document.get("stages")
    if not isinstance(stages, list):
        return document
    kept = [{k: _plain(v) for k, v in s.items() if v not in ("", None)} if isinstance(s, dict) else s for s in stages]
    return {**document, "stages": kept}


def _plain(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [v["term"] if isinstance(v, dict) and v.get("phrase") == "" and "term" in v else v for v in value]


def _line(text: str) -> str:
    """One line without control characters: it goes into logs and terminals."""
    return " ".join("".join(c if c.isprintable() else " " for c in text[:500]).split())
