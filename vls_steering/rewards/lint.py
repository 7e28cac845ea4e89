"""What is wrong with a program on its face: no rehearsal needed, only its text, the instruction and the scene."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vls_steering.core.types import Keypoints
from vls_steering.rewards.check import expressions
from vls_steering.rewards.diagnostics import Diagnostic
from vls_steering.rewards.document import RewardProgram, Stage
from vls_steering.rewards.expression import Binary, Call, Expression, Name, Quantity, Text, children, to_text, walk
from vls_steering.rewards.promises import mentioned
from vls_steering.rewards.rollout import graspable
from vls_steering.rewards.units import LENGTH

MAX_PARTS = 2000  # nodes of all expressions of a program
# No length at a table is longer than the arm reaches.
REACH_M = 1.0
_AXES = {"up": "up", "down": "up", "forward": "forward", "backward": "forward", "left": "left", "right": "left"}
_DISTANCES = frozenset({"clearance", "gap", "dist", "horizontal", "dist_segment", "dist_plane", "off_line"})


def lint_program(program: RewardProgram, keypoints: Keypoints) -> Iterator[Diagnostic]:
    """Faults of a program whose names are known to the scene."""
    places = [(where, e) for i, stage in enumerate(program.stages) for where, e in expressions(stage, f"stages[{i}]")]
    parts = sum(1 for _, expression in places for _ in walk(expression))
    if parts > MAX_PARTS:
        yield Diagnostic("stages", "the program is too large to evaluate in time", f"{parts} parts", f"{MAX_PARTS}")
    for where, expression in places:
        yield from _out_of_reach(where, expression)
        yield from _with_itself(where, expression)
        yield from _across_axes(where, expression)
        yield from _ungraspable(where, expression, keypoints)
    yield from _unused(program, keypoints)
    yield from _unasked(program, keypoints, places)
    yield from _misquoted(program, keypoints)


def objects_of(expression: Expression) -> frozenset[str]:
    """Names of the objects that an expression speaks of."""
    return frozenset(node.value for node in walk(expression) if isinstance(node, Text))


def _out_of_reach(where: str, expression: Expression) -> Iterator[Diagnostic]:
    for node in walk(expression):
        if isinstance(node, Quantity) and node.dimension == LENGTH and node.si > REACH_M and node.unit != "":
            written = to_text(expression)
            yield Diagnostic(where, "no length here is longer than the arm reaches", to_text(node), "cm?", written)


def _with_itself(where: str, expression: Expression) -> Iterator[Diagnostic]:
    for node in walk(expression):
        sides = [to_text(side) for side in children(node)] if isinstance(node, Call) else []
        named = [re.sub(r"^kp\((.*)\)$", r"\1", side) for side in sides]
        repeated = next((name for name in named if name[:1] in "'\"" and named.count(name) > 1), None)
        if repeated is not None:
            yield Diagnostic(where, "an object is related to itself", to_text(node), "two objects", to_text(expression))


def _across_axes(where: str, expression: Expression) -> Iterator[Diagnostic]:
    """A height less a coordinate to the left is no length of anything."""
    for node in walk(expression):
        if isinstance(node, Binary) and node.operator == "-":
            axes = [_axis(side) for side in (node.left, node.right)]
            if "" not in axes and axes[0] != axes[1]:
                problem, accepted = "coordinates along different axes are compared", f"both {axes[0]}"
                yield Diagnostic(where, problem, to_text(node), accepted, to_text(expression))


def _axis(node: Expression) -> str:
    """The axis that a coordinate is measured along; "" for anything else."""
    if not isinstance(node, Call) or node.name not in ("height", "along"):
        return ""
    direction = next((part.name for part in children(node) if isinstance(part, Name) and part.name in _AXES), "up")
    return _AXES[direction]


def _ungraspable(where: str, expression: Expression, keypoints: Keypoints) -> Iterator[Diagnostic]:
    for node in walk(expression):
        if isinstance(node, Call) and node.name in ("grasped", "released"):
            for name in sorted(objects_of(node)):
                point = keypoints.find(name)
                if point is not None and not graspable(point):
                    found, accepted = f"{name!r} in {to_text(node)}", "an object that fits between the fingers"
                    yield Diagnostic(where, "the hand cannot hold this", found, accepted, to_text(expression))


def _unused(program: RewardProgram, keypoints: Keypoints) -> Iterator[Diagnostic]:
    """What the instruction names must be used, and what it says to keep clear of must be a safety condition."""
    stages = list(enumerate(program.stages))
    used = {name for i, stage in stages for _, e in expressions(stage, f"{i}") for name in objects_of(e)}
    task, avoided = mentioned(program.instruction, keypoints)
    for name in task:
        # A push is told by points: the object may be named by its end alone, and then it is used there.
        if name not in used:
            yield Diagnostic("stages", "no stage uses what the instruction names", repr(name), f"kp({name!r})")
    for name in avoided:
        for i, stage in stages:
            if name not in _guarded(stage):
                accepted = f"always(clearance(body, kp({name!r})) >= 1.5 cm)"
                yield Diagnostic(f"stages[{i}].safety", f"the instruction keeps clear of {name!r}", "nothing", accepted)


def _unasked(
    program: RewardProgram, keypoints: Keypoints, places: list[tuple[str, Expression]]
) -> Iterator[Diagnostic]:
    """A stage acts on objects that the instruction names, where every object of the instruction is understood."""
    task, avoided = mentioned(program.instruction, keypoints)
    articles = len(re.findall(r"\b(?:the|an?|it|them|all|every|each|other)\b", program.instruction.lower()))
    if not task or articles > len(task) + len(avoided):
        return
    for where, expression in places:
        ends = where.endswith((".done", ".requires", ".gripper"))
        acts = ends or ".reward" in where
        # How far away it is may end a stage; what becomes of an object that is only to be kept clear of may not.
        near = set(avoided) & (_nearness(expression) if ends else set(avoided))
        extra = sorted(objects_of(expression) - set(task) - near)
        if acts and extra and not _explained(program, where):
            accepted = ", ".join(map(repr, task))
            text = to_text(expression)
            yield Diagnostic(where, "the instruction does not speak of this object", repr(extra[0]), accepted, text)


def _nearness(expression: Expression) -> set[str]:
    """Objects whose distance from something the expression speaks of."""
    calls = [node for node in walk(expression) if isinstance(node, Call) and node.name in _DISTANCES]
    return {name for call in calls for name in objects_of(call)}


def _explained(program: RewardProgram, where: str) -> bool:
    match = re.fullmatch(r"stages\[(\d+)\]\.reward\[(\d+)\]", where)
    return match is not None and program.stages[int(match[1])].reward[int(match[2])].phrase != ""


def _misquoted(program: RewardProgram, keypoints: Keypoints) -> Iterator[Diagnostic]:
    """A term that cites the words it comes from speaks of what they name."""
    for i, stage in enumerate(program.stages):
        for key, terms in (("reward", stage.reward), ("preference", stage.preference), ("safety", stage.safety)):
            for j, term in enumerate(terms):
                cited = {name for part in mentioned(term.phrase, keypoints) for name in part}
                if cited and not cited & objects_of(term.expression):
                    found, accepted = f"{term.text} for {term.phrase!r}", ", ".join(map(repr, sorted(cited)))
                    yield Diagnostic(f"stages[{i}].{key}[{j}]", "the term is not about what it cites", found, accepted)


def _guarded(stage: Stage) -> frozenset[str]:
    return frozenset(name for term in stage.safety for name in objects_of(term.expression))
