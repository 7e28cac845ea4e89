"""The stages of each skill, as documents of the reward language."""

from vls_steering.vlm.stages.contact import (
    DRAW_UP_CM,
    PULL_DISTANCE_M,
    PUSH_DISTANCE_M,
    close_hand,
    draw_up,
    move_above,
    open_hand,
    press,
    pull_open,
    push,
    push_shut,
    unit,
)
from vls_steering.vlm.stages.grasping import LIFT_HEIGHT_CM, OPEN_ABOVE_CM, above_support, grasp, hold_above, lift
from vls_steering.vlm.stages.limits import MAX_TILT_DEG, KeepOut, gated, shortened, slowed
from vls_steering.vlm.stages.placing import (
    CARRY_HEIGHT_CM,
    kept_raised,
    over_rim_cm,
    place_at,
    place_in,
    place_on,
    raised,
)
from vls_steering.vlm.stages.text import Stage, cm, kp

__all__ = [
    "CARRY_HEIGHT_CM",
    "DRAW_UP_CM",
    "LIFT_HEIGHT_CM",
    "MAX_TILT_DEG",
    "OPEN_ABOVE_CM",
    "PULL_DISTANCE_M",
    "PUSH_DISTANCE_M",
    "KeepOut",
    "Stage",
    "above_support",
    "close_hand",
    "cm",
    "draw_up",
    "gated",
    "grasp",
    "hold_above",
    "kept_raised",
    "kp",
    "lift",
    "move_above",
    "open_hand",
    "over_rim_cm",
    "place_at",
    "place_in",
    "place_on",
    "press",
    "pull_open",
    "push",
    "push_shut",
    "raised",
    "shortened",
    "slowed",
    "unit",
]
