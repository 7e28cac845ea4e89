"""Expression to batched torch: each node becomes one function of an evaluation context."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vls_steering.rewards.context import Context
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
)
from vls_steering.rewards.language import Kind, Site
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
        return _compile_compare(node, inside, negated)
    if isinstance(node, (Name, Call)):
        return _compile_word(node, inside, negated)
    if isinstance(node, Negate):
        operand = compile_expression(node.operand, inside=inside)
        return lambda context: -operand(context)
    return _compile_arithmetic(node, inside)


def _compile_logic(node: Logic, inside: bool, negated: bool) -> Run:
    parts = [compile_expression(part, inside=inside, negated=negated) for part in node.operands]
    conjunction = (node.operator == "and") is not negated

    def run(context: Context) -> Tensor:
        values = _together([part(context) for part in parts])
        semantics = context.semantics
        return semantics.minimum(values) if conjunction else semantics.maximum(values)

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
        arguments.append(as_point(run) if parameter.type.kind is Kind.POINT else run)
    evaluate = word.evaluate
    if word.temporal:
        quantity = next(iter(bound.values()))
        assert quantity is not None
        reference = type_of(quantity, inside=True).dimension.reference

        def value(context: Context) -> Any:
            times = context.rollout.times_s
            site = Site(times if inside else times.new_zeros(1), reference)
            return evaluate(context, site, *[argument(context) for argument in arguments])

    else:

        def value(context: Context) -> Any:
            return evaluate(context, *[argument(context) for argument in arguments])

    # Terms of a stage share most of their words: a gate and a preference about one clearance compute it once.
    key = (to_text(node), inside, negated)
    if negated and not word.dual:
        return lambda context: -context.once(key, value)
    return lambda context: context.once(key, value)


def _together(values: list[Tensor]) -> Tensor:
    """Stack along a new last axis what may be one value, one per particle or one per step."""
    shape = torch.broadcast_shapes(*[value.shape for value in values])  # type: ignore[no-untyped-call]
    return torch.stack([value.expand(shape) for value in values], -1)


def _constant(value: float | None) -> Run:
    return lambda context: value


def as_point(run: Run) -> Run:
    """The centre of what `run` gives by name; other points as they are."""

    def point(context: Context) -> Any:
        value = run(context)
        return context.position(value) if isinstance(value, str) else value

    return point
