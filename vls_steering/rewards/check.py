"""A program against a scene: does everything it names exist, and can it be evaluated there?"""

from __future__ import annotations

from collections.abc import Iterator

from vls_steering.core.types import Keypoints
from vls_steering.rewards.diagnostics import Diagnostic, did_you_mean
from vls_steering.rewards.document import RewardProgram, Stage
from vls_steering.rewards.expression import Expression, Text, to_text, walk
from vls_steering.rewards.source import parse_expression


def check_program(program: RewardProgram, keypoints: Keypoints) -> tuple[Diagnostic, ...]:
    """Every fault of a parsed program in this scene; empty when it may steer."""
    faults: list[Diagnostic] = []
    for i, stage in enumerate(program.stages):
        for where, expression in expressions(stage, f"stages[{i}]"):
            faults += _unknown_objects(where, expression, keypoints)
    return tuple(faults)


def expressions(stage: Stage, where: str) -> Iterator[tuple[str, Expression]]:
    """Each expression of a stage with its path in the document."""
    for key, terms in (("reward", stage.reward), ("preference", stage.preference), ("safety", stage.safety)):
        for i, term in enumerate(terms):
            yield f"{where}.{key}[{i}]", term.expression
    yield f"{where}.gripper", stage.gripper
    if stage.requires is not None:
        yield f"{where}.requires", stage.requires
    yield f"{where}.done", stage.done


def _unknown_objects(where: str, expression: Expression, keypoints: Keypoints) -> Iterator[Diagnostic]:
    # Positions count in the canonical text, which is what the diagnostic shows.
    text = to_text(expression)
    for node in walk(parse_expression(text, where)):
        if isinstance(node, Text) and node.value not in keypoints.names:
            accepted = did_you_mean(node.value, keypoints.names)
            yield Diagnostic(
                where, "no such object in the scene", repr(node.value), accepted, text, node.span.start, node.span.end
            )
