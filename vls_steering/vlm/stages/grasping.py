"""Picking up: reach, close, lift; and holding over a place.

Lengths follow from the task: a stage ends where the next can begin, with room for a centimetre of perception error.
"""

from __future__ import annotations

from vls_steering.vlm.stages.text import Stage, approach, kp, quoted

LIFT_HEIGHT_CM = 15
# Where a fingertip point counts as at the object, given the error of a centroid seen by cameras.
AT_OBJECT_CM = 2.5
# Fingers nearer than this hold none of the objects; wider than that they are open.
MISSED_CM = 1.5
OPEN_CM = 6
OPEN_ABOVE_CM = 8


# The fingertips reach this far below the fingertip point, and are to stay this far above what the object stands on.
FINGERS_BELOW_CM = 0.8
ROOM_BELOW_CM = 0.3


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


def above_support(stage: Stage, name: str, half_height_cm: float) -> Stage:
    """The same for an object that stands on something higher than the table: the fingers are not to press on that."""
    deepest = max(half_height_cm - FINGERS_BELOW_CM - ROOM_BELOW_CM, 0.0)
    stays = f"always(height(ee) - height({kp(name)}) >= -{deepest:.1f} cm) * 2"
    return {**stage, "reward": [*stage["reward"], stays]}


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


def hold_above(name: str, target: str, height_cm: float) -> Stage:
    """Bring the held object over another, its centre `height_cm` over the other's upper face."""
    away = f"dist({kp(name)}, above({quoted(target)}, {height_cm:g} cm))"
    return {
        "name": f"hold the {name} above the {target}",
        "reward": approach(away),
        "gripper": "close",
        "requires": f"grasped({quoted(name)})",
        "done": f"grasped({quoted(name)}) and {away} <= 3 cm",
        "deadline": "15 s",
    }
