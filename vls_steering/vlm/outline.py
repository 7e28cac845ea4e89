"""What an instruction asks for, before it is a program: steps in their order, and constraints on all of them.

The offline grammar reads an instruction into an outline, and a small language model fills one in; `compose` makes the
reward program of it.  An outline names skills and objects and says nothing about rewards, so that there is little to
get wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Skill(Enum):
    """What one step does."""

    PICK = "pick"  # grasp and lift
    PLACE = "place"  # grasp unless held, carry, set down, let go
    HOLD = "hold"  # grasp unless held, carry over the target, stay there
    PUSH = "push"
    PRESS = "press"
    OPEN = "open"  # pull towards the robot what slides
    CLOSE = "close"  # push it back
    MOVE = "move"  # the hand itself
    OPEN_HAND = "open the hand"
    CLOSE_HAND = "close the hand"


class Relation(Enum):
    """Where an object goes, seen from the robot's base; `in front of` is on the robot's side."""

    ON = "on"
    IN = "in"
    LEFT = "left of"
    RIGHT = "right of"
    FRONT = "in front of"
    BEHIND = "behind"
    NEXT = "next to"
    BETWEEN = "between"
    ABOVE = "above"


class ConstraintKind(Enum):
    """What holds all along."""

    AVOID = "avoid"
    KEEP_FROM = "keep from"
    UPRIGHT = "keep upright"
    BELOW = "keep below"
    ABOVE = "keep above"
    SLOWLY = "slowly"
    WITHIN = "within"


DIRECTIONS = ("forward", "backward", "left", "right")


@dataclass(frozen=True)
class Step:
    """One skill applied to one object; `targets` are the objects that a relation refers to."""

    skill: Skill
    thing: str = ""
    relation: Relation | None = None
    targets: tuple[str, ...] = ()
    direction: str = ""
    length_m: float | None = None  # how high, how far; None = the skill's own measure

    def __str__(self) -> str:
        length = "" if self.length_m is None else _cm(self.length_m)
        where = f"{self.relation.value} {' and '.join(self.targets)}" if self.relation is not None else ""
        by = {Skill.PICK: "to"}.get(self.skill, "by") if length else ""
        parts = (self.skill.value, self.thing, where, self.direction, by, length)
        return " ".join(part for part in parts if part)


@dataclass(frozen=True)
class Constraint:
    """One condition on the whole task and the words that state it."""

    kind: ConstraintKind
    phrase: str
    thing: str = ""
    amount: float | None = None  # m, or s for WITHIN

    def __str__(self) -> str:
        amount = 0.0 if self.amount is None else self.amount
        return {
            ConstraintKind.AVOID: f"avoid {self.thing}",
            ConstraintKind.KEEP_FROM: f"keep {_cm(amount)} from {self.thing}",
            ConstraintKind.UPRIGHT: f"keep {self.thing} upright",
            ConstraintKind.BELOW: f"keep below {_cm(amount)}",
            ConstraintKind.ABOVE: f"keep above {_cm(amount)}",
            ConstraintKind.SLOWLY: "slowly",
            ConstraintKind.WITHIN: f"within {amount:g} s",
        }[self.kind]


@dataclass(frozen=True)
class Outline:
    """The whole instruction."""

    steps: tuple[Step, ...]
    constraints: tuple[Constraint, ...] = ()

    def __str__(self) -> str:
        return "; ".join(map(str, (*self.steps, *self.constraints)))


def _cm(metres: float) -> str:
    return f"{round(100 * metres, 1):g} cm"
