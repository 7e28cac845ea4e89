"""The torch operations that a guidance function may use, and how large their results may grow.

Nothing is looked up in torch by a name from the program: a name is a key of these tables or it is refused.  None of
the operations writes to its arguments, touches a file, a device or torch's own state, or draws random numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

# Elements of any one tensor; a chunk of 64 steps has 192 values.
MAX_ELEMENTS = 100_000
MAX_DIMENSIONS = 6


class Unusable(Exception):
    """An operation cannot be applied to what it is given."""


@dataclass(frozen=True)
class Operation:
    """One allowed call.  `creates` marks results that belong to the program, which it may then write to."""

    call: Callable[..., Any]
    keywords: frozenset[str]
    creates: bool = False


def _op(call: Any, *keywords: str, creates: bool = False) -> Operation:
    return Operation(call, frozenset(keywords), creates)


def checked_size(shape: Any) -> None:
    """Raise Unusable when a tensor of this shape would be too large."""
    sizes = [int(size) for size in shape]
    if len(sizes) > MAX_DIMENSIONS or any(size < 0 for size in sizes) or math.prod(sizes) > MAX_ELEMENTS:
        raise Unusable(f"a tensor of shape {tuple(sizes)} is too large: {MAX_ELEMENTS} elements at most")


def broadcast_checked(*values: Any) -> None:
    """Raise Unusable when the values, broadcast together, would be too large."""
    shapes = [value.shape[::-1] for value in values if isinstance(value, Tensor)]
    # What does not broadcast at all is for torch to refuse, in its own words.
    checked_size([max(sizes) for sizes in zip_longest(*shapes, fillvalue=1)])


def _pointwise(call: Callable[..., Any]) -> Callable[..., Any]:
    def checked(*values: Any, **options: Any) -> Any:
        broadcast_checked(*values, *options.values())
        return call(*values, **options)

    return checked


def _shape_of(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    flat = sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes
    checked_size(flat)
    return tuple(int(size) for size in flat)


def _tensor(value: Any, **options: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value.clone()
    return (
        torch.stack([_tensor(entry, **options) for entry in value]) if _has_tensors(value) else _literal(value, options)
    )


def _literal(value: Any, options: dict[str, Any]) -> Tensor:
    checked_size((_count(value),))
    return torch.tensor(value, **{"dtype": None if _all_integers(value) else torch.get_default_dtype(), **options})


def _has_tensors(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and any(isinstance(v, Tensor) or _has_tensors(v) for v in value)


def _all_integers(value: Any) -> bool:
    return all(map(_all_integers, value)) if isinstance(value, (list, tuple)) else isinstance(value, int)


def _count(value: Any) -> int:
    return sum(map(_count, value)) if isinstance(value, (list, tuple)) else 1


def _arange(*bounds: Any, **options: Any) -> Tensor:
    start, end, step = (0, *bounds, 1)[:3] if len(bounds) == 1 else (*bounds, 1)[:3]
    if step == 0:
        raise Unusable("a range needs a step other than zero")
    checked_size((max(math.ceil((end - start) / step), 0),))
    return torch.arange(start, end, step, **options)


def _linspace(start: float, end: float, steps: int, **options: Any) -> Tensor:
    checked_size((steps,))
    return torch.linspace(start, end, steps, **options)


def _full(size: Any, value: Any, **options: Any) -> Tensor:
    return torch.full(_shape_of((size,)), float(value), **options)


def _sized(call: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda *sizes, **options: call(_shape_of(sizes), **options)


def _norm(value: Tensor, p: Any = 2, dim: Any = None, keepdim: bool = False) -> Tensor:
    if p not in (1, 2, math.inf, -math.inf):
        raise Unusable("a norm has p = 1, 2 or inf")
    length: Tensor = torch.linalg.vector_norm(value, ord=p, dim=dim, keepdim=keepdim)
    return length


def _vector_norm(value: Tensor, p: Any = 2, dim: Any = None, **options: Any) -> Tensor:
    return _norm(value, options.pop("ord", p), dim, **options)


def _together(call: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def checked(parts: Any, dim: int = 0) -> Tensor:
        parts = [part if isinstance(part, Tensor) else torch.tensor(float(part)) for part in parts]
        checked_size((sum(part.numel() for part in parts),))
        result: Tensor = call(parts, dim=dim)
        return result

    return checked


def _where(condition: Any, first: Any, second: Any) -> Tensor:
    broadcast_checked(condition, first, second)
    return torch.where(condition, first, second)


def power(base: Any, exponent: Any) -> Any:
    broadcast_checked(base, exponent)
    if isinstance(base, (int, float)) and isinstance(exponent, (int, float)):
        if abs(base) > 1e6 or abs(exponent) > 16:
            raise Unusable("this power is too large")
        return float(base) ** exponent if not isinstance(base, int) or exponent < 0 else base**exponent
    return torch.pow(base, exponent)


def _expand(value: Tensor, *sizes: Any) -> Tensor:
    flat = list(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else list(sizes)
    lead = len(flat) - value.dim()
    if lead < 0:
        raise Unusable("expand needs a size for every dimension")
    kept = [value.shape[i - lead] if size == -1 and i >= lead else size for i, size in enumerate(flat)]
    return value.expand(_shape_of((kept,)))


def _repeat(value: Tensor, *sizes: Any) -> Tensor:
    flat = list(sizes[0]) if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else list(sizes)
    checked_size((math.prod(max(int(size), 0) for size in flat) * max(value.numel(), 1),))
    return value.repeat(*[int(size) for size in flat])


def _reshape(value: Tensor, *sizes: Any) -> Tensor:
    return value.reshape(*sizes)


def _to(value: Tensor, *kind: Any, dtype: Any = None) -> Tensor:
    wanted = [entry for entry in (*kind, dtype) if isinstance(entry, torch.dtype)]
    return value.to(wanted[0]) if wanted else value


def _maximum_of(value: Any, *others: Any, **options: Any) -> Any:
    if others and isinstance(others[0], Tensor):
        return _pointwise(torch.maximum)(value, *others)
    return torch.max(value, *others, **options)


def _minimum_of(value: Any, *others: Any, **options: Any) -> Any:
    if others and isinstance(others[0], Tensor):
        return _pointwise(torch.minimum)(value, *others)
    return torch.min(value, *others, **options)


def _clamp(value: Tensor, *bounds: Any, **named: Any) -> Tensor:
    broadcast_checked(value, *bounds, *named.values())
    return torch.clamp(value, *bounds, **named)


def _diff(value: Tensor, n: int = 1, dim: int = -1) -> Tensor:
    if n not in (1, 2):
        raise Unusable("differences are of order 1 or 2")
    return torch.diff(value, n=n, dim=dim)


def _dot(first: Tensor, second: Tensor) -> Tensor:
    return torch.dot(first, second)


def _cross(first: Tensor, second: Tensor, dim: int = -1) -> Tensor:
    broadcast_checked(first, second)
    product: Tensor = torch.linalg.cross(first, second, dim=dim)
    return product


def _binary(call: Callable[..., Any]) -> Operation:
    return _op(_pointwise(call), "other", "alpha")


_REDUCE = ("dim", "keepdim")
_SIMPLE = {
    name: _op(call)
    for name, call in {
        "abs": torch.abs, "sqrt": torch.sqrt, "rsqrt": torch.rsqrt, "exp": torch.exp, "expm1": torch.expm1,
        "log": torch.log, "log1p": torch.log1p, "sin": torch.sin, "cos": torch.cos, "tan": torch.tan,
        "asin": torch.asin, "acos": torch.acos, "atan": torch.atan, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
        "relu": torch.relu, "square": torch.square, "sign": torch.sign, "neg": torch.neg, "floor": torch.floor,
        "ceil": torch.ceil, "round": torch.round, "reciprocal": torch.reciprocal, "isfinite": torch.isfinite,
        "isnan": torch.isnan, "logical_not": torch.logical_not, "deg2rad": torch.deg2rad, "rad2deg": torch.rad2deg,
    }.items()
}  # fmt: skip
_SHARED: dict[str, Operation] = {
    **_SIMPLE,
    "norm": _op(_norm, "p", *_REDUCE),
    "sum": _op(torch.sum, *_REDUCE),
    "mean": _op(torch.mean, *_REDUCE),
    "std": _op(torch.std, "unbiased", *_REDUCE),
    "var": _op(torch.var, "unbiased", *_REDUCE),
    "prod": _op(torch.prod, *_REDUCE),
    "max": _op(_maximum_of, *_REDUCE),
    "min": _op(_minimum_of, *_REDUCE),
    "amax": _op(torch.amax, *_REDUCE),
    "amin": _op(torch.amin, *_REDUCE),
    "argmax": _op(torch.argmax, *_REDUCE),
    "argmin": _op(torch.argmin, *_REDUCE),
    "median": _op(torch.median, *_REDUCE),
    "logsumexp": _op(torch.logsumexp, *_REDUCE),
    "softmax": _op(torch.softmax, "dim"),
    "log_softmax": _op(torch.log_softmax, "dim"),
    "cummax": _op(torch.cummax, "dim"),
    "cummin": _op(torch.cummin, "dim"),
    "cumsum": _op(torch.cumsum, "dim"),
    "diff": _op(_diff, "n", "dim"),
    "sort": _op(torch.sort, "dim", "descending"),
    "flip": _op(torch.flip, "dims"),
    "clamp": _op(_clamp, "min", "max"),
    "clip": _op(_clamp, "min", "max"),
    "pow": _op(power, "exponent"),
    "add": _binary(torch.add),
    "sub": _binary(torch.sub),
    "mul": _binary(torch.mul),
    "div": _binary(torch.div),
    "maximum": _binary(torch.maximum),
    "minimum": _binary(torch.minimum),
    "atan2": _binary(torch.atan2),
    "logical_and": _binary(torch.logical_and),
    "logical_or": _binary(torch.logical_or),
    "dot": _op(_dot),
    "cross": _op(_cross, "dim"),
    "squeeze": _op(torch.squeeze, "dim"),
    "unsqueeze": _op(torch.unsqueeze, "dim"),
    "reshape": _op(_reshape),
    "transpose": _op(torch.transpose),
    "clone": _op(torch.clone, creates=True),
}
_LIKE = ("dtype",)
FUNCTIONS: Mapping[str, Operation] = MappingProxyType(
    {
        **{f"torch.{name}": operation for name, operation in _SHARED.items()},
        "torch.linalg.norm": _op(_vector_norm, "ord", *_REDUCE),
        "torch.linalg.vector_norm": _op(_vector_norm, "ord", *_REDUCE),
        "torch.tensor": _op(_tensor, "dtype", creates=True),
        "torch.as_tensor": _op(_tensor, "dtype", creates=True),
        "torch.array": _op(_tensor, "dtype", creates=True),
        "torch.zeros": _op(_sized(torch.zeros), *_LIKE, creates=True),
        "torch.ones": _op(_sized(torch.ones), *_LIKE, creates=True),
        "torch.full": _op(_full, *_LIKE, creates=True),
        "torch.zeros_like": _op(torch.zeros_like, *_LIKE, creates=True),
        "torch.ones_like": _op(torch.ones_like, *_LIKE, creates=True),
        "torch.full_like": _op(torch.full_like, *_LIKE, creates=True),
        "torch.arange": _op(_arange, *_LIKE, creates=True),
        "torch.linspace": _op(_linspace, "steps", *_LIKE, creates=True),
        "torch.where": _op(_where, creates=True),
        "torch.stack": _op(_together(torch.stack), "dim", creates=True),
        "torch.cat": _op(_together(torch.cat), "dim", creates=True),
        "torch.nn.functional.relu": _op(functional.relu),
        "torch.nn.functional.softplus": _op(functional.softplus, "beta"),
        "torch.nn.functional.softmax": _op(torch.softmax, "dim"),
        "torch.nn.functional.softmin": _op(functional.softmin, "dim"),
        "torch.nn.functional.normalize": _op(functional.normalize, "p", "dim", "eps"),
        "torch.nn.functional.cosine_similarity": _op(_pointwise(functional.cosine_similarity), "dim", "eps"),
    }
)
METHODS: Mapping[str, Operation] = MappingProxyType(
    {
        **_SHARED,
        "expand": _op(_expand),
        "repeat": _op(_repeat),
        "view": _op(_reshape),
        "flatten": _op(torch.flatten, "start_dim", "end_dim"),
        "permute": _op(lambda value, *order: value.permute(*order)),
        "size": _op(lambda value, *dim: value.size(*dim)),
        "dim": _op(lambda value: value.dim()),
        "numel": _op(lambda value: value.numel()),
        "detach": _op(torch.Tensor.detach),
        "float": _op(lambda value: value.to(torch.get_default_dtype())),
        "long": _op(lambda value: value.long()),
        "int": _op(lambda value: value.int()),
        "bool": _op(lambda value: value.bool()),
        "to": _op(_to, "dtype"),
        "contiguous": _op(lambda value: value),
    }
)
BUILTINS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {"int": int, "float": float, "abs": abs, "max": max, "min": min, "len": len, "round": round, "sum": sum}
)
DTYPES: Mapping[str, torch.dtype] = MappingProxyType(
    {
        "torch.float": torch.float32, "torch.float32": torch.float32, "torch.float64": torch.float64,
        "torch.long": torch.int64, "torch.int64": torch.int64, "torch.int": torch.int32, "torch.int32": torch.int32,
        "torch.bool": torch.bool,
    }
)  # fmt: skip
CONSTANTS: Mapping[str, float] = MappingProxyType({"torch.pi": math.pi, "math.pi": math.pi, "torch.inf": math.inf})
