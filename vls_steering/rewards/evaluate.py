"""Expression to batched torch: each node becomes one function of an evaluation context."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vls_steering.rewards.context import Context, Region
from vls_steering.rewards.expression import (
    Binary,
    Call,
    Compare,
    Expression,
    Logic,
    Name,
    Negate,
    Not,
    Quantity,
    Text,
    to_text,
    walk,
)
from vls_steering.rewards.language import Kind, Site, Type
from vls_steering.rewards.typecheck import bind, type_of
from vls_steering.rewards.words import VOCABULARY

Run = Callable[[Context], Any]


def compile_expression(node: Expression, *, inside: bool = False, negated: bool = False) -> Run:
    """A function from a context to the expression's value.

    `inside` a word that looks along time; `negated` under an odd number of `not`, which is pushed down to the
    comparisons so that the smooth reading stays below the exact one.
    """
    if isinstance(node, Quantity):
        value = node.si
        return lambda context: value
    if isinstance(node, Text):
        name = node.value
        return lambda context: name
    if isinstance(node, Not):
        return compile_expression(node.operand, inside=inside, negated=not negated)
    if isinstance(node, Logic):
        return _compile_logic(node, inside, negated)
    if isinstance(node, Compare):
        return recalled(_compile_compare(node, inside, negated), inside)
    if isinstance(node, (Name, Call)):
        return _compile_word(node, inside, negated)
    if isinstance(node, Negate):
        operand = compile_expression(node.operand, inside=inside)
        return lambda context: -operand(context)
    return _compile_arithmetic(node, inside)


def _compile_logic(node: Logic, inside: bool, negated: bool) -> Run:
    parts = [compile_expression(part, inside=inside, negated=negated) for part in node.operands]
    conjunction = (node.operator == "and") is not negated
    windows = any(looks_along_time(part) for part in walk(node))

    def run(context: Context) -> Tensor:
        values = _together([part(context) for part in parts])
        semantics = context.semantics
        mask = torch.ones_like(values, dtype=torch.bool) if windows else None
        return semantics.minimum(values, mask) if conjunction else semantics.maximum(values, mask)

    return run


def _compile_compare(node: Compare, inside: bool, negated: bool) -> Run:
    left = compile_expression(node.left, inside=inside)
    right = compile_expression(node.right, inside=inside)
    scale = 1.0 / type_of(node.left, inside=inside).dimension.reference
    if (node.operator == "<=") is not negated:
        return lambda context: (right(context) - left(context)) * scale
    return lambda context: (left(context) - right(context)) * scale


def _compile_arithmetic(node: Binary, inside: bool) -> Run:
    left = compile_expression(node.left, inside=inside)
    right = compile_expression(node.right, inside=inside)
    operations: dict[str, Run] = {
        "+": lambda context: left(context) + right(context),
        "-": lambda context: left(context) - right(context),
        "*": lambda context: left(context) * right(context),
        "/": lambda context: left(context) / right(context),
    }
    return operations[node.operator]


def _compile_word(node: Name | Call, inside: bool, negated: bool) -> Run:
    word = VOCABULARY.find(node.name)
    assert word is not None, node.name  # the type check has passed
    if negated and word.dual:
        word = VOCABULARY.find(word.dual)
        assert word is not None
    call = node if isinstance(node, Call) else Call(node.name)
    bound = bind(call, word, lambda *fault: None)
    assert bound is not None
    arguments: list[Run] = []
    for parameter in word.parameters:
        argument = bound[parameter.name]
        if argument is None:
            arguments.append(_constant(parameter.default))
            continue
        flip = negated and bool(word.dual) and parameter.type.kind is Kind.PREDICATE
        run = compile_expression(argument, inside=inside or word.temporal, negated=flip)
        arguments.append(_CONVERSIONS.get(parameter.type.kind, _unchanged)(run))
    evaluate = word.evaluate
    if word.temporal:
        quantity = next(iter(bound.values()))
        assert quantity is not None
        reference = type_of(quantity, inside=True).dimension.reference

        def value(context: Context) -> Any:
            site = Site(context.times_s if inside else context.start_s, reference)
            return evaluate(context, site, *[argument(context) for argument in arguments])

    else:

        def value(context: Context) -> Any:
            return evaluate(context, *[argument(context) for argument in arguments])

    atom = inside and isinstance(word.result, Type) and word.result.kind is Kind.PREDICATE
    # Terms of a stage share most of their words: a gate and a preference about one clearance compute it once.
    key = (to_text(node), inside, negated)
    if negated and not word.dual:
        return recalled(lambda context: -context.once(key, value), atom)
    return recalled(lambda context: context.once(key, value), atom)


def recalled(run: Run, atom: bool) -> Run:
    """What has a value at each step inside a word that looks along time (an `atom`) also has values of the past."""
    return (lambda context: context.along_time(run)) if atom else run


def looks_along_time(node: Expression) -> bool:
    """The node is a call of `always`, `lowest` or another word that looks along time."""
    word = VOCABULARY.find(node.name) if isinstance(node, Call) else None
    return word is not None and word.temporal


def _together(values: list[Tensor]) -> Tensor:
    """Stack along a new last axis what may be one value, one per particle or one per step."""
    return torch.stack(torch.broadcast_tensors(*values), -1)  # type: ignore[no-untyped-call]


def _constant(value: float | None) -> Run:
    return lambda context: value


def _unchanged(run: Run) -> Run:
    return run


def _as_point(run: Run) -> Run:
    """The centre of what `run` gives by name; other points as they are."""

    def point(context: Context) -> Any:
        value = run(context)
        return context.position(value) if isinstance(value, str) else value

    return point


def _as_region(run: Run) -> Run:
    """Centre and size of what `run` gives by name; other regions as they are."""

    def region(context: Context) -> Any:
        value = run(context)
        return Region(context.position(value), context.size(value), value) if isinstance(value, str) else value

    return region


_CONVERSIONS = {Kind.POINT: _as_point, Kind.REGION: _as_region}
