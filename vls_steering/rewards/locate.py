"""Where in a program's file a diagnostic points: line and column of the character, as compilers say it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml

from vls_steering.rewards.diagnostics import Diagnostic, ProgramRejected
from vls_steering.rewards.parse import refuse_bulk

_STEP = re.compile(r"([A-Za-z_]+)|\[(\d+)\]")
_ESCAPE = re.compile(r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)", re.DOTALL)


@dataclass(frozen=True)
class Place:
    """A stretch of one line; line and column count from 1."""

    line: int
    column: int
    width: int
    text: str  # the line


class Source:
    """The text of a program file, JSON or YAML (of which JSON is a part), or functions in the VLS format."""

    def __init__(self, text: str, *, placed: bool) -> None:
        """`placed`: every diagnostic knows its line already."""
        self._text = text
        self._lines = text.splitlines()
        self._root = None if placed else _compose(text)

    def find(self, diagnostic: Diagnostic) -> Place | None:
        """The characters at fault; the nearest enclosing value when they cannot be told; None for none at all."""
        width = max(1, diagnostic.end - diagnostic.start)
        if diagnostic.line:
            return self._place(diagnostic.line, diagnostic.start + 1, width)
        node = self._node(diagnostic.where)
        if isinstance(node, yaml.MappingNode) and diagnostic.text:
            node = _child(node, "term") or node
        if node is None:
            return None
        mark = node.start_mark
        if not isinstance(node, yaml.ScalarNode) or not diagnostic.text:
            return self._place(mark.line + 1, mark.column + 1, 1)
        raw = self._text[node.start_mark.index : node.end_mark.index]
        start = _raw_index(raw, node, diagnostic)
        if start is None or "\n" in raw:
            return self._place(mark.line + 1, mark.column + 1, len(raw.split("\n")[0]))
        return self._place(mark.line + 1, mark.column + 1 + start, width)

    def _place(self, line: int, column: int, width: int) -> Place:
        text = self._lines[line - 1] if 0 < line <= len(self._lines) else ""
        column = min(column, len(text) + 1)
        return Place(line, column, max(1, min(width, len(text) + 1 - column)), text)

    def _node(self, where: str) -> yaml.Node | None:
        """The node at a path such as `stages[0].reward[1]`, or the nearest above it that exists."""
        node = self._root
        for key, index in _STEP.findall(where):
            below = _child(node, key) if key else _entry(node, int(index))
            if below is None:
                return node if node is not self._root else None
            node = below
        return node


def _compose(text: str) -> yaml.Node | None:
    try:
        refuse_bulk(text)
        # A tab may indent JSON, but not YAML; one blank keeps every column.
        node: yaml.Node | None = yaml.compose(text.replace("\t", " "), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError, ProgramRejected):
        return None
    return node


def _child(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)


def _entry(node: yaml.Node | None, index: int) -> yaml.Node | None:
    return node.value[index] if isinstance(node, yaml.SequenceNode) and index < len(node.value) else None


def _raw_index(raw: str, node: yaml.ScalarNode, diagnostic: Diagnostic) -> int | None:
    """Offset in the scalar as it is written of the character at fault in its value."""
    start = diagnostic.start
    if node.value != diagnostic.text:
        # The checker speaks of the canonical text: look for the words themselves.
        start = node.value.find(diagnostic.text[diagnostic.start : diagnostic.end])
        if start < 0:
            return None
    if node.style == '"':
        at = 1
        for _ in range(start):
            escape = _ESCAPE.match(raw, at)
            at = escape.end() if escape else at + 1
        return at
    return start + (1 if node.style == "'" else 0)
