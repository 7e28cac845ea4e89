"""Outline to document: the stages of each step, in this scene, with the constraints on them.

What cannot be done is refused here with its reason: a hand that holds something picks up nothing else, a place that is
taken is not put down at, a height that must not be exceeded is not lifted to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from vls_steering.core.arrays import FloatArray
from vls_steering.core.errors import Refusal
from vls_steering.core.types import GRIPPER_OPEN_M, Keypoint, Keypoints
from vls_steering.rewards.document import LANGUAGE_VERSION
from vls_steering.vlm import stages
from vls_steering.vlm.objects import POST_HEIGHT_M, holds_things, is_pressed, slides
from vls_steering.vlm.outline import Constraint, ConstraintKind, Outline, Relation, Skill, Step
from vls_steering.vlm.spots import free_spot, standing_on

MAX_HEIGHT_M = 0.50
MAX_MARGIN_M = 0.30
PUSH_M = (0.02, 0.25)
ABOVE_M = 0.10
RAISED_M = 0.02  # an object whose lower end is higher stands on something
# The hand stays this much below a ceiling at the height that a step needs.
CEILING_ROOM_M = 0.02
# What must not be lower than a height is lifted this much over it before it travels.
FLOOR_ROOM_M = 0.02
# No stage can be done in less.
SHORTEST_STAGE_S = 1.5


def compose(instruction: str, outline: Outline, keypoints: Keypoints) -> dict[str, Any]:
    """The program, as a document that nobody has checked yet; raises Refusal for what makes no sense in this scene."""
    if not outline.steps:
        raise Refusal(f"{instruction!r} says what to avoid, not what to do", "Say what to do as well")
    floors_m = [c.amount or 0.0 for c in outline.constraints if c.kind is ConstraintKind.ABOVE]
    composer = _Composer(keypoints, max(floors_m, default=0.0))
    for step in outline.steps:
        composer.add(step)
    composer.constrain(outline.constraints)
    return {
        "version": LANGUAGE_VERSION,
        "instruction": instruction,
        "stages": [part.stage for part in composer.parts],
    }


@dataclass
class _Part:
    """One stage and what the constraints need to know about it."""

    stage: stages.Stage
    travels: bool = False  # the way between two places, where nothing has to be near the table
    height_m: float = 0.0  # how high the hand must go


@dataclass
class _Composer:
    """`keypoints` are where things will be when the next step begins."""

    keypoints: Keypoints
    floor_m: float  # what is carried anywhere is carried at least this high
    parts: list[_Part] = field(default_factory=list)
    handled: dict[str, None] = field(default_factory=dict)  # what the hand touches, in order
    mentioned: set[str] = field(default_factory=set)
    carried: set[str] = field(default_factory=set)
    held: str = ""
    up_m: float = 0.0  # how high the held object has been lifted
    low_at: str = ""  # what the closed hand was left beside, low over the table
    taken: dict[str, str] = field(default_factory=dict)  # support -> what was put on it

    # --- steps

    def add(self, step: Step) -> None:
        self.mentioned |= {step.thing, *step.targets} - {""}
        if step.thing and step.skill is not Skill.MOVE:
            self.handled.setdefault(step.thing)
        make: Callable[[Step], list[_Part]] = {
            Skill.PICK: self._pick,
            Skill.PLACE: self._place,
            Skill.HOLD: self._hold,
            Skill.PUSH: self._push,
            Skill.PRESS: self._press,
            Skill.OPEN: self._open,
            Skill.CLOSE: self._close,
            Skill.MOVE: self._move,
            Skill.OPEN_HAND: self._open_hand,
            Skill.CLOSE_HAND: self._close_hand,
        }[step.skill]
        self.parts += make(step)
        if step.skill not in (Skill.PUSH, Skill.CLOSE):
            self.low_at = ""

    def _pick(self, step: Step) -> list[_Part]:
        thing = self._find(step.thing)
        if step.length_m is None:
            height_m = stages.LIFT_HEIGHT_CM / 100
        else:
            height_m = round(step.length_m + 0.5 * float(thing.size[2]), 3)
        if height_m > MAX_HEIGHT_M:
            raise Refusal(f"{step!s} is higher than the arm lifts", "Lift by at most 45 cm")
        parts = self._grasp(thing)
        return [*parts, self._lift(thing.name, height_m)]

    def _place(self, step: Step) -> list[_Part]:
        if step.thing in step.targets:
            raise Refusal(f"{step!s} puts an object on itself", "Name two different objects")
        thing, targets = self._find(step.thing), [self._find(name) for name in step.targets]
        parts = [*self._grasp(thing), *self._off_the_floor(thing.name)]
        carry_cm, raise_it = float(stages.CARRY_HEIGHT_CM), stages.raised
        goal = targets[0].position + np.array([0.0, 0.0, 0.5 * (targets[0].size[2] + thing.size[2])])
        if step.relation is Relation.ON:
            self._take_support(thing, targets[0])
            made = stages.place_on(thing.name, targets[0].name)
            height_m = float(targets[0].size[2] + thing.size[2]) + 0.01 * stages.CARRY_HEIGHT_CM
        elif step.relation is Relation.IN:
            if not holds_things(targets[0], thing):
                raise Refusal(f"{step!s}: the {targets[0].name} is not something to put it in", "Say 'on' for on top")
            made, carry_cm = stages.place_in(thing, targets[0]), stages.over_rim_cm(thing, targets[0])
            height_m = float(targets[0].size[2] + thing.size[2]) + 0.02
        else:
            assert step.relation is not None
            spot, (x, y) = free_spot(thing, step.relation, targets, self.keypoints)
            goal, raise_it = np.array([x, y, 0.5 * thing.size[2]]), stages.kept_raised
            where = f"{step.relation.value} the {' and the '.join(step.targets)}"
            made, height_m = stages.place_at(thing, spot, where), 0.01 * stages.CARRY_HEIGHT_CM
        placed = [_Part(stage, height_m=height_m) for stage in made]
        placed[0].travels = True
        if 100 * self.up_m < carry_cm:
            placed[0].stage = raise_it(placed[0].stage, thing.name, carry_cm)
        self.held = ""
        self._moved(thing.name, goal)
        return [*parts, *placed]

    def _take_support(self, thing: Keypoint, support: Keypoint) -> None:
        others = (p for p in self.keypoints.points if p.name not in (thing.name, support.name, *self.handled))
        there = self.taken.get(support.name) or next((p.name for p in others if standing_on(p, support)), "")
        if there:
            raise Refusal(f"the {there} is on the {support.name} already", f"Say where beside the {there}")
        self.taken = {name: on for name, on in self.taken.items() if on != thing.name}
        self.taken[support.name] = thing.name

    def _hold(self, step: Step) -> list[_Part]:
        if step.thing in step.targets:
            raise Refusal(f"{step!s} holds an object above itself", "Name two different objects")
        thing, target = self._find(step.thing), self._find(step.targets[0])
        over_m = (step.length_m or ABOVE_M) + float(thing.size[2]) / 2
        height_m = self._reach(step, target, over_m)
        parts = [*self._grasp(thing), *self._off_the_floor(thing.name)]
        self.up_m = float(target.position[2] + target.size[2] / 2) + over_m
        return [*parts, _Part(stages.hold_above(thing.name, target.name, round(100 * over_m, 1)), True, height_m)]

    def _push(self, step: Step) -> list[_Part]:
        away = self._need_empty_hand("push")
        distance_m = step.length_m if step.length_m is not None else stages.PUSH_DISTANCE_M
        if not PUSH_M[0] <= distance_m <= PUSH_M[1]:
            raise Refusal(f"{step!s} is no distance to push", f"From {stages.cm(PUSH_M[0])} to {stages.cm(PUSH_M[1])}")
        thing = self._find(step.thing)
        made = stages.push(thing, step.direction, distance_m)
        self.low_at = thing.name
        self._moved(thing.name, thing.position + distance_m * stages.unit(step.direction))
        return [*away, *(_Part(stage) for stage in made)]

    def _press(self, step: Step) -> list[_Part]:
        away = self._need_empty_hand("press")
        thing = self._find(step.thing)
        if not is_pressed(thing.name):
            raise Refusal(f"{step!s}: the {thing.name} is not something to press", "Name a button or a switch")
        height_m = float(thing.position[2] + thing.size[2] / 2) + 0.06
        return [*away, *(_Part(stage, height_m=height_m) for stage in stages.press(thing.name))]

    def _open(self, step: Step) -> list[_Part]:
        away, handle = self._need_empty_hand(step.skill.value), self._slider(step)
        self._moved(handle.name, handle.position + stages.PULL_DISTANCE_M * stages.unit("backward"))
        return [*away, *(_Part(stage) for stage in stages.pull_open(handle))]

    def _close(self, step: Step) -> list[_Part]:
        away, handle = self._need_empty_hand(step.skill.value), self._slider(step)
        self.low_at = handle.name
        self._moved(handle.name, handle.position + stages.PULL_DISTANCE_M * stages.unit("forward"))
        return [*away, *(_Part(stage) for stage in stages.push_shut(handle))]

    def _slider(self, step: Step) -> Keypoint:
        thing = self._find(step.thing)
        if not slides(thing.name):
            raise Refusal(f"{step!s}: the {thing.name} is nothing that I can {step.skill.value}", "Name a drawer")
        return thing

    def _move(self, step: Step) -> list[_Part]:
        target = self._find(step.targets[0])
        over_m = step.length_m if step.length_m is not None else ABOVE_M
        stage = stages.move_above(target.name, round(100 * over_m, 1))
        height_m, parts = self._reach(step, target, over_m), list[_Part]()
        if self.held:
            stage["gripper"] = "close"
            parts, self.up_m = self._off_the_floor(self.held), height_m
        return [*parts, _Part(stage, True, height_m)]

    def _open_hand(self, step: Step) -> list[_Part]:
        if self.held:
            raise Refusal(f"to open the hand would drop the {self.held}", "Say where to put it down")
        return [_Part(stages.open_hand())]

    def _close_hand(self, step: Step) -> list[_Part]:
        return [] if self.held else [_Part(stages.close_hand())]

    def _grasp(self, thing: Keypoint) -> list[_Part]:
        if self.held == thing.name:
            return []
        if self.held:
            raise Refusal(
                f"the hand holds the {self.held}: it cannot pick up the {thing.name}",
                f"Put the {self.held} down first",
            )
        width_m = float(thing.size[:2].min())
        if width_m >= GRIPPER_OPEN_M:
            raise Refusal(
                f"the {thing.name} is {100 * width_m:.0f} cm wide: the gripper opens 8 cm", "Name a smaller object"
            )
        self.held, self.up_m = thing.name, float(thing.position[2])
        self.carried.add(thing.name)
        above_m = float(thing.position[2]) + 0.01 * stages.OPEN_ABOVE_CM
        opened, closed = stages.grasp(thing.name)
        half_m = 0.5 * float(thing.size[2])
        if thing.position[2] - half_m > RAISED_M:
            closed = stages.above_support(closed, thing.name, 100 * half_m)
        return [_Part(stage, height_m=above_m) for stage in (opened, closed)]

    def _off_the_floor(self, name: str) -> list[_Part]:
        """The held object is lifted over the height that it must not be below, before it goes anywhere."""
        return [] if self.up_m >= self.floor_m else [self._lift(name, self.floor_m + FLOOR_ROOM_M)]

    def _lift(self, name: str, height_m: float) -> _Part:
        self.up_m = height_m
        return _Part(stages.lift(name, round(100 * height_m, 1)), height_m=height_m)

    def _moved(self, name: str, position: FloatArray) -> None:
        """From the next step on the object is at `position` (3,) m."""
        points = (replace(p, position=position) if p.name == name else p for p in self.keypoints.points)
        self.keypoints = replace(self.keypoints, points=tuple(points))

    def _reach(self, step: Step, target: Keypoint, over_m: float) -> float:
        height_m = float(target.position[2] + target.size[2] / 2) + over_m
        if height_m > MAX_HEIGHT_M:
            raise Refusal(f"{step!s} is higher than the arm goes", f"At most {stages.cm(MAX_HEIGHT_M)} over the table")
        return height_m

    def _need_empty_hand(self, verb: str) -> list[_Part]:
        """Refuse with a full hand; a hand that was left low goes up first, or it would shove what stands in its way."""
        if self.held:
            raise Refusal(f"the hand holds the {self.held}: it cannot {verb}", "Put it down first")
        if not self.low_at:
            return []
        stage = stages.draw_up(self.low_at)
        return [_Part(stage, height_m=float(self._find(self.low_at).position[2]) + 0.01 * stages.DRAW_UP_CM)]

    def _find(self, name: str) -> Keypoint:
        found = self.keypoints.find(name)
        if found is None:
            seen = ", ".join(self.keypoints.names) or "nothing"
            raise Refusal(f"there is no {name!r} in the scene", f"Seen: {seen}")
        return found

    # --- constraints

    def constrain(self, constraints: tuple[Constraint, ...]) -> None:
        keep_outs = [self._keep_out(c) for c in constraints if c.kind in _KEEP_OUTS]
        for keep_out in (*keep_outs, *self._default_keep_outs({keep_out.name for keep_out in keep_outs})):
            self._each(keep_out.apply)
        for constraint in constraints:
            if constraint.kind not in _KEEP_OUTS:
                self._limit(constraint)

    def _each(self, change: Callable[[stages.Stage], stages.Stage]) -> None:
        for part in self.parts:
            part.stage = change(part.stage)

    def _keep_out(self, constraint: Constraint) -> stages.KeepOut:
        self._find(constraint.thing)
        if constraint.thing in self.handled or constraint.thing in self.taken:
            raise Refusal(
                f"{constraint.phrase!r} contradicts the task, which touches the {constraint.thing}", "Leave one out"
            )
        if constraint.amount is not None and not 0 < constraint.amount <= MAX_MARGIN_M:
            raise Refusal(f"{constraint.phrase!r} leaves the arm no room", f"At most {MAX_MARGIN_M * 100:.0f} cm")
        return stages.KeepOut(constraint.thing, constraint.phrase, constraint.amount)

    def _default_keep_outs(self, spoken_for: set[str]) -> list[stages.KeepOut]:
        """Nobody has to mention a post for the arm to go around it."""
        return [
            stages.KeepOut(point.name, "default")
            for point in self.keypoints.points
            if point.name not in spoken_for | self.mentioned and point.size[2] > POST_HEIGHT_M
        ]

    def _limit(self, constraint: Constraint) -> None:
        phrase, amount = constraint.phrase, constraint.amount or 0.0
        if constraint.kind is ConstraintKind.SLOWLY:
            self._each(lambda stage: stages.slowed(stage, phrase))
        elif constraint.kind is ConstraintKind.UPRIGHT:
            if constraint.thing not in self.carried:
                raise Refusal(f"{phrase!r}: the {constraint.thing} is not held in this task", "Leave it out")
            term = f"always(tilt <= {stages.MAX_TILT_DEG} deg)"
            self._each(lambda stage: stages.gated(stage, term, phrase))
        elif constraint.kind is ConstraintKind.WITHIN:
            self._hurry(phrase, amount)
        elif constraint.kind is ConstraintKind.BELOW:
            self._keep_below(constraint, amount)
        else:
            self._keep_above(constraint, amount)

    def _hurry(self, phrase: str, seconds: float) -> None:
        if seconds < SHORTEST_STAGE_S * len(self.parts):
            least_s = SHORTEST_STAGE_S * len(self.parts)
            raise Refusal(f"{phrase!r} ({seconds:g} s) is too short", f"This takes at least {least_s:g} s")
        allowed_s = sum(float(str(part.stage["deadline"]).removesuffix(" s")) for part in self.parts)
        self._each(lambda stage: stages.shortened(stage, min(1.0, seconds / allowed_s)))

    def _keep_below(self, constraint: Constraint, ceiling_m: float) -> None:
        needed_m = max(part.height_m for part in self.parts) + CEILING_ROOM_M
        if ceiling_m < needed_m:
            raise Refusal(
                f"{constraint.phrase!r} leaves no room for the task", f"It needs {100 * needed_m:.0f} cm of height"
            )
        term = f"always({self._height(constraint)} <= {stages.cm(ceiling_m)})"
        self._each(lambda stage: stages.gated(stage, term, constraint.phrase))

    def _keep_above(self, constraint: Constraint, floor_m: float) -> None:
        """On the way only: nothing can be picked up or set down from above."""
        travelling = [part for part in self.parts if part.travels]
        if not travelling or not 0 < floor_m <= MAX_HEIGHT_M - 0.05:
            raise Refusal(f"{constraint.phrase!r}: nothing is carried that could be kept above it", "Say where to")
        term = f"always({self._height(constraint)} >= {stages.cm(floor_m)})"
        for part in travelling:
            part.stage = stages.gated(part.stage, term, constraint.phrase)

    def _height(self, constraint: Constraint) -> str:
        return f"height({stages.kp(constraint.thing)})" if constraint.thing else "height(ee)"


_KEEP_OUTS = (ConstraintKind.AVOID, ConstraintKind.KEEP_FROM)
