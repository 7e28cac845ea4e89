"""Is a program about the instruction?  Checks that need no model, on top of those of the language.

Whatever a writer was told by a sign in the picture or by a clever sentence, its program acts on nothing that the
instruction does not speak of, leaves no stated constraint out, and gives no reasons that are not the user's own words.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator

import numpy as np

from vls_steering.core.arrays import FloatArray
from vls_steering.core.types import Keypoint, Keypoints
from vls_steering.rewards import Diagnostic, RewardProgram, Stage, Term
from vls_steering.rewards.expression import Call, Expression, Name, Text, walk
from vls_steering.rewards.typecheck import constant_value
from vls_steering.vlm.constraints import stated_constraints
from vls_steering.vlm.objects import ANYTHING, ARTICLES, Description, describe
from vls_steering.vlm.outline import Constraint, ConstraintKind
from vls_steering.vlm.phrases import Reading

DEFAULT_PHRASE = "default"
_VAGUE = ANYTHING | {
    "everything",
    "all",
    "both",
    "objects",
    "things",
    "ones",
    "items",
    "pieces",
    "toys",
    "stuff",
    "them",
}


# Words of the language by which a program keeps a constraint of each kind.
_SPEEDS = frozenset({"speed", "acceleration"})
_LEANS = frozenset({"tilt", "angle"})
_HEIGHTS = frozenset({"height", "up", "down", "dist_plane"})


def ungrounded(
    program: RewardProgram, instruction: str, keypoints: Keypoints, stated: Iterable[str] = ()
) -> tuple[Diagnostic, ...]:
    """What in a program the instruction does not ask for, and what it asks for that the program lacks.

    `stated` are the phrases that the writer itself named as constraints.
    """
    return (
        *_invented_phrases(program, instruction),
        *_unspoken_objects(program, instruction, keypoints),
        *_forgotten_phrases(program, instruction, stated),
        *_forgotten_constraints(program, instruction, keypoints),
    )


def _terms(program: RewardProgram) -> Iterator[tuple[str, Term]]:
    for i, stage in enumerate(program.stages):
        for key in ("reward", "preference", "safety"):
            for j, term in enumerate(getattr(stage, key)):
                yield f"stages[{i}].{key}[{j}]", term


def _invented_phrases(program: RewardProgram, instruction: str) -> Iterator[Diagnostic]:
    for where, term in _terms(program):
        if term.phrase == DEFAULT_PHRASE:
            if "clearance" not in _words(term.expression):
                yield Diagnostic(where, "only a keep-out may be a default", term.text, "the words that ask for it")
        elif term.phrase and _plain(term.phrase) not in _plain(instruction):
            yield Diagnostic(where, "these are not words of the instruction", repr(term.phrase), "its words, quoted")


def _unspoken_objects(program: RewardProgram, instruction: str, keypoints: Keypoints) -> Iterator[Diagnostic]:
    spoken = spoken_of(instruction, keypoints)
    for i, stage in enumerate(program.stages):
        for name in sorted(_acted_on(stage, keypoints) - spoken):
            accepted = ", ".join(map(repr, sorted(spoken))) or "an object that it names"
            yield Diagnostic(f"stages[{i}]", "the instruction does not speak of this object", repr(name), accepted)


def _forgotten_phrases(program: RewardProgram, instruction: str, stated: Iterable[str]) -> Iterator[Diagnostic]:
    quoted = [_plain(term.phrase) for _, term in _terms(program) if term.phrase]
    for phrase in stated:
        plain = _plain(phrase)
        if plain not in _plain(instruction):
            yield Diagnostic("constraints", "these are not words of the instruction", repr(phrase), "its words, quoted")
        elif not any(plain in other or other in plain for other in quoted):
            yield Diagnostic("constraints", "no term of the program has this phrase", repr(phrase), "a term that does")


def _forgotten_constraints(program: RewardProgram, instruction: str, keypoints: Keypoints) -> Iterator[Diagnostic]:
    for constraint in stated_constraints(Reading(instruction, keypoints)):
        if not _covered(constraint, program):
            yield Diagnostic("stages", "nothing keeps this constraint", repr(constraint.phrase), _example(constraint))


def _covered(constraint: Constraint, program: RewardProgram) -> bool:
    stages = program.stages
    if constraint.kind is ConstraintKind.WITHIN:
        return all(stage.deadline_s is not None for stage in stages)
    if constraint.kind in (ConstraintKind.AVOID, ConstraintKind.KEEP_FROM):
        kept = [{name for term in stage.safety for name in _names(term.expression)} for stage in stages]
        return all(constraint.thing in names for names in kept)
    if constraint.kind is ConstraintKind.SLOWLY:
        return any(not _SPEEDS.isdisjoint(_words(term.expression)) for _, term in _terms(program))
    words = _LEANS if constraint.kind is ConstraintKind.UPRIGHT else _HEIGHTS
    return any(not words.isdisjoint(_words(term.expression)) for stage in stages for term in stage.safety)


def _example(constraint: Constraint) -> str:
    return {
        ConstraintKind.AVOID: f"safety in every stage: always(clearance(body, kp('{constraint.thing}')) >= 1.5 cm)",
        ConstraintKind.KEEP_FROM: f"safety in every stage: always(clearance(body, kp('{constraint.thing}')) >= ...)",
        ConstraintKind.UPRIGHT: "safety: always(tilt <= 15 deg)",
        ConstraintKind.BELOW: "safety: always(height(ee) <= ...)",
        ConstraintKind.ABOVE: "safety while carrying: always(height(ee) >= ...)",
        ConstraintKind.SLOWLY: "reward: always(speed <= 10 cm/s)",
        ConstraintKind.WITHIN: "a deadline in every stage",
    }[constraint.kind]


def spoken_of(instruction: str, keypoints: Keypoints) -> frozenset[str]:
    """Names of the objects that the instruction can mean.

    "The red cube" speaks of the red cube and not of the red cup: another object fits more of its words.
    """
    words = tuple(re.findall(r"[^\W\d_]+", instruction.lower()))
    if not _VAGUE.isdisjoint(words):
        return frozenset(keypoints.names)
    said = _letters_and_kinds(Description(words))
    fitting = {point.name: _letters_and_kinds(describe(point)) & said for point in keypoints.points}
    return frozenset(
        name for name, fits in fitting.items() if fits and not any(fits < other for other in fitting.values())
    )


def _letters_and_kinds(description: Description) -> frozenset[str]:
    """ "The brick" is a kind of block, but first of all the brick."""
    return description.kinds | (frozenset(description.words) - ANYTHING - ARTICLES)


def _acted_on(stage: Stage, keypoints: Keypoints) -> set[str]:
    """Objects that a stage is about, by name or by a point inside them, and not those it only keeps clear of."""
    expressions = [term.expression for term in stage.reward if "clearance" not in _words(term.expression)]
    expressions += [stage.done, stage.gripper]
    named = {name for expression in expressions for name in _names(expression)}
    points = [point for expression in expressions for point in _points(expression)]
    return named | {thing.name for thing in keypoints.points if any(_inside(point, thing) for point in points)}


def _points(expression: Expression) -> Iterator[FloatArray]:
    for node in walk(expression):
        if isinstance(node, Call) and node.name == "point":
            values = [constant_value(argument) for argument in (*node.arguments, *(v for _, v in node.keywords))]
            yield np.array([math.nan if value is None else value for value in values])


def _inside(point: FloatArray, thing: Keypoint) -> bool:
    return bool((np.abs(point - thing.position) <= thing.size / 2).all())


def _names(expression: Expression) -> set[str]:
    return {node.value for node in walk(expression) if isinstance(node, Text)}


def _words(expression: Expression) -> set[str]:
    return {node.name for node in walk(expression) if isinstance(node, (Call, Name))}


def _plain(text: str) -> str:
    return " ".join(text.lower().split())
