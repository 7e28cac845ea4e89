"""The vocabulary: types of expressions, and the registry of words a program may use.

A word is one `Primitive`: its signature (checked before anything runs), its meaning (batched torch) and one line
of documentation with an example.  The reference page and the model's prompt are generated from the same table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any

from torch import Tensor

from vls_steering.rewards.units import LENGTH, NUMBER, TIME, Dimension


class Kind(Enum):
    """What an expression stands for."""

    OBJECT = "an object"  # a named thing of the scene; stands for its centre where a point is wanted
    POINT = "a point"
    REGION = "a region"  # an axis-aligned box; an object stands for its own
    DIRECTION = "a direction"
    BODY = "the robot's body"
    SIGNAL = "a quantity"  # one value per step of the chunk, or one for the whole chunk
    PREDICATE = "a condition"
    OBJECTIVE = "an objective"
    INTENT = "a gripper intent"


@dataclass(frozen=True)
class Type:
    """The type of an expression.

    `instant`: it has a value at each step; else one for the whole chunk.  `constant`: known before the chunk.
    """

    kind: Kind
    dimension: Dimension = NUMBER
    instant: bool = True
    constant: bool = False

    def __str__(self) -> str:
        if self.kind is Kind.SIGNAL:
            return str(self.dimension)
        if self.kind is Kind.PREDICATE:
            return "a condition at each step" if self.instant else "a condition on the chunk"
        text: str = self.kind.value
        return text


POINT = Type(Kind.POINT)
OBJECT = Type(Kind.OBJECT)
REGION = Type(Kind.REGION)
DIRECTION = Type(Kind.DIRECTION)
BODY = Type(Kind.BODY)
DISTANCE = Type(Kind.SIGNAL, LENGTH)
CONDITION = Type(Kind.PREDICATE)
VERDICT = Type(Kind.PREDICATE, instant=False)
OBJECTIVE = Type(Kind.OBJECTIVE, instant=False)
INTENT = Type(Kind.INTENT)
SIZE = Type(Kind.SIGNAL, LENGTH, constant=True)
SPAN = Type(Kind.SIGNAL, TIME, constant=True)


@dataclass(frozen=True)
class Parameter:
    """One argument of a word.

    `type.dimension` is ignored when `any_dimension`; a default of None means required; `choices` are the literals
    allowed, any when empty.
    """

    name: str
    type: Type
    default: float | None = None
    any_dimension: bool = False
    choices: tuple[float, ...] = ()


@dataclass(frozen=True)
class Primitive:
    """One word of the language.

    `evaluate(context, *arguments)` gets the values of its arguments in the order of `parameters`; a word that looks
    along time (`temporal`) gets the `Site` of its call after the context.  `result` is a type, or a function from the
    argument types to it.  `dual` is the word w with `not word(p)` = `w(not p)`.
    """

    name: str
    parameters: tuple[Parameter, ...]
    result: Type | Callable[[tuple[Type, ...]], Type]
    evaluate: Callable[..., Any]
    summary: str
    example: str
    temporal: bool = False
    dual: str = ""

    @property
    def is_name(self) -> bool:
        """A word without arguments is written without brackets."""
        return not self.parameters

    @property
    def signature(self) -> str:
        if self.is_name:
            return self.name
        parts = [p.name if p.default is None else f"{p.name}=..." for p in self.parameters]
        return f"{self.name}({', '.join(parts)})"

    def result_type(self, arguments: tuple[Type, ...]) -> Type:
        return self.result if isinstance(self.result, Type) else self.result(arguments)


@dataclass(frozen=True)
class Site:
    """Where a word that looks along time is called."""

    anchors_s: Tensor  # (A,) s from now: when its value is wanted; one anchor unless inside another such word
    reference: float  # SI amount of its first argument that is worth one unit of score


class Vocabulary:
    """A read-only table of words; two words of one name are a mistake."""

    def __init__(self, words: Iterable[Primitive]) -> None:
        table: dict[str, Primitive] = {}
        for word in words:
            if word.name in table:
                raise ValueError(f"the word {word.name!r} is defined twice")
            table[word.name] = word
        self._table: Mapping[str, Primitive] = MappingProxyType(table)

    def find(self, name: str) -> Primitive | None:
        return self._table.get(name)

    @property
    def words(self) -> tuple[Primitive, ...]:
        return tuple(self._table.values())

    def names(self, *, calls: bool) -> tuple[str, ...]:
        """Words with arguments (`calls`) or without."""
        return tuple(word.name for word in self.words if word.is_name is not calls)

    def reference(self) -> str:
        """One line per word: signature, meaning, example."""
        return "\n".join(f"- `{w.signature}`: {w.summary} Example: `{w.example}`" for w in self.words)
