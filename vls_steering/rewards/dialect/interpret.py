"""A guidance function evaluated from its syntax tree, one allow-listed operation at a time."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from vls_steering.rewards.dialect.operations import (
    BUILTINS,
    CONSTANTS,
    DTYPES,
    FUNCTIONS,
    METHODS,
    Operation,
    Unusable,
    broadcast_checked,
    checked_size,
    power,
)
from vls_steering.rewards.dialect.syntax import dotted_name

# Nodes evaluated in one run of one function; the longest of VLS's own patterns takes under 300.
MAX_STEPS = 20_000
MAX_LOOP = 64
MAX_INTEGER = 10**9
MAX_LIST = 64

_ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = MappingProxyType(
    {
        ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
        ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.Pow: power,
        ast.BitAnd: operator.and_, ast.BitOr: operator.or_,
    }
)  # fmt: skip
_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = MappingProxyType(
    {
        ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
        ast.Eq: operator.eq, ast.NotEq: operator.ne,
    }
)  # fmt: skip
_FAULTS = (
    Unusable, RuntimeError, TypeError, ValueError, IndexError, KeyError, AttributeError, ArithmeticError,
    NotImplementedError, MemoryError,
)  # fmt: skip


class GuidanceFault(Exception):
    """An operation of a guidance function failed; knows where."""

    def __init__(self, node: ast.AST, problem: str) -> None:
        super().__init__(problem)
        self.node = node
        self.problem = problem


class _Returned(Exception):
    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


def run_guidance(function: ast.FunctionDef, keypoints: Tensor, action_sequence: Tensor) -> Any:
    """What the function returns for keypoints (N, 3) and a trajectory (B, T, 3), m; raises GuidanceFault."""
    names = [argument.arg for argument in function.args.args]
    return _Run({names[0]: keypoints, names[1]: action_sequence}, action_sequence.dtype).call(function)


class _Run:
    """One evaluation: variables, the steps left, and which variables the function made itself."""

    def __init__(self, inputs: dict[str, Any], dtype: torch.dtype) -> None:
        self._variables = dict(inputs)
        self._dtype = dtype
        self._own: set[str] = set()
        self._steps = MAX_STEPS

    def call(self, function: ast.FunctionDef) -> Any:
        try:
            for statement in function.body:
                self._execute(statement)
        except _Returned as returned:
            return returned.value
        raise GuidanceFault(function, "the function returns nothing")

    # --- statements

    def _execute(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Return):
            raise _Returned(None if node.value is None else self._value(node.value))
        if isinstance(node, ast.Assign):
            self._assign(node.targets[0], self._value(node.value), self._creates(node.value))
        elif isinstance(node, ast.AugAssign):
            name = node.target
            assert isinstance(name, ast.Name)  # the syntax check has passed
            self._assign(name, self._combine(node, node.op, self._value(_loaded(name)), self._value(node.value)), True)
        elif isinstance(node, ast.For):
            self._loop(node)
        elif isinstance(node, ast.If):
            for statement in node.body if self._truth(node.test) else node.orelse:
                self._execute(statement)
        # What is left is a docstring or `pass`.

    def _loop(self, node: ast.For) -> None:
        values = self._value(node.iter)
        if not isinstance(values, (range, list, tuple)) or len(values) > MAX_LOOP:
            raise GuidanceFault(node.iter, f"a loop runs over range(...) or a list, {MAX_LOOP} times at most")
        for value in values:
            self._assign(node.target, value, False)
            for statement in node.body:
                self._execute(statement)

    def _assign(self, target: ast.expr, value: Any, own: bool) -> None:
        if isinstance(target, ast.Name):
            self._variables[target.id] = value
            (self._own.add if own else self._own.discard)(target.id)
        elif isinstance(target, ast.Tuple):
            if not isinstance(value, tuple) or len(value) != len(target.elts):
                raise GuidanceFault(target, f"{len(target.elts)} names do not match what is assigned")
            for part, entry in zip(target.elts, value, strict=True):
                self._assign(part, entry, False)
        elif isinstance(target, ast.Subscript):
            self._write(target, value)

    def _write(self, target: ast.Subscript, value: Any) -> None:
        """`weights[a:b] = x`, as a new tensor: nothing that anybody else holds is ever written to."""
        assert isinstance(target.value, ast.Name)
        name = target.value.id
        if name not in self._own:
            raise GuidanceFault(target, f"{name!r} is not a tensor this function has made: write to a .clone() of it")
        tensor = self._value(_loaded(target.value))
        if isinstance(value, Tensor) and value.dim() > 0:
            raise GuidanceFault(target, "only a single number can be written into a tensor")
        try:
            chosen = torch.zeros(tensor.shape, dtype=torch.bool, device=tensor.device)
            chosen[self._index(target.slice)] = True
            self._variables[name] = torch.where(chosen, value, tensor)
        except _FAULTS as error:
            raise _fault(target, error) from None

    def _creates(self, node: ast.expr) -> bool:
        """The value is a new tensor, which the function may write to."""
        if isinstance(node, ast.BinOp):
            return True
        operation = self._operation(node)[0] if isinstance(node, ast.Call) else None
        return operation is not None and operation.creates

    # --- expressions

    def _value(self, node: ast.expr) -> Any:
        self._steps -= 1
        if self._steps < 0:
            raise GuidanceFault(node, f"the function takes more than {MAX_STEPS} steps")
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            if node.id not in self._variables:
                raise GuidanceFault(node, f"{node.id!r} has no value")
            return self._variables[node.id]
        if isinstance(node, (ast.List, ast.Tuple)):
            return tuple(self._value(entry) for entry in node.elts)
        if isinstance(node, ast.UnaryOp):
            return self._unary(node)
        if isinstance(node, ast.BinOp):
            return self._combine(node, node.op, self._value(node.left), self._value(node.right))
        if isinstance(node, ast.Compare):
            return self._compare(node)
        if isinstance(node, ast.BoolOp):
            truths = (self._truth(value) for value in node.values)
            return all(truths) if isinstance(node.op, ast.And) else any(truths)
        if isinstance(node, ast.IfExp):
            return self._value(node.body if self._truth(node.test) else node.orelse)
        if isinstance(node, ast.Subscript):
            return self._subscript(node)
        if isinstance(node, ast.Attribute):
            return self._attribute(node)
        if isinstance(node, ast.Call):
            return self._call(node)
        raise GuidanceFault(node, "this is not part of the dialect")

    def _unary(self, node: ast.UnaryOp) -> Any:
        if isinstance(node.op, ast.Not):
            return not self._truth(node.operand)
        value = self._value(node.operand)
        try:
            if isinstance(node.op, ast.Invert) and isinstance(value, Tensor):
                return ~value
            return -value if isinstance(node.op, ast.USub) else +value
        except _FAULTS as error:
            raise _fault(node, error) from None

    def _combine(self, node: ast.AST, kind: ast.operator, left: Any, right: Any) -> Any:
        try:
            broadcast_checked(left, right)
            if not all(isinstance(side, (Tensor, int, float)) for side in (left, right)):
                raise Unusable("arithmetic is for numbers and tensors")
            return _sane(_ARITHMETIC[type(kind)](left, right))
        except _FAULTS as error:
            raise _fault(node, error) from None

    def _compare(self, node: ast.Compare) -> Any:
        left, right = self._value(node.left), self._value(node.comparators[0])
        try:
            broadcast_checked(left, right)
            return _COMPARISONS[type(node.ops[0])](left, right)
        except _FAULTS as error:
            raise _fault(node, error) from None

    def _truth(self, node: ast.expr) -> bool:
        value = self._value(node)
        if not isinstance(value, (bool, int, float)):
            raise GuidanceFault(node, "a choice cannot depend on a tensor: it would not be differentiable")
        return bool(value)

    def _subscript(self, node: ast.Subscript) -> Any:
        value, index = self._value(node.value), self._index(node.slice)
        try:
            if isinstance(value, Tensor):
                _index_checked(value, index)
                return value[index]
            if isinstance(value, tuple) and isinstance(index, (int, slice)):
                return value[index]
            raise Unusable("only tensors and tuples have parts")
        except _FAULTS as error:
            raise _fault(node, error) from None

    def _index(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Tuple):
            return tuple(self._index(part) for part in node.elts)
        if isinstance(node, ast.Slice):
            return slice(*(None if part is None else self._value(part) for part in (node.lower, node.upper, node.step)))
        value = self._value(node)
        return list(value) if isinstance(value, tuple) else value

    def _attribute(self, node: ast.Attribute) -> Any:
        name = dotted_name(node)
        if name in DTYPES:
            # The chunk's own precision, whatever the program was written for.
            return self._dtype if DTYPES[name].is_floating_point else DTYPES[name]
        if name in CONSTANTS:
            return CONSTANTS[name]
        value = self._value(node.value)
        if isinstance(value, Tensor) and node.attr in ("shape", "dtype", "device", "ndim", "T"):
            parts: dict[str, Callable[[], Any]] = {
                "shape": lambda: tuple(value.shape), "dtype": lambda: value.dtype, "device": lambda: value.device,
                "ndim": lambda: value.dim(), "T": lambda: value.mT,
            }  # fmt: skip
            return parts[node.attr]()
        if isinstance(value, tuple) and node.attr in ("values", "indices") and len(value) == 2:
            return value[0 if node.attr == "values" else 1]
        raise GuidanceFault(node, f"{node.attr!r} is not something this has")

    def _operation(self, node: ast.Call) -> tuple[Operation | None, ast.expr | None]:
        """The operation a call means and, for a method, what it is called on."""
        name = dotted_name(node.func)
        if name in FUNCTIONS:
            return FUNCTIONS[name], None
        if isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
            return METHODS[node.func.attr], node.func.value
        return None, None

    def _call(self, node: ast.Call) -> Any:
        operation, owner = self._operation(node)
        arguments = [self._value(argument) for argument in node.args]
        # Everything is computed where the chunk is.
        options = {k.arg: self._value(k.value) for k in node.keywords if k.arg is not None and k.arg != "device"}
        if operation is None:
            return self._builtin(node, arguments)
        if owner is not None:
            arguments.insert(0, self._tensor(owner))
        unknown = sorted(set(options) - operation.keywords)
        if unknown:
            raise GuidanceFault(node, f"{unknown[0]!r} is not an argument that is understood here")
        arguments = [value for value in arguments if not isinstance(value, torch.device)]
        try:
            return _sane(operation.call(*arguments, **options))
        except _FAULTS as error:
            raise _fault(node, error) from None

    def _tensor(self, node: ast.expr) -> Tensor:
        value = self._value(node)
        if not isinstance(value, Tensor):
            raise GuidanceFault(node, "only tensors have methods")
        return value

    def _builtin(self, node: ast.Call, arguments: list[Any]) -> Any:
        assert isinstance(node.func, ast.Name)
        if node.keywords:
            raise GuidanceFault(node, f"{node.func.id} takes no keyword here")
        if node.func.id != "range" and any(isinstance(value, range) for value in arguments):
            raise GuidanceFault(node, "a range is for loops")
        flat = [entry for value in arguments for entry in (value if isinstance(value, tuple) else (value,))]
        tensors = any(isinstance(entry, Tensor) for entry in flat)
        if tensors and node.func.id not in ("len", "sum", "abs"):
            raise GuidanceFault(node, f"{node.func.id} is for plain numbers; tensors have torch.{node.func.id}")
        try:
            if node.func.id == "range":
                return range(*arguments)
            if node.func.id == "sum" and tensors:
                broadcast_checked(*flat)
            return _sane(BUILTINS[node.func.id](*arguments))
        except _FAULTS as error:
            raise _fault(node, error) from None


def _loaded(node: ast.expr) -> ast.Name:
    assert isinstance(node, ast.Name)
    return ast.copy_location(ast.Name(node.id, ast.Load()), node)


def _fault(node: ast.AST, error: BaseException) -> GuidanceFault:
    text = str(error).strip().split("\n")[0]
    return GuidanceFault(node, text[:200] or type(error).__name__)


def _sane(value: Any) -> Any:
    """A result of bounded size; raises Unusable otherwise."""
    if isinstance(value, Tensor):
        checked_size(value.shape)
    elif isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise Unusable("the number is too large")
    elif isinstance(value, complex):
        raise Unusable("the number is complex")
    elif isinstance(value, tuple) and not isinstance(value, torch.Size):
        return tuple(value)
    return value


def _index_checked(value: Tensor, index: Any) -> None:
    parts = index if isinstance(index, tuple) else (index,)
    lengths = [part.numel() for part in parts if isinstance(part, Tensor)]
    lengths += [len(part) for part in parts if isinstance(part, list)]
    rows = value.numel() // max(value.shape[0], 1) if value.dim() else 1
    if any(length * rows > 10 * checked_limit(value) for length in lengths):
        raise Unusable("the index selects too much")


def checked_limit(value: Tensor) -> int:
    """Elements that an index into this tensor may select."""
    return max(value.numel(), 1000)
