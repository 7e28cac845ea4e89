"""Decoding that can only write JSON of a given schema: for local models, small ones above all.

The schema is read as a grammar of exactly one layout (`{"key": value, "key": value}`, keys in their order), so that at
every point the text so far either can still become an answer or cannot; tokens that lead nowhere are not offered.
Supported: objects with all keys required, arrays with `maxItems`, strings with `maxLength` or `enum`, numbers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor

DEFAULT_STRING = 400
DEFAULT_ITEMS = 12
# Likeliest tokens that are looked at where much can come next, before the answer is given up.
MOST_TRIED = 4000
# ... and where little can, before what can is looked up.
FIRST_TRIED = 64
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,3})(?:\.\d{1,2})?")
_NUMBER_BEGUN = re.compile(r"-?(?:(?:0|[1-9]\d{0,3})(?:\.\d{0,2})?)?")
_ESCAPES = frozenset('"\\/')


class Fit(Enum):
    """What a text is under a schema."""

    WRONG = "cannot become an answer"
    BEGUN = "may become an answer"
    COMPLETE = "is an answer"


class _Wrong(Exception):
    """The text breaks the schema."""


class _Unfinished(Exception):
    """The text ends where more has to come: one of `expected`, or anything where that is empty."""

    def __init__(self, *expected: str) -> None:
        super().__init__()
        self.expected = expected


def fit(text: str, schema: Mapping[str, Any]) -> Fit:
    """Judge a text as the beginning of an answer."""
    return _judge(text, schema)[0]


def _judge(text: str, schema: Mapping[str, Any]) -> tuple[Fit, tuple[str, ...]]:
    """How the text fits, and what can come next where little can; empty where much can."""
    try:
        end = _Matcher(text).value(0, schema)
    except _Unfinished as unfinished:
        return Fit.BEGUN, unfinished.expected
    except _Wrong:
        return Fit.WRONG, ()
    return (Fit.COMPLETE if end == len(text) else Fit.WRONG), ()


@dataclass(frozen=True)
class _Matcher:
    text: str

    def value(self, at: int, schema: Mapping[str, Any]) -> int:
        """Position after the value at `at`."""
        if "enum" in schema:
            return self._one_of(at, [json.dumps(value) for value in schema["enum"]])
        read: dict[str, Callable[[int, Mapping[str, Any]], int]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "number": self._number,
            "integer": self._number,
        }
        return read[schema["type"]](at, schema)

    def _object(self, at: int, schema: Mapping[str, Any]) -> int:
        at = self._literal(at, "{")
        for i, (key, value) in enumerate(schema["properties"].items()):
            at = self._literal(at, f"{', ' if i else ''}{json.dumps(key)}: ")
            at = self.value(at, value)
        return self._literal(at, "}")

    def _array(self, at: int, schema: Mapping[str, Any]) -> int:
        at = self._literal(at, "[")
        if self._next(at) == "]":
            return at + 1
        for count in range(schema.get("maxItems", DEFAULT_ITEMS)):
            at = self._literal(at, ", ") if count else at
            at = self.value(at, schema["items"])
            if self._next(at) == "]":
                return at + 1
        raise _Wrong

    def _string(self, at: int, schema: Mapping[str, Any]) -> int:
        at = start = self._literal(at, '"')
        while (character := self._next(at)) != '"':
            if character == "\\":
                at += 1
                if self._next(at) not in _ESCAPES:
                    raise _Wrong
            elif not character.isprintable() or character == "�":
                raise _Wrong
            at += 1
            if at - start > schema.get("maxLength", DEFAULT_STRING):
                raise _Wrong
        return at + 1

    def _number(self, at: int, schema: Mapping[str, Any]) -> int:
        rest = self.text[at:]
        found = _NUMBER.match(rest)
        begun = _NUMBER_BEGUN.match(rest)
        # "12" may go on; "12," may not.
        if begun is not None and begun.end() == len(rest):
            raise _Unfinished
        if found is None:
            raise _Wrong
        return at + found.end()

    def _one_of(self, at: int, options: Sequence[str]) -> int:
        rest = self.text[at:]
        complete = [option for option in options if rest.startswith(option)]
        if complete:
            return at + len(max(complete, key=len))
        begun = [option[len(rest) :] for option in options if option.startswith(rest)]
        raise _Unfinished(*begun) if begun else _Wrong

    def _literal(self, at: int, expected: str) -> int:
        rest = self.text[at : at + len(expected)]
        if rest == expected:
            return at + len(expected)
        if at + len(rest) == len(self.text) and expected.startswith(rest):
            raise _Unfinished(expected[len(rest) :])
        raise _Wrong

    def _next(self, at: int) -> str:
        if at >= len(self.text):
            raise _Unfinished
        return self.text[at]


class Pieces:
    """The text of every token of a vocabulary; tokens without one of their own (special, half a character) have none.

    `decode` turns ids into text.  A token is read after another one, because first ones may lose a blank.
    """

    def __init__(self, size: int, decode: Callable[[list[int]], str], anchor: int) -> None:
        before = decode([anchor])
        texts = (decode([anchor, token])[len(before) :] for token in range(size))
        self.texts = tuple("" if "�" in text else text for text in texts)
        self.ids: dict[str, list[int]] = {}
        for token, text in enumerate(self.texts):
            if text:
                self.ids.setdefault(text, []).append(token)

    def __call__(self, tokens: list[int]) -> str:
        return "".join(self.texts[token] for token in tokens)


class SchemaProcessor:
    """Logits processor of `transformers` for one answer: all but the likeliest tokens that fit are ruled out.

    `prompt` tokens come before the answer, the token `end` after it; `keep` tokens stay, to sample among them.
    """

    def __init__(self, schema: Mapping[str, Any], pieces: Pieces, end: int, prompt: int, keep: int) -> None:
        self._schema, self._pieces, self._end, self._prompt, self._keep = schema, pieces, end, prompt, keep

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """`input_ids` (1, N) with the prompt, `scores` (1, V)."""
        text = self._pieces(input_ids[0, self._prompt :].tolist())
        fits, expected = _judge(text, self._schema)
        if fits is Fit.COMPLETE:
            return _only(scores, [self._end])
        tried = torch.topk(scores[0], min(FIRST_TRIED if expected else MOST_TRIED, scores.shape[1])).indices.tolist()
        kept: list[int] = []
        for token in tried:
            if self._fits(text, token, expected):
                kept.append(token)
                if len(kept) == self._keep:
                    break
        # Nothing fits: the answer ends here, and its reader finds it cut off.
        return _only(scores, kept or self._looked_up(expected) or [self._end])

    def _fits(self, text: str, token: int, expected: tuple[str, ...]) -> bool:
        piece = self._pieces.texts[token] if token < len(self._pieces.texts) else ""
        if not piece:
            return False  # it would go on for ever
        if any(rest.startswith(piece) for rest in expected):
            return True
        if expected and not any(piece.startswith(rest) for rest in expected):
            return False
        return fit(text + piece, self._schema) is not Fit.WRONG

    def _looked_up(self, expected: tuple[str, ...]) -> list[int]:
        """Every token that begins one of the texts that can come next."""
        beginnings = {rest[:end] for rest in expected for end in range(1, len(rest) + 1)}
        return [token for beginning in beginnings for token in self._pieces.ids.get(beginning, ())]


def _only(scores: Tensor, tokens: list[int]) -> Tensor:
    allowed = torch.full_like(scores, -torch.inf)
    allowed[:, tokens] = scores[:, tokens].clamp(min=-1e4)
    return allowed
