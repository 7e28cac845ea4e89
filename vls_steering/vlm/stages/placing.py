"""Setting down what the hand holds: on a support, in a container, at a place on the table."""

from __future__ import annotations

from vls_steering.core.types import Keypoint
from vls_steering.vlm.stages.text import Stage, approach, cm, kp, quoted

CARRY_HEIGHT_CM = 8
RETREAT_CM = 8
# Over the rim of a container the object's lower end has this much room.
RIM_CM = 2


def place_on(name: str, support: str) -> list[Stage]:
    """Carry the held object over the support, lower it, let go, draw back."""
    beside = f"horizontal({kp(name)}, {kp(support)})"
    resting = f"dist({kp(name)}, rest({quoted(name)}, {quoted(support)}))"
    standing = f"on({quoted(name)}, {quoted(support)})"
    return [
        {
            "name": f"carry the {name} over the {support}",
            "reward": approach(beside),
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
        _draw_back(name, standing),
    ]


def place_in(thing: Keypoint, container: Keypoint) -> list[Stage]:
    """Carry the held object over the container's opening, let go there, draw back.

    Letting go above the rim keeps the hand out of the container.
    """
    name = thing.name
    inside_m = float(container.size[:2].min()) / 2
    over_cm = over_rim_cm(thing, container)
    beside = f"horizontal({kp(name)}, {kp(container.name)})"
    held, let_go = f"grasped({quoted(name)})", f"released({quoted(name)})"
    inside = f"{beside} <= {cm(inside_m)}"
    return [
        {
            "name": f"carry the {name} over the {container.name}",
            "reward": approach(beside),
            "gripper": "close",
            "requires": held,
            "done": f"{beside} <= 3 cm and height({kp(name)}) >= {over_cm - 1:g} cm",
            "deadline": "15 s",
        },
        {
            "name": f"let the {name} go into the {container.name}",
            "reward": approach(beside),
            "gripper": f"open_when({beside} <= 3 cm)",
            "requires": f"{held} or {inside}",
            "done": f"{let_go} and {inside} and height({kp(name)}) <= {over_cm:g} cm",
            "deadline": "10 s",
        },
        _draw_back(name, inside),
    ]


def over_rim_cm(thing: Keypoint, container: Keypoint) -> float:
    """Height of the centre of a held object that has room over the container's rim."""
    rim_m = float(container.position[2] + container.size[2] / 2)
    return round(100 * (rim_m + float(thing.size[2]) / 2) + RIM_CM, 1)


def raised(stage: Stage, name: str, height_cm: float) -> Stage:
    """The stage with the held object lifted on the way, for one that has not been lifted yet."""
    return {**stage, "reward": [*stage["reward"], f"eventually(height({kp(name)}) >= {height_cm:g} cm)"]}


def kept_raised(stage: Stage, name: str, height_cm: float) -> Stage:
    """`raised` up to the end of the stage: a short way would be dragged over the table."""
    done = f"{stage['done']} and height({kp(name)}) >= {height_cm - 1:g} cm"
    return {**raised(stage, name, height_cm), "done": done}


def place_at(thing: Keypoint, spot: str, where: str) -> list[Stage]:
    """Carry the held object to a free place on the table; `spot` is its point, `where` says it in words."""
    name = thing.name
    half_m = float(thing.size[2]) / 2
    beside = f"horizontal({kp(name)}, {spot})"
    resting = f"{beside} + abs(height({kp(name)}) - {cm(half_m)})"
    standing = f"({beside} <= 4 cm and height({kp(name)}) <= {cm(half_m + 0.015)})"
    held = f"grasped({quoted(name)})"
    return [
        {
            "name": f"carry the {name} {where}",
            "reward": approach(beside),
            "gripper": "close",
            "requires": held,
            "done": f"{beside} <= 3 cm",
            "deadline": "15 s",
        },
        {
            "name": f"set the {name} down {where}",
            "reward": approach(resting),
            "gripper": f"open_when({standing})",
            "requires": f"{held} or {standing}",
            "done": f"released({quoted(name)}) and {standing}",
            "deadline": "10 s",
        },
        _draw_back(name, standing),
    ]


def _draw_back(name: str, standing: str) -> Stage:
    high = f"height(ee) - height({kp(name)}) >= {RETREAT_CM} cm"
    return {
        "name": f"draw back from the {name}",
        "reward": [f"eventually({high})"],
        "gripper": "open",
        "requires": f"released({quoted(name)}) and {standing}",
        "done": f"{standing} and {high}",
        "deadline": "6 s",
    }
