"""What the hand carries along a rollout: objects move when they are gripped and stay when they are let go.

The prediction is kinematic and simple on purpose: it tells a chunk that grasps and lifts from one that closes beside
the object, or leaves before the fingers have closed.  How much an object is in the hand carries no gradient (a gripper
is opened or closed because the intent says so); where it is carried does.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from vls_steering.core.types import GRIPPER_OPEN_M
from vls_steering.rewards.geometry import safe_norm
from vls_steering.rewards.rollout import HOLD_RADIUS_M, Rollout

# How much wider than the held object the fingers are told to open before it is out of the hand; less where the hand
# does not open that far.
RELEASE_GAP_M = 0.02
_LEAST_GAP_M = 0.001
# The fingers must be told to close at the object for this long before it is in the hand.
CLOSING_TIME_S = 0.3
# A predicted grasp must be nearer than a measured one is believed from.
GRASP_RADIUS_M = 0.75 * HOLD_RADIUS_M
_SOFT_M = 0.005


def release_gap_m(held_width_m: float) -> float:
    """Opening beyond the width of a held object at which it is out of the hand, m."""
    return min(RELEASE_GAP_M, max(_LEAST_GAP_M, GRIPPER_OPEN_M - held_width_m))


def still_held(rollout: Rollout, held_width_m: float) -> Tensor:
    """(K, H) in [0, 1]: an object held at the start is still in the hand; once let go it stays let go."""
    gap_m = release_gap_m(held_width_m)
    closed = (held_width_m + gap_m - rollout.gripper_width.detach()) / gap_m
    return torch.cummin(closed.clamp(0.0, 1.0), dim=1).values


def gripped_by_then(rollout: Rollout, position: Tensor, width_m: float) -> Tensor:
    """(K, H) in [0, 1]: an object that lies at `position` (..., 3), `width_m` wide, has been gripped by then."""
    closed = ((width_m - rollout.gripper_width.detach()) / (2 * _SOFT_M)).clamp(0.0, 1.0)
    near = torch.sigmoid((GRASP_RADIUS_M - safe_norm(rollout.tcp.detach() - position)) / _SOFT_M)
    gripping = near * closed
    steps = closing_steps(rollout.times_s)
    particles, horizon = gripping.shape
    if horizon < steps:
        return torch.zeros_like(gripping)
    long_enough = gripping.unfold(1, steps, 1).amin(-1)
    late = torch.cat([gripping.new_zeros(particles, steps - 1), long_enough], 1)
    return torch.cummax(late, dim=1).values


@lru_cache(maxsize=8)  # a tick asks about the same times again and again, and on a GPU every answer would wait
def closing_steps(times_s: Tensor) -> int:
    """Steps of the rollout that closing takes, at least two."""
    if len(times_s) < 2:
        return 2
    step_s = float(times_s[-1] - times_s[0]) / (len(times_s) - 1)
    return max(2, round(CLOSING_TIME_S / max(step_s, 1e-3)))


def carried(rollout: Rollout, tcp_now: Tensor, in_hand: Tensor) -> Tensor:
    """(K, H, 3) m: how far an object has moved that goes with the hand while `in_hand` (K, H)."""
    steps = torch.diff(rollout.tcp, dim=1, prepend=tcp_now.expand(rollout.tcp.shape[0], 1, 3))
    return torch.cumsum(in_hand.unsqueeze(-1) * steps, dim=1)
