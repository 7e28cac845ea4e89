"""Text to guidance functions: Python's parser, an allow-list of nodes, positions for every refusal."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

from vls_steering.rewards.diagnostics import Diagnostic, ProgramRejected, did_you_mean
from vls_steering.rewards.dialect.operations import BUILTINS, CONSTANTS, DTYPES, FUNCTIONS, METHODS

MAX_CHARACTERS = 64_000
MAX_STAGES = 12
MAX_NODES = 4000
MAX_DEPTH = 40
MAX_NUMBER = 1e6
NAME = re.compile(r"stage([1-9][0-9]?)_guidance")
# Other names that such programs give to torch and its parts.
_ALIASES = {"np": "torch", "numpy": "torch", "F": "torch.nn.functional"}
_ATTRIBUTES = frozenset({"shape", "dtype", "device", "ndim", "T", "values", "indices"})
_STATEMENTS = (ast.Assign, ast.AugAssign, ast.Return, ast.For, ast.If, ast.Expr, ast.Pass)
_EXPRESSIONS = (
    ast.Constant, ast.Name, ast.List, ast.Tuple, ast.UnaryOp, ast.BinOp, ast.BoolOp, ast.Compare, ast.IfExp,
    ast.Subscript, ast.Slice, ast.Attribute, ast.Call, ast.keyword,
)  # fmt: skip
_TOKENS = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)
_REFUSED_OPERATORS = (ast.MatMult, ast.LShift, ast.RShift, ast.Is, ast.IsNot, ast.In, ast.NotIn)
_WHAT: dict[type[ast.AST], str] = {
    ast.Import: "an import", ast.ImportFrom: "an import", ast.While: "a while loop", ast.With: "a with block",
    ast.Try: "a try block", ast.Raise: "a raise", ast.Assert: "an assert", ast.Delete: "a del", ast.Global: "a global",
    ast.Nonlocal: "a nonlocal", ast.ClassDef: "a class", ast.FunctionDef: "a function inside a function",
    ast.AsyncFunctionDef: "an async function", ast.Lambda: "a lambda", ast.ListComp: "a comprehension",
    ast.SetComp: "a comprehension", ast.DictComp: "a comprehension", ast.GeneratorExp: "a comprehension",
    ast.JoinedStr: "an f-string", ast.NamedExpr: "a walrus", ast.Starred: "an unpacking", ast.Dict: "a dictionary",
    ast.Set: "a set", ast.Await: "an await", ast.Yield: "a yield", ast.YieldFrom: "a yield",
    ast.AnnAssign: "an annotation",
}  # fmt: skip
_ALLOWED = "assignments, for loops over range(...), torch calls, + - * / **, indexing and one return"


@dataclass(frozen=True)
class Guidance:
    """The functions of one program, by stage from 1 on, and the names of the stages where they are given."""

    functions: dict[int, ast.FunctionDef]
    stages: int
    names: tuple[str, ...]


def dotted_name(node: ast.AST) -> str:
    """`torch.nn.functional.relu` of an attribute chain, aliases resolved; empty when it is not a chain of names."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name) or node.id not in {"torch", "math", *_ALIASES}:
        return ""
    return ".".join([_ALIASES.get(node.id, node.id), *reversed(parts)])


def read_guidance(text: str) -> Guidance:
    """Read a program; raises ProgramRejected with every fault found."""
    return _Reader(text).read()


def fault_at(text: str, where: str, node: ast.AST, problem: str, found: str = "", accepted: str = "") -> Diagnostic:
    """A diagnostic that shows the line of a syntax node."""
    line = getattr(node, "lineno", 1)
    lines = text.split("\n")
    row = lines[line - 1] if line <= len(lines) else ""
    # ast counts UTF-8 bytes.
    start = len(row.encode()[: getattr(node, "col_offset", 0)].decode(errors="ignore"))
    end_line, end = getattr(node, "end_lineno", line), getattr(node, "end_col_offset", 0)
    stop = len(row.encode()[:end].decode(errors="ignore")) if end_line == line else len(row)
    quoted = found or repr(row[start:stop][:60])
    return Diagnostic(where, problem, quoted, accepted, row[:200], start, max(stop, start + 1), line)


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n").replace("\r", "\n")
        self._faults: list[Diagnostic] = []

    def read(self) -> Guidance:
        functions: dict[int, ast.FunctionDef] = {}
        stages: int | None = None
        names: tuple[str, ...] = ()
        for node in self._parse():
            if isinstance(node, ast.FunctionDef):
                self._function(node, functions)
            elif isinstance(node, ast.Assign) and _target(node) == "num_stages":
                stages = self._count(node)
            elif isinstance(node, ast.Assign) and _target(node) == "stage_names":
                names = self._names(node)
            elif not _is_text(node):
                what = _WHAT.get(type(node), "this")
                self._refuse("program", node, f"{what} has no place beside the guidance functions", _ALLOWED)
        if not functions and not self._faults:
            self._fault(
                Diagnostic(
                    "program", "there is no guidance function", "", "def stage1_guidance(keypoints, action_sequence)"
                )
            )
        count = stages if stages is not None else max(functions, default=0)
        if functions and max(functions) > count:
            self._fault(
                Diagnostic(
                    "num_stages", "there are more guidance functions than stages", str(count), str(max(functions))
                )
            )
        if self._faults:
            raise ProgramRejected(self._faults)
        return Guidance(functions, count, names)

    def _parse(self) -> list[ast.stmt]:
        if len(self._text) > MAX_CHARACTERS:
            raise ProgramRejected(
                [Diagnostic("program", "the program is too long", f"{len(self._text)} characters", f"{MAX_CHARACTERS}")]
            )
        # As one compound statement: on a syntax error in a whole file Python would try to read that file again.
        rows = self._text.split("\n")
        python = "if 1:\n" + "".join(f" {row}\n" for row in rows) + " pass\n"
        try:
            with warnings.catch_warnings():
                # A warning would be printed with its source line, which opens files.
                warnings.simplefilter("ignore")
                tree = ast.parse(python, mode="single")
        except SyntaxError as error:
            line, column = max((error.lineno or 2) - 1, 1), max((error.offset or 2) - 2, 0)
            row = rows[line - 1] if line <= len(rows) else ""
            fault = Diagnostic(
                "program", f"not valid Python ({error.msg})", "", _ALLOWED, row[:200], column, column + 1, line
            )
            raise ProgramRejected([fault]) from None
        except (ValueError, MemoryError, RecursionError) as error:
            raise ProgramRejected([Diagnostic("program", f"not usable Python ({type(error).__name__})")]) from None
        count = depth = 0
        level: list[ast.AST] = [tree]
        while level:
            count, depth = count + len(level), depth + 1
            if count > MAX_NODES or depth > MAX_DEPTH:
                found = f"over {MAX_NODES} parts" if count > MAX_NODES else f"over {MAX_DEPTH} levels"
                raise ProgramRejected(
                    [Diagnostic("program", "the program is too large", found, f"{MAX_NODES} parts, {MAX_DEPTH} levels")]
                )
            level = [child for node in level for child in ast.iter_child_nodes(node)]
        self._look_alikes()
        return _lifted(tree)

    def _look_alikes(self) -> None:
        """Python reads many characters of Unicode as the letters they look like."""
        for token in tokenize.generate_tokens(io.StringIO(self._text).readline):
            if token.type == tokenize.NAME and not token.string.isascii():
                (line, start), stop = token.start, token.end[1]
                problem = "a name is made of plain letters"
                self._fault(
                    Diagnostic("program", problem, ascii(token.string), "", token.line[:200], start, stop, line)
                )

    def _function(self, node: ast.FunctionDef, functions: dict[int, ast.FunctionDef]) -> None:
        match = NAME.fullmatch(node.name)
        if match is None:
            self._refuse(
                "program", node, "only guidance functions are run", "stage1_guidance, stage2_guidance, ...", node.name
            )
            return
        where, number = node.name, int(match[1])
        if number in functions or number > MAX_STAGES:
            self._refuse(where, node, "a stage has one guidance function", f"stages 1 to {MAX_STAGES}", node.name)
            return
        arguments = node.args
        plain = not (arguments.posonlyargs or arguments.kwonlyargs or arguments.vararg or arguments.kwarg)
        names = [argument.arg for argument in arguments.args]
        if not plain or len(set(names)) != 2 or arguments.defaults or node.decorator_list or node.returns:
            self._refuse(
                where, node, "a guidance function takes two arguments", "(keypoints, action_sequence)", str(names)
            )
        if any(argument.annotation for argument in arguments.args):
            self._refuse(where, node, "an annotation has no place here", "(keypoints, action_sequence)", str(names))
        for statement in node.body:
            self._statement(where, statement, frozenset(names))
        if not isinstance(node.body[-1], ast.Return):
            self._refuse(where, node.body[-1], "a guidance function ends with its reward", "return reward.mean()")
        functions[number] = node

    def _statement(self, where: str, node: ast.stmt, inputs: frozenset[str]) -> None:
        if not isinstance(node, _STATEMENTS) or (isinstance(node, ast.Expr) and not _is_text(node)):
            what = _WHAT.get(type(node), "this")
            self._refuse(where, node, f"{what} is not part of the dialect", _ALLOWED)
            return
        if isinstance(node, ast.Assign):
            if len(node.targets) != 1:
                self._refuse(where, node, "one assignment at a time", "a = ...")
            self._target(where, node.targets[0], inputs)
        elif isinstance(node, ast.AugAssign):
            if not isinstance(node.target, ast.Name):
                self._refuse(where, node, "only a variable can be added to", "reward += ...")
            self._target(where, node.target, inputs)
        elif isinstance(node, ast.For):
            self._target(where, node.target, inputs)
            if node.orelse:
                self._refuse(where, node, "a loop has no else", _ALLOWED)
        elif isinstance(node, ast.Expr):
            return
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt):
                self._statement(where, child, inputs)
            elif isinstance(child, (ast.expr, ast.keyword)):
                self._expression(where, child)

    def _target(self, where: str, node: ast.expr, inputs: frozenset[str]) -> None:
        for name in (
            [node.value if isinstance(node, ast.Subscript) else node] if not isinstance(node, ast.Tuple) else node.elts
        ):
            if not isinstance(name, ast.Name):
                self._refuse(where, node, "only a variable, or a part of one, can be assigned", "weights[a:] = 3.0")
            elif name.id in inputs:
                self._refuse(where, node, f"the input {name.id!r} must not be changed", "a variable of your own")
            elif name.id in ("torch", "math", *_ALIASES, *BUILTINS):
                self._refuse(where, node, f"{name.id!r} keeps its meaning", "a variable of your own")

    def _expression(self, where: str, node: ast.AST) -> None:
        if not isinstance(node, (*_EXPRESSIONS, *_TOKENS)) or isinstance(node, _REFUSED_OPERATORS):
            self._refuse(where, node, f"{_WHAT.get(type(node), 'this')} is not part of the dialect", _ALLOWED)
            return
        if isinstance(node, ast.Constant):
            self._constant(where, node)
        elif isinstance(node, ast.Compare) and len(node.ops) > 1:
            self._refuse(where, node, "one comparison at a time", "a < b")
        elif isinstance(node, ast.Attribute):
            self._attribute(where, node)
            return
        elif isinstance(node, ast.Call):
            self._callee(where, node)
        for child in ast.iter_child_nodes(node):
            if isinstance(node, ast.Call) and child is node.func:
                continue
            if isinstance(node, ast.keyword) and node.arg == "device":
                continue
            if isinstance(child, _REFUSED_OPERATORS):
                self._refuse(where, node, "this operator is not part of the dialect", "+ - * / // % ** < <= > >= == !=")
            elif not isinstance(child, _TOKENS):
                self._expression(where, child)

    def _constant(self, where: str, node: ast.Constant) -> None:
        value = node.value
        if value is None or value is Ellipsis or isinstance(value, bool):
            return
        if not isinstance(value, (int, float)) or not abs(value) <= MAX_NUMBER:
            self._refuse(where, node, "not a number that is understood", f"numbers up to {MAX_NUMBER:g}")

    def _attribute(self, where: str, node: ast.Attribute) -> None:
        name = dotted_name(node)
        if name:
            if name not in DTYPES and name not in CONSTANTS:
                self._unknown(where, node, name, (*DTYPES, *CONSTANTS))
        elif node.attr not in _ATTRIBUTES:
            self._unknown(where, node, node.attr, _ATTRIBUTES)
        else:
            self._expression(where, node.value)

    def _callee(self, where: str, node: ast.Call) -> None:
        function, name = node.func, dotted_name(node.func)
        if any(keyword.arg is None for keyword in node.keywords):
            self._refuse(where, node, "an unpacking is not part of the dialect", "name=value")
        if isinstance(function, ast.Name):
            if function.id not in BUILTINS and function.id != "range":
                self._unknown(where, function, function.id, (*BUILTINS, "range"))
        elif not isinstance(function, ast.Attribute):
            self._refuse(where, node, "only functions of torch and methods of tensors can be called", "torch.norm(...)")
        elif name and name not in FUNCTIONS:
            self._unknown(where, function, name, FUNCTIONS)
        elif not name and function.attr not in METHODS:
            self._unknown(where, function, function.attr, METHODS)
        elif not name:
            self._expression(where, function.value)

    def _unknown(self, where: str, node: ast.AST, name: str, known: Iterable[str]) -> None:
        self._refuse(
            where, node, "not one of the operations that are understood", did_you_mean(name, known), repr(name[:60])
        )

    def _count(self, node: ast.Assign) -> int | None:
        value = node.value.value if isinstance(node.value, ast.Constant) else None
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_STAGES:
            self._refuse("num_stages", node.value, "the number of stages is a whole number", f"1 to {MAX_STAGES}")
            return None
        return value

    def _names(self, node: ast.Assign) -> tuple[str, ...]:
        entries = node.value.elts if isinstance(node.value, (ast.List, ast.Tuple)) else []
        texts = [entry.value for entry in entries if isinstance(entry, ast.Constant) and isinstance(entry.value, str)]
        if not texts or len(texts) != len(entries) or any(not t.isprintable() or len(t) > 120 for t in texts):
            self._refuse("stage_names", node.value, "the names of the stages are a list of texts", '["grasp", "lift"]')
        return tuple(texts)

    def _refuse(self, where: str, node: ast.AST, problem: str, accepted: str, found: str = "") -> None:
        self._fault(fault_at(self._text, where, node, problem, found, accepted))

    def _fault(self, fault: Diagnostic) -> None:
        if len(self._faults) < 32:
            self._faults.append(fault)


def _lifted(tree: ast.Interactive) -> list[ast.stmt]:
    """The program's own statements, at their own places."""
    block = tree.body[0]
    assert isinstance(block, ast.If)
    for node in ast.walk(block):
        if isinstance(node, (ast.stmt, ast.expr, ast.keyword, ast.arg, ast.alias)):
            node.lineno, node.col_offset = node.lineno - 1, node.col_offset - 1
            node.end_lineno, node.end_col_offset = (node.end_lineno or 1) - 1, (node.end_col_offset or 1) - 1
    return block.body[:-1]


def _target(node: ast.Assign) -> str:
    target = node.targets[0]
    return target.id if len(node.targets) == 1 and isinstance(target, ast.Name) else ""


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def returns_nothing(function: ast.FunctionDef) -> bool:
    """The function says that its stage needs no guidance: it returns a literal zero and does nothing else."""
    body = [node for node in function.body if not _is_text(node)]
    if len(body) != 1 or not isinstance(body[0], ast.Return):
        return False
    value = body[0].value
    if isinstance(value, ast.Call) and dotted_name(value.func) in ("torch.tensor", "torch.zeros") and value.args:
        return dotted_name(value.func) == "torch.zeros" or _is_zero(value.args[0])
    return value is not None and _is_zero(value)


def _is_zero(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and not isinstance(node.value, bool) and node.value == 0
