"""A program in plain words, for the person next to the arm."""

from __future__ import annotations

from collections.abc import Iterator

from vls_steering.rewards.dialect import GuidanceProgram
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
)
from vls_steering.rewards.typecheck import bind, split_weight
from vls_steering.rewards.words import VOCABULARY

# What a word says of its arguments, by parameter name.
_PHRASES = {
    "ee": "the fingertips",
    "body": "the hand",
    "kp": "the {name}",
    "point": "the point ({x}, {y}, {z})",
    "offset": "the point {distance} {direction} of {point}",
    "above": "the point {height} above {object}",
    "rest": "where {object} rests on {support}",
    "midpoint": "the middle between {a} and {b}",
    "box": "the {x} x {y} x {z} box around {center}",
    "approach": "the direction of the fingers",
    "dist": "the distance from {a} to {b}",
    "horizontal": "the sideways distance from {a} to {b}",
    "height": "the height of {point}",
    "along": "the coordinate of {point} {direction}",
    "off_line": "how far {point} is off the line {direction} through {start}",
    "dist_segment": "the distance from {point} to the line from {start} to {end}",
    "dist_plane": "how far {point} is {direction} of {through}",
    "dist_box": "the distance from {point} to {region}",
    "clearance": "the space between {body} and {object}",
    "gap": "the space between {a} and {b}",
    "gripper_width": "the opening of the gripper",
    "speed": "the speed of the fingertips",
    "acceleration": "the acceleration of the fingertips",
    "path_length": "the length of the path",
    "angle": "the angle between {a} and {b}",
    "tilt": "the tilt of the hand",
    "joint": "joint {number}",
    "abs": "the magnitude of {quantity}",
    "at_end": "{quantity} at the end",
    "mean": "the average of {quantity}",
    "lowest": "the least of {quantity}",
    "highest": "the greatest of {quantity}",
    "grasped": "{object} is in the hand",
    "released": "{object} is not in the hand",
    "on": "{object} stands on {support}",
    "always": "always {condition}",
    "eventually": "at some time {condition}",
    "until": "{condition} until {goal}",
    "release": "{goal} until {condition} sets it free",
    "maximize": "as much as possible of {quantity}",
    "minimize": "as little as possible of {quantity}",
    "free": "as the policy likes",
    "open": "open",
    "close": "closed",
    "close_when": "open until {condition}, then closed",
    "open_when": "closed until {condition}, then open",
    "close_at_end": "closed at the end of each motion",
    "open_at_end": "open at the end of each motion",
}


def program_in_words(program: RewardProgram | GuidanceProgram) -> str:
    """Several lines of plain text."""
    if isinstance(program, GuidanceProgram):
        return "\n".join(_guidance_lines(program))
    return "\n".join(
        [f"“{program.instruction}”", *(line for i, s in enumerate(program.stages, 1) for line in _stage(i, s))]
    )


def _guidance_lines(program: GuidanceProgram) -> Iterator[str]:
    yield f"Guidance functions in the VLS format for {', '.join(program.keypoints) or 'unnamed keypoints'}."
    for number, stage in enumerate(program.stages, 1):
        rewarded = "leaves the policy to itself" if stage.function is None else "rewards what its function returns"
        yield f"{number}. {stage.name}: {rewarded}; nothing is forbidden; over where standing still earns all."


def _stage(number: int, stage: Stage) -> Iterator[str]:
    within = f", within {stage.deadline_s:g} s" if stage.deadline_s is not None else ""
    yield f"\n{number}. {stage.name}{within}"
    yield f"   over when: {in_words(stage.done)}"
    if stage.requires is not None:
        yield f"   makes sense while: {in_words(stage.requires)}"
    for heading, terms in (("never break", stage.safety), ("wanted", stage.reward), ("preferred", stage.preference)):
        yield from (f"   {heading}: {_term(term)}" for term in terms)
    yield f"   gripper: {in_words(stage.gripper)}"


def _term(term: Term) -> str:
    weight, body = split_weight(term.expression)
    times = f" (counts {weight:g} times)" if weight != 1.0 else ""
    source = {"": "", "default": " [by default]"}.get(term.phrase, f" [“{term.phrase}”]")
    return f"{in_words(body)}{times}{source}"


def in_words(node: Expression) -> str:
    """One expression as a phrase."""
    if isinstance(node, Quantity):
        return f"{node.value:g} {node.unit}".strip()
    if isinstance(node, Text):
        return f"the {node.value}"
    if isinstance(node, Name):
        return _PHRASES.get(node.name, node.name)
    if isinstance(node, Call):
        return _call(node)
    if isinstance(node, Not):
        return f"not ({in_words(node.operand)})"
    if isinstance(node, Negate):
        return f"minus {in_words(node.operand)}"
    if isinstance(node, Logic):
        return f" {node.operator} ".join(f"({in_words(part)})" for part in node.operands)
    if isinstance(node, Compare):
        return f"{in_words(node.left)} is at {'most' if node.operator == '<=' else 'least'} {in_words(node.right)}"
    return _arithmetic(node)


def _arithmetic(node: Binary) -> str:
    sign = {"+": "plus", "-": "minus", "*": "times", "/": "over"}[node.operator]
    if node.operator == "/" and isinstance(node.right, Quantity) and node.right.value == 1.0 and node.right.unit:
        return f"{in_words(node.left)}/{node.right.unit}"
    return f"{in_words(node.left)} {sign} {in_words(node.right)}"


def _call(node: Call) -> str:
    word = VOCABULARY.find(node.name)
    assert word is not None
    bound = bind(node, word, lambda *fault: None)
    assert bound is not None
    given = {name: in_words(value) for name, value in bound.items() if value is not None}
    if node.name == "kp":
        return given["name"]
    window = [f"{when} {given[key]}" for key, when in (("after", "from"), ("before", "up to")) if key in given]
    phrase = _PHRASES[node.name].format(**given)
    return f"{' '.join(window)}, {phrase}" if window else phrase
