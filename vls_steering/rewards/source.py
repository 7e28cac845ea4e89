"""Text to expression: Python's own parser, an allow-list of nodes, and nothing is ever executed.

`ast.parse` only builds a syntax tree.  Every node of that tree is either turned into one of our frozen
expressions or refused; no name is looked up in Python, no attribute is read, no code object is made.
"""

from __future__ import annotations

import ast
import math
import re
import warnings
from dataclasses import dataclass

from vls_steering.rewards.diagnostics import Diagnostic, ProgramRejected
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
)
from vls_steering.rewards.units import UNITS

MAX_CHARACTERS = 600
MAX_NODES = 120
MAX_DEPTH = 16
MAX_NUMBER = 1e6

# No two of its parts can match the same character: it reads any text once.
_QUANTITY = re.compile(
    r"(?P<string>'[^']*'|\"[^\"]*\")"
    r"|(?<![\w.])(?P<number>(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)\s*(?P<unit>" + "|".join(UNITS) + r")(?!\w)"
)
_STRING = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"")
_BINARY = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_COMPARE = {ast.LtE: "<=", ast.Lt: "<=", ast.GtE: ">=", ast.Gt: ">="}
_WHAT = {
    ast.Attribute: "an attribute",
    ast.Subscript: "a subscript",
    ast.Lambda: "a lambda",
    ast.IfExp: "an if-expression",
    ast.ListComp: "a comprehension",
    ast.GeneratorExp: "a comprehension",
    ast.NamedExpr: "an assignment",
    ast.JoinedStr: "an f-string",
    ast.Starred: "an unpacking",
    ast.List: "a list",
    ast.Tuple: "a tuple",
    ast.Dict: "a dictionary",
}


def parse_expression(text: str, where: str) -> Expression:
    """Read one expression; raises ProgramRejected with the position of the first fault.

    `where` is the path of the text in its document, repeated in diagnostics.
    """
    if len(text) > MAX_CHARACTERS:
        raise _rejected(where, text[:60], 0, 0, "the expression is too long", f"{len(text)} characters", _atmost())
    # Python reads many characters of Unicode as the letters they look like, and gives "#" and "\\" meanings.
    bare = _STRING.sub(lambda match: " " * len(match[0]), text)
    bad = next((i for i, c in enumerate(bare) if c in "#\\" or (c not in "\n\t" and not " " <= c <= "~")), None)
    bad = next((i for i, c in enumerate(text) if c == "\\" or (c not in "\n\t" and not c.isprintable())), bad)
    if bad is not None:
        raise _rejected(where, text, bad, bad + 1, "a character that has no place here", repr(text[bad]), "plain text")
    source = _Source(where, text, *_spell_out_units(text))
    try:
        with warnings.catch_warnings():
            # A warning would be printed with its source line, which opens files.
            warnings.simplefilter("ignore")
            tree = ast.parse(source.python, mode="eval")
    except SyntaxError as error:
        at = source.column((error.offset or 1) - 1)
        raise _rejected(
            where, text, at, at + 1, f"not a valid expression ({error.msg})", repr(text[at : at + 12]), "an expression"
        ) from None
    except (ValueError, MemoryError, RecursionError) as error:
        raise _rejected(where, text, 0, 0, f"not a valid expression ({type(error).__name__})", "", "") from None
    nodes = sum(1 for node in ast.walk(tree) if isinstance(node, (ast.expr, ast.keyword)))
    if nodes > 2 * MAX_NODES:
        raise _rejected(where, text, 0, len(text), "the expression is too large", f"{nodes} parts", _atmost())
    return _Reader(source).read(tree.body, 0)


def _atmost() -> str:
    return f"at most {MAX_CHARACTERS} characters, {MAX_NODES} parts, {MAX_DEPTH} levels"


def _rejected(where: str, text: str, start: int, end: int, problem: str, found: str, accepted: str) -> ProgramRejected:
    return ProgramRejected([Diagnostic(where, problem, found, accepted, text, start, end)])


@dataclass(frozen=True)
class _Source:
    """The text as written, the Python text made from it and the column each Python character came from."""

    where: str
    text: str
    python: str
    origin: tuple[int, ...]

    def column(self, index: int) -> int:
        if not self.origin:
            return 0
        return self.origin[max(0, min(index, len(self.origin) - 1))]

    def span(self, node: ast.expr) -> Span:
        # ast counts UTF-8 bytes.
        encoded = self.python.encode()
        first = len(encoded[: node.col_offset].decode(errors="ignore"))
        last = len(encoded[: node.end_col_offset].decode(errors="ignore"))
        return Span(self.column(first), self.column(last - 1) + 1)


def _spell_out_units(text: str) -> tuple[str, tuple[int, ...]]:
    """`2 cm` -> `(2*cm)`, outside strings; also the origin column of each character."""
    flat = re.sub(r"[\n\t]", " ", text)
    pieces: list[tuple[str, int]] = []
    at = len(flat) - len(flat.lstrip())
    for match in _QUANTITY.finditer(flat, at):
        if match["string"] is not None:
            continue
        pieces += [(c, i) for i, c in enumerate(flat[at : match.start()], at)]
        pieces.append(("(", match.start()))
        pieces += [(c, i) for i, c in enumerate(match["number"], match.start("number"))]
        pieces.append(("*", match.end("number") - 1))
        pieces += [(c, i) for i, c in enumerate(match["unit"], match.start("unit"))]
        pieces.append((")", match.end() - 1))
        at = match.end()
    pieces += [(c, i) for i, c in enumerate(flat[at:], at)]
    return "".join(c for c, _ in pieces), tuple(i for _, i in pieces)


class _Reader:
    """Turns the allowed part of Python's syntax tree into our expressions."""

    def __init__(self, source: _Source) -> None:
        self._source = source

    def read(self, node: ast.expr, depth: int) -> Expression:
        span = self._source.span(node)
        if depth > MAX_DEPTH:
            raise self._error(span, "the expression is nested too deeply", "", _atmost())
        if isinstance(node, ast.Constant):
            return self._constant(node, span)
        if isinstance(node, ast.Name):
            return Quantity(1.0, node.id, span) if node.id in UNITS else Name(node.id, span)
        if isinstance(node, ast.Call):
            return self._call(node, span, depth)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return Negate(self.read(node.operand, depth + 1), span)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd):
            return self.read(node.operand, depth + 1)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return Not(self.read(node.operand, depth + 1), span)
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            return self._binary(node, span, depth)
        if isinstance(node, ast.BoolOp):
            operator = "and" if isinstance(node.op, ast.And) else "or"
            return Logic(operator, tuple(self.read(value, depth + 1) for value in node.values), span)
        if isinstance(node, ast.Compare):
            return self._compare(node, span, depth)
        what = _WHAT.get(type(node), "this")
        raise self._error(
            span,
            f"{what} is not part of the language",
            self._quote(span),
            "calls, numbers with units, + - * /, <= >=, and or not",
        )

    def _constant(self, node: ast.Constant, span: Span) -> Expression:
        value = node.value
        if isinstance(value, str):
            return Text(value, span)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._error(span, "not a number or an object name", self._quote(span), "2 cm, 0.5, 'red cube'")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not number <= MAX_NUMBER:
            raise self._error(span, "the number is too large", self._quote(span), f"numbers up to {MAX_NUMBER:g}")
        return Quantity(number, "", span)

    def _call(self, node: ast.Call, span: Span, depth: int) -> Expression:
        if not isinstance(node.func, ast.Name):
            raise self._error(
                self._source.span(node.func),
                "only words of the language can be called",
                self._quote(span),
                "dist(...), always(...), ...",
            )
        keywords = []
        for keyword in node.keywords:
            if keyword.arg is None:
                raise self._error(span, "an unpacking is not part of the language", self._quote(span), "name=value")
            keywords.append((keyword.arg, self.read(keyword.value, depth + 1)))
        arguments = tuple(self.read(argument, depth + 1) for argument in node.args)
        return Call(node.func.id, arguments, tuple(keywords), span)

    def _binary(self, node: ast.BinOp, span: Span, depth: int) -> Expression:
        left, right = self.read(node.left, depth + 1), self.read(node.right, depth + 1)
        operator = _BINARY[type(node.op)]
        spelled_unit = isinstance(node.right, ast.Name) and node.right.id in UNITS
        if operator == "*" and spelled_unit and isinstance(left, Quantity) and not left.unit:
            return Quantity(left.value, right.unit if isinstance(right, Quantity) else "", span)
        return Binary(operator, left, right, span)

    def _compare(self, node: ast.Compare, span: Span, depth: int) -> Expression:
        operands = [self.read(value, depth + 1) for value in (node.left, *node.comparators)]
        links: list[Expression] = []
        for operator, left, right in zip(node.ops, operands, operands[1:], strict=False):
            if type(operator) not in _COMPARE:
                raise self._error(span, "this comparison is not part of the language", self._quote(span), "<= or >=")
            links.append(Compare(_COMPARE[type(operator)], left, right, span))
        return links[0] if len(links) == 1 else Logic("and", tuple(links), span)

    def _quote(self, span: Span) -> str:
        return repr(self._source.text[span.start : span.end][:60])

    def _error(self, span: Span, problem: str, found: str, accepted: str) -> ProgramRejected:
        return _rejected(self._source.where, self._source.text, span.start, span.end, problem, found, accepted)
