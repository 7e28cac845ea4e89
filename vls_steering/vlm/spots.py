"""Where on the table is left of the cube, and is there room?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vls_steering.core.arrays import FloatArray
from vls_steering.core.errors import Refusal
from vls_steering.core.types import Keypoint, Keypoints
from vls_steering.vlm.outline import DIRECTIONS, Relation
from vls_steering.vlm.stages import cm, kp, unit

# Free space between an object and the one it is put beside: a finger, its travel when it opens, a centimetre of error.
BESIDE_M = 0.05
# ... and to what else stands there.
OTHERS_M = 0.02
# Between two objects the hand comes down with less to spare on either side.
BETWEEN_M = 0.03
# Where the shipped arm sets things down in comfort, m, base frame: x, then y.
TABLE_X_M, TABLE_Y_M = (0.30, 0.70), (-0.35, 0.35)

# As seen from the robot: in front is on its side.
_TOWARDS = {
    Relation.LEFT: "left",
    Relation.RIGHT: "right",
    Relation.FRONT: "backward",
    Relation.BEHIND: "forward",
}


def free_spot(
    thing: Keypoint, relation: Relation, targets: Sequence[Keypoint], keypoints: Keypoints
) -> tuple[str, FloatArray]:
    """The point where `thing` goes, in the language and as (2,) m in the base frame.

    Raises Refusal when that place is taken or out of reach.
    """
    where = f"{relation.value} the {' and the '.join(target.name for target in targets)}"
    others = [p for p in keypoints.points if p.name != thing.name and p not in targets]
    reasons = []
    for point, spot in _spots(thing, relation, targets):
        taken = next((other.name for other in others if _gap(thing, spot, other) < OTHERS_M), "")
        near = min(_gap(thing, spot, target) for target in targets)
        if taken:
            reasons.append(f"the {taken} is there")
        elif near < BETWEEN_M:
            reasons.append(f"it is {100 * max(0.0, 2 * near):.0f} cm too narrow")
        elif not (TABLE_X_M[0] <= spot[0] <= TABLE_X_M[1] and TABLE_Y_M[0] <= spot[1] <= TABLE_Y_M[1]):
            reasons.append("the arm does not reach there")
        else:
            return point, spot
    raise Refusal(f"there is no room {where} for the {thing.name}", f"Because {', and '.join(reasons)}")


def standing_on(thing: Keypoint, support: Keypoint) -> bool:
    """`thing` rests on the middle of `support`."""
    lower_end = float(thing.position[2] - thing.size[2] / 2)
    top = float(support.position[2] + support.size[2] / 2)
    return abs(lower_end - top) < 0.015 and _gap(thing, thing.position[:2], support) < 0.0


def _spots(thing: Keypoint, relation: Relation, targets: Sequence[Keypoint]) -> list[tuple[str, FloatArray]]:
    """Places to try: each in the language, where it follows what it refers to, and as (2,) m in the base frame."""
    names = [kp(target.name) for target in targets]
    if relation is Relation.BETWEEN:
        return [(f"midpoint({', '.join(names)})", 0.5 * (targets[0].position[:2] + targets[1].position[:2]))]
    found = []
    for direction in DIRECTIONS if relation is Relation.NEXT else [_TOWARDS[relation]]:
        towards = unit(direction)[:2]
        reach_m = float(0.5 * np.abs(towards) @ (thing.size[:2] + targets[0].size[:2])) + BESIDE_M
        found.append((f"offset({names[0]}, {direction}, {cm(reach_m)})", targets[0].position[:2] + reach_m * towards))
    return found


def _gap(thing: Keypoint, spot: FloatArray, other: Keypoint) -> float:
    """m of free space between the outlines of two objects seen from above; negative when they overlap."""
    outside = np.abs(spot - other.position[:2]) - (thing.size[:2] + other.size[:2]) / 2
    return float(np.linalg.norm(outside.clip(min=0.0)) + min(0.0, outside.max()))
