"""Expressions as data: frozen nodes that print back to the text they came from.

A node's span does not count in comparisons: equal expressions are the same program wherever they were written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from vls_steering.rewards.units import NUMBER, UNITS, Dimension


@dataclass(frozen=True)
class Span:
    """Characters [start, end) of the expression's text."""

    start: int = 0
    end: int = 0


NOWHERE = Span()


@dataclass(frozen=True)
class Quantity:
    """A literal number with its unit, `2 cm`; the unit is empty for plain numbers."""

    value: float
    unit: str = ""
    span: Span = field(default=NOWHERE, compare=False, repr=False)

    @property
    def si(self) -> float:
        return self.value * UNITS[self.unit][0] if self.unit else self.value

    @property
    def dimension(self) -> Dimension:
        return UNITS[self.unit][1] if self.unit else NUMBER


@dataclass(frozen=True)
class Text:
    """A quoted object name."""

    value: str
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True)
class Name:
    """A word of the language without arguments: `ee`, `body`, `forward`, `open`."""

    name: str
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True)
class Call:
    """A word of the language with arguments."""

    name: str
    arguments: tuple[Expression, ...] = ()
    keywords: tuple[tuple[str, Expression], ...] = ()
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True)
class Negate:
    """`-x`"""

    operand: Expression
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True)
class Not:
    """`not p`"""

    operand: Expression
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True)
class Binary:
    """`+ - * /`"""

    operator: str
    left: Expression
    right: Expression
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True)
class Compare:
    """`<=` or `>=`; the strict forms mean the same on real numbers and are read as these."""

    operator: str
    left: Expression
    right: Expression
    span: Span = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True)
class Logic:
    """`and` / `or` of two or more predicates."""

    operator: str
    operands: tuple[Expression, ...]
    span: Span = field(default=NOWHERE, compare=False, repr=False)


Expression: TypeAlias = "Quantity | Text | Name | Call | Negate | Not | Binary | Compare | Logic"


def children(node: Expression) -> tuple[Expression, ...]:
    """The direct operands of a node."""
    if isinstance(node, Call):
        return node.arguments + tuple(value for _, value in node.keywords)
    if isinstance(node, (Negate, Not)):
        return (node.operand,)
    if isinstance(node, (Binary, Compare)):
        return (node.left, node.right)
    if isinstance(node, Logic):
        return node.operands
    return ()


def walk(node: Expression) -> Iterator[Expression]:
    """The node and everything below it."""
    yield node
    for child in children(node):
        yield from walk(child)


_OR, _AND, _NOT, _COMPARE, _SUM, _PRODUCT, _NEGATE, _ATOM = range(8)


def to_text(node: Expression) -> str:
    """Canonical text: parsing it gives an equal expression."""
    return _print(node)[0]


def _print(node: Expression) -> tuple[str, int]:
    if isinstance(node, Quantity):
        number = repr(float(node.value)).removesuffix(".0")
        return (f"{number} {node.unit}" if node.unit else number), _ATOM
    if isinstance(node, Text):
        quote = '"' if "'" in node.value else "'"
        return f"{quote}{node.value}{quote}", _ATOM
    if isinstance(node, Name):
        return node.name, _ATOM
    if isinstance(node, Call):
        arguments = [to_text(argument) for argument in node.arguments]
        arguments += [f"{name}={to_text(value)}" for name, value in node.keywords]
        return f"{node.name}({', '.join(arguments)})", _ATOM
    if isinstance(node, Negate):
        return "-" + _bracket(node.operand, _NEGATE), _NEGATE
    if isinstance(node, Not):
        return "not " + _bracket(node.operand, _NOT), _NOT
    if isinstance(node, Logic):
        level = _AND if node.operator == "and" else _OR
        return f" {node.operator} ".join(_bracket(operand, level + 1) for operand in node.operands), level
    if isinstance(node, Compare):
        return f"{_bracket(node.left, _SUM)} {node.operator} {_bracket(node.right, _SUM)}", _COMPARE
    level = _SUM if node.operator in "+-" else _PRODUCT
    return f"{_bracket(node.left, level)} {node.operator} {_bracket(node.right, level + 1)}", level


def _bracket(node: Expression, level: int) -> str:
    text, own = _print(node)
    return text if own >= level else f"({text})"
