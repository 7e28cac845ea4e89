"""The stages of each skill, as documents of the reward language.

Lengths follow from the task: a stage ends where the next can begin, with room for a centimetre of perception error.
Objectives come in pairs: the closest approach in the chunk picks the sample that gets there, the average picks the one
that gets there soon.  Both are informative however far away the goal is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vls_steering.core.types import Keypoint

LIFT_HEIGHT_CM = 15
# Where a fingertip point counts as at the object, given the error of a centroid seen by cameras.
AT_OBJECT_CM = 2.5
# Fingers nearer than this hold none of the objects; wider than that they are open.
MISSED_CM = 1.5
OPEN_CM = 6
OPEN_ABOVE_CM = 8
CARRY_HEIGHT_CM = 8
RETREAT_CM = 8
# Keep-outs that name no distance: the gate, and the room that is preferred where there is a choice.
GATE_MARGIN_M = 0.015
PREFERRED_MARGIN_M = 0.04
# Less than the approach's 2.5: a preference for room must not push the hand off the object it grasps.
PREFERENCE_WEIGHT = 1
PUSH_DISTANCE_M = 0.08
PUSH_STANDOFF_M = 0.05
PUSH_HEIGHT_M = 0.022

Stage = dict[str, Any]


def approach(signal: str) -> list[str]:
    """Reward for bringing a distance down within the chunk, the sooner the better."""
    return [f"minimize(lowest({signal})) * 2", f"minimize({signal}) * 0.5"]


def grasp(name: str) -> list[Stage]:
    """Reach the object with an open hand, close there; fingers that close on nothing begin again from above."""
    reach = f"dist(ee, {kp(name)})"
    above = f"height(ee) - height({kp(name)})"
    held = f"grasped({quoted(name)})"
    return [
        {
            "name": f"open the hand above the {name}",
            "reward": [f"eventually({above} >= {OPEN_ABOVE_CM} cm)"],
            "gripper": "open",
            "done": f"{held} or (gripper_width >= {OPEN_CM} cm and {above} >= {OPEN_ABOVE_CM - 2} cm)",
            "deadline": "10 s",
        },
        {
            "name": f"grasp the {name}",
            "reward": approach(reach),
            "gripper": f"close_when({reach} <= {AT_OBJECT_CM} cm)",
            "requires": f"gripper_width >= {MISSED_CM} cm or {held}",
            "done": held,
            "deadline": "15 s",
        },
    ]


def lift(name: str, height_cm: float = LIFT_HEIGHT_CM) -> Stage:
    """Raise the held object."""
    high = f"height({kp(name)}) >= {height_cm:g} cm"
    return {
        "name": f"lift the {name}",
        "reward": [f"eventually({high})", f"maximize(height({kp(name)})) * 0.2"],
        "gripper": "close",
        "requires": f"grasped({quoted(name)})",
        "done": f"grasped({quoted(name)}) and {high}",
        "deadline": "10 s",
    }


def place(name: str, support: str) -> list[Stage]:
    """Carry the held object over the support, lower it, let go, draw back."""
    beside = f"horizontal({kp(name)}, {kp(support)})"
    resting = f"dist({kp(name)}, rest({quoted(name)}, {quoted(support)}))"
    standing = f"on({quoted(name)}, {quoted(support)})"
    high = f"height(ee) - height({kp(name)}) >= {RETREAT_CM} cm"
    return [
        {
            "name": f"carry the {name} over the {support}",
            "reward": [*approach(beside), f"eventually(height({kp(name)}) >= {CARRY_HEIGHT_CM} cm)"],
            "gripper": "close",
            "requires": f"grasped({quoted(name)})",
            "done": f"{beside} <= 3 cm",
            "deadline": "15 s",
        },
        {
            "name": f"set the {name} down on the {support}",
            "reward": approach(resting),
            "gripper": f"open_when({standing} and {beside} <= 5 cm)",
            "requires": f"grasped({quoted(name)}) or {standing}",
            "done": f"released({quoted(name)}) and {standing}",
            "deadline": "10 s",
        },
        {
            "name": f"draw back from the {name}",
            "reward": [f"eventually({high})"],
            "gripper": "open",
            "requires": f"released({quoted(name)}) and {standing}",
            "done": f"{standing} and {high}",
            "deadline": "6 s",
        },
    ]


_OPPOSITE = {"forward": "backward", "backward": "forward", "left": "right", "right": "left"}


def push(thing: Keypoint, direction: str) -> list[Stage]:
    """Get behind the object with the hand closed and low, then move through where it stands."""
    axis = 0 if direction in ("forward", "backward") else 1
    sign = 1.0 if direction in ("forward", "left") else -1.0
    half = float(thing.size[axis]) / 2
    start = float(thing.position[axis]) * sign
    behind, beyond = thing.position.copy(), thing.position.copy()
    behind[axis] -= sign * (half + PUSH_STANDOFF_M)
    beyond[axis] += sign * (PUSH_DISTANCE_M - half)
    behind[2] = beyond[2] = PUSH_HEIGHT_M
    reach, through = (f"dist(ee, {_point(p)})" for p in (behind, beyond))
    name = thing.name
    return [
        {
            "name": f"get behind the {name}",
            "reward": approach(reach),
            "gripper": "close",
            "done": f"{reach} <= 3 cm and gripper_width <= 2 cm",
            "deadline": "15 s",
        },
        {
            "name": f"push the {name} {direction}",
            "reward": [
                *approach(through),
                f"always(off_line(ee, {_point(behind)}, {direction}) <= 2 cm)",
                "always(height(ee) <= 5 cm) * 0.5",
            ],
            "gripper": "close",
            "done": f"along({kp(name)}, {direction}) >= {_cm(start + PUSH_DISTANCE_M)}",
            "deadline": "10 s",
        },
    ]


@dataclass(frozen=True)
class KeepOut:
    """An object that the hand's body and what it holds stay away from, and the words that say so."""

    name: str
    phrase: str
    margin_m: float | None = None  # None: no distance was given

    def apply(self, stage: Stage) -> Stage:
        """The stage with the keep-out as a gate and, where no distance was given, more room as a preference."""
        space = f"always(clearance(body, {kp(self.name)})"
        gate = self.margin_m if self.margin_m is not None else GATE_MARGIN_M
        safety = [*stage.get("safety", []), {"term": f"{space} >= {_cm(gate)})", "phrase": self.phrase}]
        reward = list(stage["reward"])
        if self.margin_m is None:
            room = f"{space} >= {_cm(PREFERRED_MARGIN_M)}) * {PREFERENCE_WEIGHT}"
            reward.append({"term": room, "phrase": self.phrase})
        return {**stage, "reward": reward, "safety": safety}


def kp(name: str) -> str:
    return f"kp({quoted(name)})"


def quoted(name: str) -> str:
    return f'"{name}"' if "'" in name else f"'{name}'"


def _point(position: Any) -> str:
    return f"point({', '.join(_cm(float(value)) for value in position)})"


def _cm(metres: float) -> str:
    return f"{round(100 * metres, 1):g} cm"
