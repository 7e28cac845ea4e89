"""Program to batched torch: each expression becomes one function of an evaluation context.

Score.  A stage's score is the weighted sum of its terms, each in units of score (10 cm of length, 1 s, ...):
  - a condition counts min(robustness, 0): a hinge, so that a satisfied constraint pulls nowhere and cannot be hacked;
  - `maximize` / `minimize` count as they are;
  - safety conditions count like conditions, heavily; their exact robustness is also a gate (`safety`);
  - the gripper intent counts minus the mean difference between wanted and planned opening.
Higher is better; scores of different particles of one tick compare, scores of different ticks do not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vls_steering.core.errors import StreamFault
from vls_steering.core.types import GRIPPER_OPEN_M, Observation
from vls_steering.rewards.context import Context
from vls_steering.rewards.document import RewardProgram, Stage, Term
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
from vls_steering.rewards.language import Kind, Site
from vls_steering.rewards.rollout import Rollout, Scene
from vls_steering.rewards.semantics import Exact, Smooth
from vls_steering.rewards.typecheck import bind, split_weight, type_of
from vls_steering.rewards.units import LENGTH
from vls_steering.rewards.words import VOCABULARY

SAFETY_WEIGHT = 10.0
GRIPPER_WEIGHT = 1.0

Run = Callable[[Context], Any]


def compile_program(program: RewardProgram) -> CompiledProgram:
    """Compile every stage of a parsed program."""
    return CompiledProgram(program, tuple(CompiledStage(stage) for stage in program.stages))


@dataclass(frozen=True)
class CompiledProgram:
    """A program ready to steer, who wrote it and how many repairs it took to pass the checks."""

    program: RewardProgram
    stages: tuple[CompiledStage, ...]
    written_by: str = ""
    repairs: int = 0

    @property
    def sha256(self) -> str:
        return self.program.sha256


class CompiledStage:
    """One stage: what the sampler optimises and what the pilot measures."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.objects = frozenset(_objects(stage))
        self._reward = [_compile_term(term) for term in stage.reward]
        self._safety = [_compile_term(term) for term in stage.safety]
        self._gripper: Run = compile_expression(stage.gripper)
        self._done: Run = compile_expression(stage.done)
        self._progress = _compile_progress(stage.done)
        self._requires = None if stage.requires is None else compile_expression(stage.requires)

    @property
    def name(self) -> str:
        return self.stage.name

    @property
    def deadline_s(self) -> float | None:
        """Seconds the stage may take; None = any time."""
        return self.stage.deadline_s

    def score(self, rollout: Rollout, scene: Scene, sharpness: float = 30.0) -> Tensor:
        """(K,) smooth and differentiable, higher is better.  `sharpness` is tau per unit of score (10 cm)."""
        total = torch.stack(list(self.explain(rollout, scene, sharpness).values())).sum(0)
        # A stage may depend on the motion alone, or on the gripper alone: the gradient exists (as zero) in any case.
        return total + 0.0 * (rollout.tcp[:, 0, 0] + rollout.gripper_width[:, 0])

    def explain(self, rollout: Rollout, scene: Scene, sharpness: float = 30.0) -> dict[str, Tensor]:
        """The parts of the score, (K,) each, by the text of their term."""
        context = self._context(rollout, scene, Smooth(sharpness))
        parts = {f"gripper: {i}": part for i, part in enumerate(self._gripper_part(context))}
        for term in self._reward:
            parts[term.text] = term.score(context)
        for term in self._safety:
            parts[f"safety: {term.text}"] = SAFETY_WEIGHT * term.score(context)
        return parts

    def safety(self, rollout: Rollout, scene: Scene) -> Tensor:
        """(K,) exact robustness of the safety terms in metres, the worst one; +inf when there is none."""
        context = self._context(rollout, scene, Exact())
        margins = [term.robustness(context) for term in self._safety]
        if not margins:
            return rollout.tcp.new_full(rollout.tcp.shape[:1], torch.inf)
        return torch.stack(margins).amin(0) * LENGTH.reference

    def safety_now(self, scene: Scene) -> float:
        """`safety` of standing still.  A hand already inside a margin can only be asked not to go deeper, so a gate
        admits candidates with safety >= min(0, safety_now)."""
        with torch.no_grad():
            return float(self.safety(scene.at_rest(), scene)[0])

    def progress(self, observation: Observation) -> float:
        """Measured progress towards `done`, in [0, 1]; 1 exactly when done."""
        return self._measure(self._progress, observation)

    def done(self, observation: Observation) -> bool:
        """The stage's end is measured now."""
        return self._measure(self._done, observation) >= 0.0

    def ready(self, observation: Observation) -> bool:
        """What the stage relies on still holds (e.g. the object is still in the hand); else go back a stage."""
        return self._requires is None or self._measure(self._requires, observation) >= 0.0

    def _measure(self, run: Run, observation: Observation) -> float:
        scene = Scene.from_observation(observation, dtype=torch.float64)
        with torch.no_grad():
            return float(run(self._context(scene.at_rest(), scene, Exact())).reshape(-1)[0])

    def _context(self, rollout: Rollout, scene: Scene, semantics: Exact | Smooth) -> Context:
        missing = self.objects - set(scene.names)
        if missing:
            raise StreamFault(
                f"the program needs {', '.join(sorted(map(repr, missing)))}, which is not among the keypoints",
                f"Seen: {', '.join(scene.names) or 'nothing'}",
            )
        return Context(rollout, scene, semantics)

    def _gripper_part(self, context: Context) -> Sequence[Tensor]:
        wanted = self._gripper(context)
        if wanted is None:
            return [torch.zeros_like(context.rollout.gripper_width[:, 0])]
        opening = (context.rollout.gripper_width / GRIPPER_OPEN_M).clamp(0.0, 1.0)
        return [-GRIPPER_WEIGHT * (wanted - opening).abs().mean(-1)]


@dataclass(frozen=True)
class CompiledTerm:
    """One term with its weight taken out."""

    text: str
    weight: float
    hinged: bool  # a condition, not an objective
    run: Run

    def score(self, context: Context) -> Tensor:
        """(K,) contribution to the score."""
        value: Tensor = self.run(context).expand(context.rollout.tcp.shape[0], 1)[:, 0]
        if self.hinged:
            value = torch.where(torch.isinf(value), 0.0, value.clamp(max=0.0))
        return self.weight * value

    def robustness(self, context: Context) -> Tensor:
        """(K,) robustness in units of score; a window beyond the chunk decides nothing (+inf)."""
        value: Tensor = self.run(context).expand(context.rollout.tcp.shape[0], 1)[:, 0]
        return torch.where(torch.isneginf(value), torch.inf, value)


def _compile_term(term: Term) -> CompiledTerm:
    weight, body = split_weight(term.expression)
    found = type_of(body)
    run = compile_expression(body)
    if found.kind is Kind.PREDICATE:
        return CompiledTerm(term.text, weight, True, run)
    # An objective's quantity is an SI value; its reference turns it into units of score.
    assert isinstance(body, Call)
    quantity = body.arguments[0] if body.arguments else body.keywords[0][1]
    return CompiledTerm(term.text, weight / type_of(quantity).dimension.reference, False, run)


def _objects(stage: Stage) -> set[str]:
    expressions = [term.expression for term in stage.reward + stage.safety]
    expressions += [stage.done, stage.gripper, *([stage.requires] if stage.requires is not None else [])]
    return {node.value for expression in expressions for node in walk(expression) if isinstance(node, Text)}


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
        arguments.append(_as_point(run) if parameter.type.kind is Kind.POINT else run)
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


def _as_point(run: Run) -> Run:
    def point(context: Context) -> Any:
        value = run(context)
        return context.position(value) if isinstance(value, str) else value

    return point


def _compile_progress(node: Expression, negated: bool = False) -> Run:
    """Progress in [0, 1]: of an atom 1 / (1 + shortfall), of `and` the mean, of `or` the best."""
    if isinstance(node, Not):
        return _compile_progress(node.operand, not negated)
    if isinstance(node, Logic):
        parts = [_compile_progress(part, negated) for part in node.operands]
        conjunction = (node.operator == "and") is not negated

        def joined(context: Context) -> Tensor:
            values = torch.stack([part(context).reshape(()) for part in parts])
            return values.mean() if conjunction else values.amax()

        return joined
    atom = compile_expression(node, negated=negated)
    return lambda context: 1.0 / (1.0 - atom(context).clamp(max=0.0))
