"""Words for the gripper intent of a stage: how open the hand should be at each step.

`evaluate` returns the wanted opening (K, H) in [0, 1] (1 = open), or None for "free".  It carries no gradient: the
intent moves the gripper towards what the motion calls for, never the motion towards what the gripper does.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vls_steering.rewards.context import Context
from vls_steering.rewards.language import CONDITION, INTENT, Parameter, Primitive

# Units of score (10 cm) over which a condition turns from "not yet" to "reached".
_SOFTNESS = 0.05
# `close_at_end`: the part of the chunk, from its end, that counts as the end.
_END_SHARE = 0.25


def _reached(robustness: Tensor, context: Context) -> Tensor:
    """(K, H) in [0, 1]; once reached, reached for the rest of the chunk."""
    soft = torch.sigmoid(context.spread(robustness).detach() / _SOFTNESS)
    return torch.cummax(soft, dim=1).values


def _open(context: Context) -> Tensor:
    return context.spread(context.constant(1.0))


def _close(context: Context) -> Tensor:
    return context.spread(context.constant(0.0))


def _close_when(context: Context, robustness: Tensor) -> Tensor:
    return 1.0 - _reached(robustness, context)


def _open_when(context: Context, robustness: Tensor) -> Tensor:
    return _reached(robustness, context)


def _open_at_end(context: Context) -> Tensor:
    times = context.rollout.times_s
    return context.spread((times >= (1.0 - _END_SHARE) * times[-1]).to(times.dtype).unsqueeze(0))


def _close_at_end(context: Context) -> Tensor:
    return 1.0 - _open_at_end(context)


_CONDITION = (Parameter("condition", CONDITION),)

GRIPPER_WORDS = (
    Primitive("free", (), INTENT, lambda context: None, "The policy decides.", "free"),
    Primitive("open", (), INTENT, _open, "Open at every step.", "open"),
    Primitive("close", (), INTENT, _close, "Closed at every step.", "close"),
    Primitive(
        "close_when",
        _CONDITION,
        INTENT,
        _close_when,
        "Open until the condition holds, closed from then on.",
        "close_when(dist(ee, kp('red cube')) <= 2 cm)",
    ),
    Primitive(
        "open_when",
        _CONDITION,
        INTENT,
        _open_when,
        "Closed until the condition holds, open from then on.",
        "open_when(on('red cube', 'white plate'))",
    ),
    Primitive(
        "close_at_end", (), INTENT, _close_at_end, "Closed in the last quarter of the chunk, else open.", "close_at_end"
    ),
    Primitive(
        "open_at_end", (), INTENT, _open_at_end, "Open in the last quarter of the chunk, else closed.", "open_at_end"
    ),
)
