"""Terms of a stage, evaluated together: each is an affine function of a signal, folded over the chunk.

Small tensors cost their number of operations, not their size.  Terms that fold alike (all the `always` of a stage, all
its closest approaches) are therefore stacked and folded at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vls_steering.rewards.context import Context
from vls_steering.rewards.document import Term
from vls_steering.rewards.evaluate import Run, compile_expression, looks_along_time, recalled
from vls_steering.rewards.expression import Call, Compare, Expression, Not, children, walk
from vls_steering.rewards.geometry import constants
from vls_steering.rewards.language import Kind
from vls_steering.rewards.semantics import window
from vls_steering.rewards.typecheck import constant_value, split_weight, type_of

_WINDOW = ("condition", "after", "before")
# Number of conditions that the words along time take before their window.
_CONDITIONS = {"always": 1, "eventually": 1, "until": 2, "release": 2}
_DUAL = {"always": "eventually", "eventually": "always"}
# Folds of the quantity inside an objective; `lowest(q)` is `-highest(-q)`.
_PEAKS = {"highest": 1.0, "lowest": -1.0}
_FOLDS = {"mean": "mean", "at_end": "last"}


@dataclass(frozen=True)
class Fold:
    """How (K, N, T) values become (K, N): terms with equal folds are evaluated together.

    A fold with a window `recalls`: it counts its seconds from the beginning of the stage and looks at what was
    measured since.  T is the chunk's H steps, after the P samples of the past for a fold that recalls.
    """

    kind: str  # always, eventually, peak, mean, last; given = one value already
    hinged: bool  # a condition, not an objective
    after_s: float = 0.0
    before_s: float = math.inf
    recalls: bool = False
    nested: bool = False  # the signal looks along time itself, so its values may be infinite

    def exact(self, context: Context, values: Tensor) -> Tensor:
        """The fold of the whole signal, past and future."""
        semantics = context.semantics
        if self.kind == "always":
            return semantics.minimum(values, self._mask(context))
        if self.kind == "eventually":
            return semantics.maximum(values, self._mask(context))
        if self.kind == "peak":
            return semantics.peak(values)
        return values.mean(-1) if self.kind == "mean" else values[..., -1]

    def progressed(self, context: Context, values: Tensor) -> Tensor:
        """The fold of what can still be changed: the past of a formula that goes on beyond a chunk drops out.

        A past failure of `always` cannot be made good, so it must not drown what is left; a past success of
        `eventually` leaves nothing to do.
        """
        mask = self._mask(context)
        if context.past is None or mask is None or self.kind not in _DUAL:
            return self.exact(context, values)
        ahead = mask & (context.times_s > 0.0)
        if self.kind == "always":
            return context.semantics.minimum(values, ahead)
        achieved = torch.where(mask & ~ahead, values, -torch.inf).amax(-1)
        return torch.where(achieved >= 0.0, achieved, context.semantics.maximum(values, ahead))

    def _mask(self, context: Context) -> Tensor | None:
        if not self.recalls:
            return torch.ones_like(context.times_s, dtype=torch.bool) if self.nested else None
        return window(context.times_s, context.start_s, self.after_s, self.before_s)


@dataclass(frozen=True)
class CompiledTerm:
    """`weight * fold(scale * signal + offset)`, hinged when it is a condition; in units of score."""

    text: str
    weight: float
    signal: Run
    scale: float
    offset: float
    fold: Fold


def compile_term(term: Term, priority: float = 1.0) -> CompiledTerm:
    """One term; `priority` multiplies its weight."""
    weight, body = split_weight(term.expression)
    if type_of(body).kind is Kind.PREDICATE:
        return _condition(term.text, priority * weight, body)
    assert isinstance(body, Call)  # maximize or minimize
    sign = 1.0 if body.name == "maximize" else -1.0
    return _objective(term.text, sign * priority * weight, _argument(body, 0, "quantity"))


def _condition(text: str, weight: float, body: Expression) -> CompiledTerm:
    node, negated = body, False
    while isinstance(node, Not):
        node, negated = node.operand, not negated
    if not isinstance(node, Call) or node.name not in _DUAL:
        return CompiledTerm(
            text, weight, compile_expression(body), 1.0, 0.0, Fold("given", True, recalls=_windowed(body))
        )
    after, before = (_seconds(node, i, default) for i, default in ((1, 0.0), (2, math.inf)))
    condition = _argument(node, 0, "condition")
    nested = any(looks_along_time(part) for part in walk(condition))
    fold = Fold(_DUAL[node.name] if negated else node.name, True, after, before, _windowed(node), nested)
    return CompiledTerm(text, weight, *_affine(condition, negated), fold)


def _objective(text: str, weight: float, quantity: Expression) -> CompiledTerm:
    reference = type_of(quantity).dimension.reference
    if isinstance(quantity, Call) and quantity.name in _PEAKS:
        sign, inner = _PEAKS[quantity.name], _argument(quantity, 0, "quantity")
        signal = compile_expression(inner, inside=True)
        return CompiledTerm(text, sign * weight, signal, sign / reference, 0.0, Fold("peak", False))
    kind = "mean" if type_of(quantity).instant else "given"
    if isinstance(quantity, Call) and quantity.name in _FOLDS:
        kind, quantity = _FOLDS[quantity.name], _argument(quantity, 0, "quantity")
    return CompiledTerm(text, weight, compile_expression(quantity), 1.0 / reference, 0.0, Fold(kind, False))


def _affine(condition: Expression, negated: bool) -> tuple[Run, float, float]:
    """(signal, scale, offset) of a condition's robustness: a comparison with a literal is affine in its other side."""
    if isinstance(condition, Compare):
        left, right = constant_value(condition.left), constant_value(condition.right)
        scale = 1.0 / type_of(condition.left, inside=True).dimension.reference
        # `<=` wants the right side to be the greater one.
        sign = scale if (condition.operator == "<=") is not negated else -scale
        if right is not None:
            return recalled(compile_expression(condition.left, inside=True), True), -sign, sign * right
        if left is not None:
            return recalled(compile_expression(condition.right, inside=True), True), sign, -sign * left
    return compile_expression(condition, inside=True, negated=negated), 1.0, 0.0


def _windowed(verdict: Expression) -> bool:
    """A word that looks along time, at the top of the verdict, has a window."""
    if isinstance(verdict, Call):
        return len(verdict.arguments) > _CONDITIONS[verdict.name] or any(
            name in _WINDOW[1:] for name, _ in verdict.keywords
        )
    return any(_windowed(child) for child in children(verdict))


def _argument(call: Call, position: int, name: str) -> Expression:
    return call.arguments[position] if len(call.arguments) > position else dict(call.keywords)[name]


def _seconds(call: Call, position: int, default: float) -> float:
    given = len(call.arguments) > position or any(name == _WINDOW[position] for name, _ in call.keywords)
    seconds = constant_value(_argument(call, position, _WINDOW[position])) if given else default
    assert seconds is not None  # the type check has passed
    return seconds


class Terms:
    """The terms of a stage, or its safety terms alone, in groups of equal folds."""

    def __init__(self, terms: Iterable[CompiledTerm]) -> None:
        groups: dict[Fold, list[CompiledTerm]] = {}
        for term in terms:
            groups.setdefault(term.fold, []).append(term)
        self._groups = tuple(groups.items())

    @property
    def texts(self) -> tuple[str, ...]:
        """Texts of the terms, in the order of the columns below."""
        return tuple(term.text for _, group in self._groups for term in group)

    @property
    def weights(self) -> tuple[float, ...]:
        """Weights of the terms, in the same order."""
        return tuple(term.weight for _, group in self._groups for term in group)

    @property
    def recalls(self) -> bool:
        """Some term counts its seconds from the beginning of the stage."""
        return any(fold.recalls for fold, _ in self._groups)

    def values(self, context: Context) -> list[Tensor]:
        """Blocks (K, N) of unweighted contributions; a satisfied condition, or one beyond the chunk, counts 0."""
        return [_hinge(fold, _values(context, fold, group, fold.progressed)) for fold, group in self._groups]

    def robustness(self, context: Context) -> list[Tensor]:
        """Blocks (K, N) of robustness in units of score; a window beyond the chunk decides nothing (+inf)."""
        return [_decided(_values(context, fold, group, fold.exact)) for fold, group in self._groups]

    def open_robustness(self, context: Context) -> list[Tensor]:
        """`robustness` of what the chunk can still change; the same when there is no past."""
        return [_decided(_values(context, fold, group, fold.progressed)) for fold, group in self._groups]


def _decided(robustness: Tensor) -> Tensor:
    return torch.where(torch.isneginf(robustness), torch.inf, robustness)


def _values(
    context: Context, fold: Fold, group: Sequence[CompiledTerm], reduce: Callable[[Context, Tensor], Tensor]
) -> Tensor:
    if not fold.recalls:
        context = context.from_now()
    particles = context.rollout.tcp.shape[0]
    steps = 1 if fold.kind == "given" else len(context.times_s)
    signals = [_shaped(term.signal(context), (particles, steps)) for term in group]
    stacked = signals[0].unsqueeze(1) if len(group) == 1 else torch.stack(signals, 1)
    values = _affinely(stacked, tuple(term.scale for term in group), tuple(term.offset for term in group))
    return values[..., 0] if fold.kind == "given" else reduce(context, values)


def _shaped(values: Tensor, shape: tuple[int, int]) -> Tensor:
    # Even a view is a node of the graph.
    return values if values.shape == shape else values.expand(shape)


def _affinely(stacked: Tensor, scales: tuple[float, ...], offsets: tuple[float, ...]) -> Tensor:
    """`scale * value + offset` along the middle axis of (K, N, H)."""
    if not any(offsets):
        return stacked * constants(scales, stacked.dtype, stacked.device).unsqueeze(-1)
    scale, offset = (constants(row, stacked.dtype, stacked.device).unsqueeze(-1) for row in (scales, offsets))
    return torch.addcmul(offset, stacked, scale)


def _hinge(fold: Fold, values: Tensor) -> Tensor:
    if not fold.hinged:
        return values
    # Only a window, or what is made of windows, can lie beyond the chunk.
    finite = fold.kind != "given" and not fold.recalls and not fold.nested
    decided = values if finite else torch.where(values.isinf(), 0.0, values)
    return decided.clamp(max=0.0)
