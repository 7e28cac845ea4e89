"""Types and units of expressions, found before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from vls_steering.rewards.diagnostics import did_you_mean
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
    Span,
    Text,
    to_text,
)
from vls_steering.rewards.language import OBJECT, Kind, Parameter, Primitive, Type
from vls_steering.rewards.units import NUMBER, example_of
from vls_steering.rewards.words import VOCABULARY

# (span, problem, found, accepted)
Report = Callable[[Span, str, str, str], None]


def type_of(node: Expression, *, inside: bool = False) -> Type:
    """Type of a well-formed expression; `inside` another word that looks along time."""
    found = infer(node, _unexpected, inside=inside)
    assert found is not None  # _unexpected has raised
    return found


def _unexpected(span: Span, problem: str, found: str, accepted: str) -> None:
    raise ValueError(f"{problem}: {found}")


def split_weight(node: Expression) -> tuple[float, Expression]:
    """`(weight, term)` of `term`, `2 * term` or `term * 2`."""
    if isinstance(node, Binary) and node.operator == "*":
        left, right = constant_value(node.left), constant_value(node.right)
        if left is not None and right is None:
            inner, term = split_weight(node.right)
            return left * inner, term
        if right is not None and left is None:
            inner, term = split_weight(node.left)
            return inner * right, term
    return 1.0, node


def constant_value(node: Expression) -> float | None:
    """SI value of an expression made of literals alone; None when it depends on anything else."""
    if isinstance(node, Quantity):
        return node.si
    if isinstance(node, Negate):
        value = constant_value(node.operand)
        return None if value is None else -value
    if isinstance(node, Binary):
        left, right = constant_value(node.left), constant_value(node.right)
        if left is None or right is None or (node.operator == "/" and right == 0.0):
            return None
        return {"+": left + right, "-": left - right, "*": left * right}.get(node.operator, left / (right or 1.0))
    return None


def infer(node: Expression, report: Report, *, inside: bool = False) -> Type | None:
    """Type of an expression, or None after telling `report` what is wrong with it."""
    if isinstance(node, Quantity):
        return Type(Kind.SIGNAL, node.dimension, constant=True)
    if isinstance(node, Text):
        return OBJECT
    if isinstance(node, Name):
        return _name(node, report)
    if isinstance(node, Call):
        return _call(node, report, inside)
    if isinstance(node, Negate):
        operand = infer(node.operand, report, inside=inside)
        return _wanted(operand, Kind.SIGNAL, node.operand, report)
    if isinstance(node, Not):
        operand = infer(node.operand, report, inside=inside)
        return _wanted(operand, Kind.PREDICATE, node.operand, report)
    if isinstance(node, Logic):
        return _logic(node, report, inside)
    if isinstance(node, Compare):
        return _compare(node, report, inside)
    return _arithmetic(node, report, inside)


def _quote(node: Expression) -> str:
    return f"`{to_text(node)[:80]}`"


def _wanted(found: Type | None, kind: Kind, node: Expression, report: Report) -> Type | None:
    if found is None or found.kind is kind:
        return found
    report(node.span, f"{kind.value} is needed here", f"{_quote(node)}, {found}", kind.value)
    return None


def _name(node: Name, report: Report) -> Type | None:
    word = VOCABULARY.find(node.name)
    if word is None:
        report(node.span, "an unknown word", repr(node.name), did_you_mean(node.name, VOCABULARY.names(calls=False)))
        return None
    if not word.is_name:
        report(node.span, f"{node.name!r} needs arguments", repr(node.name), f"{word.signature}, e.g. {word.example}")
        return None
    return word.result_type(())


def _call(node: Call, report: Report, inside: bool) -> Type | None:
    word = VOCABULARY.find(node.name)
    if word is None:
        report(node.span, "an unknown word", repr(node.name), did_you_mean(node.name, VOCABULARY.names(calls=True)))
        return None
    if word.is_name:
        report(node.span, f"{node.name!r} takes no arguments", _quote(node), word.name)
        return None
    bound = bind(node, word, report)
    if bound is None:
        return None
    types = []
    for parameter in word.parameters:
        argument = bound[parameter.name]
        types.append(
            parameter.type
            if argument is None
            else _argument(argument, parameter, word, report, inside or word.temporal)
        )
    if any(found is None for found in types):
        return None
    result = word.result_type(tuple(found for found in types if found is not None))
    # Inside another such word its value is wanted at each step.
    if inside and word.temporal and result.kind is Kind.PREDICATE:
        return replace(result, instant=True)
    return result


def bind(node: Call, word: Primitive, report: Report) -> dict[str, Expression | None] | None:
    """Arguments by parameter name (None = default), or None after reporting a wrong count or name."""
    names = [parameter.name for parameter in word.parameters]
    if len(node.arguments) > len(names):
        report(node.span, f"{word.name} takes {len(names)} arguments", f"{len(node.arguments)}", word.signature)
        return None
    bound: dict[str, Expression | None] = dict(zip(names, node.arguments, strict=False))
    for name, value in node.keywords:
        if name not in names or name in bound:
            problem = "is given twice" if name in bound else "is not an argument"
            report(value.span, f"{name!r} {problem} of {word.name}", repr(name), word.signature)
            return None
        bound[name] = value
    for parameter in word.parameters:
        if parameter.name in bound:
            continue
        if parameter.default is None:
            report(
                node.span,
                f"{word.name} lacks {parameter.name!r}",
                _quote(node),
                f"{word.signature}, e.g. {word.example}",
            )
            return None
        bound[parameter.name] = None
    return bound


def _argument(node: Expression, parameter: Parameter, word: Primitive, report: Report, inside: bool) -> Type | None:
    found = infer(node, report, inside=inside)
    if found is None:
        return None
    wanted = parameter.type
    if wanted.kind in (Kind.POINT, Kind.REGION) and found.kind is Kind.OBJECT:
        return found  # its centre, or its box
    where = f"{parameter.name!r} of {word.name}"
    if wanted.kind is Kind.OBJECT and found.kind is Kind.OBJECT:
        inner_text = isinstance(node, Text) or word.name != "kp"
        if not inner_text:
            report(node.span, f"{where} is a quoted name", _quote(node), "kp('red cube')")
            return None
        return found
    if found.kind is not wanted.kind:
        report(node.span, f"{where} must be {wanted.kind.value}", f"{_quote(node)}, {found}", f"e.g. {word.example}")
        return None
    if wanted.kind is Kind.PREDICATE and not found.instant:
        accepted = "a condition at each step, without always(...) or eventually(...)"
        report(node.span, f"{where} must be a condition at each step", _quote(node), accepted)
        return None
    if wanted.kind is Kind.SIGNAL:
        return _quantity_argument(node, found, parameter, where, word, report)
    return found


def _quantity_argument(
    node: Expression, found: Type, parameter: Parameter, where: str, word: Primitive, report: Report
) -> Type | None:
    wanted = parameter.type
    if not parameter.any_dimension and found.dimension != wanted.dimension:
        example = example_of(wanted.dimension)
        report(
            node.span, f"{where} must be {wanted.dimension}", f"{_quote(node)}, {found.dimension}", f"e.g. {example}"
        )
        return None
    if wanted.constant and not found.constant:
        report(node.span, f"{where} must be a literal", _quote(node), f"e.g. {example_of(wanted.dimension)}")
        return None
    if parameter.choices and constant_value(node) not in parameter.choices:
        accepted = ", ".join(f"{choice:g}" for choice in parameter.choices)
        report(node.span, f"{where} is out of range", _quote(node), accepted)
        return None
    if not wanted.constant and found.constant:
        report(node.span, f"{where} does not depend on the motion", _quote(node), f"e.g. {word.example}")
        return None
    return found


def _logic(node: Logic, report: Report, inside: bool) -> Type | None:
    types = [_wanted(infer(part, report, inside=inside), Kind.PREDICATE, part, report) for part in node.operands]
    known = [found for found in types if found is not None]
    if len(known) < len(types):
        return None
    if len({found.instant for found in known}) > 1:
        bare = next(part for part, found in zip(node.operands, known, strict=True) if found.instant)
        report(
            bare.span,
            f"`{node.operator}` joins a condition at each step with one on the whole chunk",
            _quote(bare),
            f"always({to_text(bare)}) or eventually({to_text(bare)})",
        )
        return None
    return known[0]


def _compare(node: Compare, report: Report, inside: bool) -> Type | None:
    left = _wanted(infer(node.left, report, inside=inside), Kind.SIGNAL, node.left, report)
    right = _wanted(infer(node.right, report, inside=inside), Kind.SIGNAL, node.right, report)
    if left is None or right is None:
        return None
    if left.dimension != right.dimension:
        _mismatch(node, left, right, report)
        return None
    if left.constant and right.constant:
        report(node.span, "both sides are literals", _quote(node), "a comparison with something that moves")
        return None
    for side, found in ((node.left, left), (node.right, right)):
        if not found.instant:
            accepted = "always(... <= ...) or eventually(... <= ...) of the quantity at each step"
            report(side.span, "a quantity of the whole chunk is for objectives only", _quote(side), accepted)
            return None
    return Type(Kind.PREDICATE)


def _arithmetic(node: Binary, report: Report, inside: bool) -> Type | None:
    left = _wanted(infer(node.left, report, inside=inside), Kind.SIGNAL, node.left, report)
    right = _wanted(infer(node.right, report, inside=inside), Kind.SIGNAL, node.right, report)
    if left is None or right is None:
        return None
    if node.operator in "+-" and left.dimension != right.dimension:
        _mismatch(node, left, right, report)
        return None
    if node.operator == "/" and not constant_value(node.right):
        report(node.right.span, "only division by a literal other than zero is allowed", _quote(node.right), "x / 2")
        return None
    dimension = {"*": left.dimension * right.dimension, "/": left.dimension / right.dimension}.get(
        node.operator, left.dimension
    )
    constant = left.constant and right.constant
    instant = (left.instant and not left.constant) or (right.instant and not right.constant) or constant
    return Type(Kind.SIGNAL, dimension, instant, constant)


def _mismatch(node: Binary | Compare, left: Type, right: Type, report: Report) -> None:
    lacks_unit = right.dimension == NUMBER and isinstance(node.right, Quantity)
    accepted = example_of(left.dimension) if lacks_unit else f"{left.dimension} on both sides"
    found = f"{left.dimension} {node.operator} {right.dimension}"
    report(node.right.span, f"`{node.operator}` needs the same units on both sides", found, accepted)
