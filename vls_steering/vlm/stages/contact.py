"""Acting on what stays where it is, or moves without being held: push, press, pull, shut; and the hand itself."""

from __future__ import annotations

import numpy as np

from vls_steering.core.arrays import FloatArray
from vls_steering.core.types import Keypoint
from vls_steering.vlm.stages.grasping import AT_OBJECT_CM, MISSED_CM, OPEN_CM
from vls_steering.vlm.stages.text import Stage, approach, cm, kp, point, quoted

PUSH_DISTANCE_M = 0.08
PUSH_STANDOFF_M = 0.05
PUSH_HEIGHT_M = 0.022
PULL_DISTANCE_M = 0.12
DRAW_UP_CM = 12
# The fingers have closed on a handle when they are nearer than this.
ON_HANDLE_CM = 5
# A drawer counts as moved when this much of the way is done; it stops by itself.
MOVED_SHARE = 0.8


def unit(direction: str) -> FloatArray:
    """(3,) of a word for a direction, base frame."""
    x, y = {"forward": (1.0, 0.0), "backward": (-1.0, 0.0), "left": (0.0, 1.0), "right": (0.0, -1.0)}[direction]
    return np.array([x, y, 0.0])


def push(thing: Keypoint, direction: str, distance_m: float = PUSH_DISTANCE_M) -> list[Stage]:
    """Get behind the object with the hand closed and low, then move through where it stands."""
    axis = 0 if direction in ("forward", "backward") else 1
    sign = 1.0 if direction in ("forward", "left") else -1.0
    half = float(thing.size[axis]) / 2
    start = float(thing.position[axis]) * sign
    behind, beyond = thing.position.copy(), thing.position.copy()
    behind[axis] -= sign * (half + PUSH_STANDOFF_M)
    beyond[axis] += sign * (distance_m - half)
    behind[2] = beyond[2] = PUSH_HEIGHT_M
    reach, through = (f"dist(ee, {point(p)})" for p in (behind, beyond))
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
                f"always(off_line(ee, {point(behind)}, {direction}) <= 2 cm)",
                "always(height(ee) <= 5 cm) * 0.5",
            ],
            "gripper": "close",
            "done": f"along({kp(name)}, {direction}) >= {cm(start + distance_m)}",
            "deadline": "10 s",
        },
    ]


def press(name: str) -> list[Stage]:
    """Come down on the object's middle with closed fingers, then draw back."""
    over = f"dist(ee, above({quoted(name)}, 6 cm))"
    touch = f"dist(ee, above({quoted(name)}, 0 cm))"
    return [
        {
            "name": f"get above the {name}",
            "reward": approach(over),
            "gripper": "close",
            "done": f"{over} <= 2 cm and gripper_width <= 2 cm",
            "deadline": "15 s",
        },
        {
            "name": f"press the {name}",
            "reward": approach(touch),
            "gripper": "close",
            "done": f"{touch} <= 0.8 cm",
            "deadline": "10 s",
        },
        {
            "name": f"draw back from the {name}",
            "reward": approach(over),
            "gripper": "close",
            "done": f"{over} <= 3 cm",
            "deadline": "6 s",
        },
    ]


def draw_up(name: str) -> Stage:
    """Rise from where the closed hand was left beside an object."""
    high = f"height(ee) - height({kp(name)}) >= {DRAW_UP_CM} cm"
    return {
        "name": f"draw up from the {name}",
        "reward": [f"eventually({high})"],
        "gripper": "close",
        "done": high,
        "deadline": "6 s",
    }


def pull_open(handle: Keypoint) -> list[Stage]:
    """Close the fingers on a handle, draw it towards the robot, let go."""
    name, start = handle.name, float(handle.position[0])
    pulled = handle.position.copy()
    pulled[0] -= PULL_DISTANCE_M
    reach, drawn = f"dist(ee, {kp(name)})", f"dist(ee, {point(pulled)})"
    moved = f"along({kp(name)}, forward) <= {cm(start - MOVED_SHARE * PULL_DISTANCE_M)}"
    return [
        {
            "name": f"take hold of the {name}",
            "reward": approach(reach),
            "gripper": f"close_when({reach} <= {AT_OBJECT_CM} cm)",
            "done": f"{moved} or ({reach} <= {AT_OBJECT_CM} cm and gripper_width <= {ON_HANDLE_CM} cm)",
            "deadline": "15 s",
        },
        {
            "name": f"pull the {name}",
            "reward": approach(drawn),
            "gripper": "close",
            "requires": f"{reach} <= {2 * AT_OBJECT_CM:g} cm or {moved}",
            "done": moved,
            "deadline": "15 s",
        },
        open_hand(),
    ]


def push_shut(handle: Keypoint) -> list[Stage]:
    """Push a handle away from the robot with closed fingers."""
    name, start = handle.name, float(handle.position[0])
    before, beyond = handle.position.copy(), handle.position.copy()
    before[0] -= float(handle.size[0]) / 2 + PUSH_STANDOFF_M
    beyond[0] += PULL_DISTANCE_M
    reach, through = (f"dist(ee, {point(p)})" for p in (before, beyond))
    return [
        {
            "name": f"get in front of the {name}",
            "reward": approach(reach),
            "gripper": "close",
            "done": f"{reach} <= 3 cm and gripper_width <= 2 cm",
            "deadline": "15 s",
        },
        {
            "name": f"push the {name} shut",
            "reward": [*approach(through), f"always(off_line(ee, {point(before)}, forward) <= 2 cm)"],
            "gripper": "close",
            "done": f"along({kp(name)}, forward) >= {cm(start + MOVED_SHARE * PULL_DISTANCE_M)}",
            "deadline": "15 s",
        },
    ]


def move_above(name: str, height_cm: float) -> Stage:
    """Bring the fingertip point over the object."""
    away = f"dist(ee, above({quoted(name)}, {height_cm:g} cm))"
    return {"name": f"move above the {name}", "reward": approach(away), "done": f"{away} <= 2 cm", "deadline": "15 s"}


def open_hand() -> Stage:
    return _hand("open", f"gripper_width >= {OPEN_CM} cm")


def close_hand() -> Stage:
    return _hand("close", f"gripper_width <= {MISSED_CM} cm")


def _hand(intent: str, done: str) -> Stage:
    # The motion does not matter: the calmest one is preferred.
    return {
        "name": f"{intent} the hand",
        "reward": ["minimize(mean(speed))"],
        "gripper": intent,
        "done": done,
        "deadline": "6 s",
    }
