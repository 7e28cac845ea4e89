"""The stages of each skill, as documents of the reward language."""

from vls_steering.vlm.stages.contact import (
    PUSH_DISTANCE_M,
    close_hand,
    move_above,
    open_hand,
    press,
    pull_open,
    push,
    push_shut,
)
from vls_steering.vlm.stages.grasping import LIFT_HEIGHT_CM, OPEN_ABOVE_CM, grasp, hold_above, lift
from vls_steering.vlm.stages.limits import MAX_TILT_DEG, KeepOut, gated, shortened, slowed
from vls_steering.vlm.stages.placing import CARRY_HEIGHT_CM, place_at, place_in, place_on
from vls_steering.vlm.stages.text import Stage, cm, kp

__all__ = [
    "CARRY_HEIGHT_CM",
    "LIFT_HEIGHT_CM",
    "MAX_TILT_DEG",
    "OPEN_ABOVE_CM",
    "PUSH_DISTANCE_M",
    "KeepOut",
    "Stage",
    "close_hand",
    "cm",
    "gated",
    "grasp",
    "hold_above",
    "kp",
    "lift",
    "move_above",
    "open_hand",
    "place_at",
    "place_in",
    "place_on",
    "press",
    "pull_open",
    "push",
    "push_shut",
    "shortened",
    "slowed",
]
