"""Program to batched torch: what the sampler optimises and what the pilot measures, stage by stage.

Score.  A stage's score is the weighted sum of its terms, each in units of score (10 cm of length, 1 s, ...):
  - a condition counts min(robustness, 0): a hinge, so that a satisfied constraint pulls nowhere and cannot be hacked;
  - `maximize` / `minimize` count as they are;
  - safety conditions count like conditions, heavily; their exact robustness is also a gate (`safety`);
  - preferences count lightly: they decide between motions that serve the task alike;
  - the gripper intent counts minus the mean difference between wanted and planned opening.
Higher is better; scores of different particles of one tick compare, scores of different ticks do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vls_steering.core.errors import StreamFault
from vls_steering.core.types import GRIPPER_OPEN_M, Observation
from vls_steering.rewards.context import Context, Past
from vls_steering.rewards.document import RewardProgram, Stage
from vls_steering.rewards.evaluate import Run, compile_expression
from vls_steering.rewards.expression import Call, Expression, Logic, Not, Text, children, walk
from vls_steering.rewards.geometry import constants
from vls_steering.rewards.progression import StageMemory
from vls_steering.rewards.rollout import Rollout, Scene
from vls_steering.rewards.semantics import Exact, Smooth
from vls_steering.rewards.terms import Terms, compile_term
from vls_steering.rewards.units import LENGTH

SAFETY_WEIGHT = 10.0
PREFERENCE_WEIGHT = 0.1
GRIPPER_WEIGHT = 1.0
# What the present is judged at, where only the future can be changed.
SOON_S = 1e-3


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
        self.expressions = tuple(_expressions(stage))
        self.objects = frozenset(node.value for e in self.expressions for node in walk(e) if isinstance(node, Text))
        self._obstacles = tuple(sorted({name for e in self.expressions for name in _kept_clear_of(e)}))
        wishes = [compile_term(term) for term in stage.reward]
        wishes += [compile_term(term, PREFERENCE_WEIGHT) for term in stage.preference]
        gates = [compile_term(term, SAFETY_WEIGHT) for term in stage.safety]
        self._terms = Terms([*wishes, *gates])
        self._gates = Terms(gates)
        self._conditions = Terms(term for term in (*wishes, *gates) if term.fold.hinged)
        self._names = _part_names(stage, self._terms)
        self._gripper: Run = compile_expression(stage.gripper)
        self._done: Run = compile_expression(stage.done)
        self._progress = _compile_progress(stage.done)
        self._requires = None if stage.requires is None else compile_expression(stage.requires)
        self._measured: tuple[Observation, Context] | None = None

    @property
    def name(self) -> str:
        return self.stage.name

    @property
    def deadline_s(self) -> float | None:
        """Seconds the stage may take; None = any time."""
        return self.stage.deadline_s

    def score(self, rollout: Rollout, scene: Scene, sharpness: float = 30.0, past: Past | None = None) -> Tensor:
        """(K,) smooth and differentiable, higher is better.  `sharpness` is tau per unit of score (10 cm).

        What the stage does not look at gets no gradient at all.  `past` (see progression.StageMemory) is what terms
        with a window count their seconds from; without it they count from now.
        """
        blocks, weights = self._parts(rollout, scene, sharpness, past)
        parts = torch.cat(blocks, 1)
        return parts @ constants(weights, parts.dtype, parts.device)

    def memory(self) -> StageMemory | None:
        """What to ask in the stage's place while it is current; None when no condition of it has a window."""
        return StageMemory(self) if self._terms.recalls else None

    @property
    def conditions(self) -> tuple[str, ...]:
        """Texts of the terms that are conditions."""
        return self._conditions.texts

    def weight(self, text: str) -> float:
        """Magnitude of the weight of the term with this text."""
        return max(abs(w) for t, w in zip(self._terms.texts, self._terms.weights, strict=True) if t == text)

    def explain(
        self, rollout: Rollout, scene: Scene, sharpness: float = 30.0, past: Past | None = None
    ) -> dict[str, Tensor]:
        """The parts of the score, (K,) each, by the text of their term."""
        blocks, weights = self._parts(rollout, scene, sharpness, past)
        parts = [part for block in blocks for part in block.unbind(1)]
        named: dict[str, Tensor] = {}
        for name, weight, part in zip(self._names, weights, parts, strict=True):
            named[name] = named.get(name, 0.0) + weight * part
        return named

    def _parts(
        self, rollout: Rollout, scene: Scene, sharpness: float, past: Past | None
    ) -> tuple[list[Tensor], tuple[float, ...]]:
        """Blocks (K, N) of unweighted contributions, the gripper's first, and the weight of each column."""
        context = self._context(rollout, scene, Smooth(sharpness), past)
        return [self._gripper_part(context.from_now()), *self._terms.values(context)], (
            -GRIPPER_WEIGHT,
            *self._terms.weights,
        )

    def robustness(self, rollout: Rollout, scene: Scene, past: Past | None = None) -> dict[str, Tensor]:
        """Exact robustness of every condition, (K,) in units of score, by the text of its term; for reports."""
        context = self._context(rollout, scene, Exact(), past)
        columns = [part for block in self._conditions.robustness(context) for part in block.unbind(1)]
        return dict(zip(self._conditions.texts, columns, strict=True))

    def least_robustness(self, rollout: Rollout, scene: Scene, past: Past | None = None) -> Tensor:
        """(K,) exact robustness of the worst condition, in units of score; +inf when the stage has none."""
        found = self.robustness(rollout, scene, past)
        if not found:
            return rollout.tcp.new_full(rollout.tcp.shape[:1], torch.inf)
        return torch.stack(list(found.values())).amin(0)

    def safety(self, rollout: Rollout, scene: Scene, past: Past | None = None) -> Tensor:
        """(K,) exact robustness of the safety terms in metres, the worst one; +inf when there is none.

        With a past, of what the rollout can still change.
        """
        if not self.stage.safety:
            return rollout.tcp.new_full(rollout.tcp.shape[:1], torch.inf)
        context = self._context(rollout, scene, Exact(), past)
        return torch.cat(self._gates.open_robustness(context), 1).amin(1) * LENGTH.reference

    def safety_now(self, scene: Scene, past: Past | None = None) -> float:
        """`safety` of standing still.  A hand already inside a margin can only be asked not to go deeper, so a gate
        admits candidates with safety >= min(0, safety_now)."""
        with torch.no_grad():
            still = scene.at_rest()
            soon = replace(still, times_s=still.times_s + SOON_S)
            return float(self.safety(soon, scene, past)[0])

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
        # Progress, end and readiness are asked of one observation in turn: they share its evaluation.
        if self._measured is None or self._measured[0] is not observation:
            self._measured = observation, self.at_rest(Scene.from_observation(observation, dtype=torch.float64))
        with torch.no_grad():
            return float(run(self._measured[1]).reshape(-1)[0])

    def at_rest(self, scene: Scene) -> Context:
        """The stage's view of one instant, exact."""
        return self._context(scene.at_rest(), scene, Exact())

    def _context(self, rollout: Rollout, scene: Scene, semantics: Exact | Smooth, past: Past | None = None) -> Context:
        missing = self.objects - set(scene.names)
        if missing:
            raise StreamFault(
                f"the program needs {', '.join(sorted(map(repr, missing)))}, which is not among the keypoints",
                f"Seen: {', '.join(scene.names) or 'nothing'}",
            )
        return Context(rollout, scene, semantics, self._obstacles, past)

    def _gripper_part(self, context: Context) -> Tensor:
        """(K, 1): the mean difference between wanted and planned opening."""
        width = context.rollout.gripper_width
        wanted = self._gripper(context)
        if wanted is None:
            return torch.zeros_like(width[:, :1])
        opening = (width / GRIPPER_OPEN_M).clamp(0.0, 1.0)
        missed: Tensor = (wanted - opening).abs().mean(-1, keepdim=True)
        return missed


def _expressions(stage: Stage) -> Iterator[Expression]:
    yield from (term.expression for term in (*stage.reward, *stage.preference, *stage.safety))
    yield from (stage.gripper, stage.done)
    if stage.requires is not None:
        yield stage.requires


def _kept_clear_of(expression: Expression) -> Iterator[str]:
    """Objects whose clearance from the body the expression asks for."""
    calls = (node for node in walk(expression) if isinstance(node, Call) and node.name == "clearance")
    regions = (argument for call in calls for argument in children(call))
    for region in regions:
        if isinstance(region, Text) or (isinstance(region, Call) and region.name == "kp"):
            yield from (node.value for node in walk(region) if isinstance(node, Text))


def _part_names(stage: Stage, terms: Terms) -> tuple[str, ...]:
    safety = {term.text for term in stage.safety}
    return ("gripper: 0", *(f"safety: {text}" if text in safety else text for text in terms.texts))


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
