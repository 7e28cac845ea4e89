"""Words for conditions (robustness: positive when they hold) and for looking along time.

Robustness is in units of score: 10 cm for lengths.  Conditions about the grasp have no natural measure; theirs is
negative by the distance still to go plus a step, so that they order motions and read as progress.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vls_steering.rewards.context import Context
from vls_steering.rewards.geometry import safe_norm
from vls_steering.rewards.language import (
    CONDITION,
    OBJECT,
    OBJECTIVE,
    SPAN,
    Kind,
    Parameter,
    Primitive,
    Site,
    Type,
)
from vls_steering.rewards.semantics import window
from vls_steering.rewards.units import LENGTH

# An object that is reached but not yet held lacks this much.
_GRASP_STEP_M = 0.04
_ON_HEIGHT_TOLERANCE_M = 0.02


def _grasped(context: Context, name: str) -> Tensor:
    in_hand = context.in_hand(name)
    lacking = (safe_norm(context.rollout.tcp - context.position(name)) + _GRASP_STEP_M) / LENGTH.reference
    return 0.5 * in_hand - (1.0 - in_hand) * lacking


def _released(context: Context, name: str) -> Tensor:
    return 0.5 - context.in_hand(name)


def _on(context: Context, name: str, support: str) -> Tensor:
    position, size = context.position(name), context.size(name)
    beside = safe_norm((position - context.position(support))[..., :2])
    reach = context.size(support)[:2].amin() / 2
    lift = (position[..., 2] - size[2] / 2 - context.top(support)).abs()
    margin = torch.minimum(reach - beside, _ON_HEIGHT_TOLERANCE_M - lift)
    return context.spread(margin / LENGTH.reference)


def _windows(context: Context, site: Site, robustness: Tensor, after: float, before: float) -> tuple[Tensor, Tensor]:
    mask = window(context.rollout.times_s, site.anchors_s, after, before)  # (A, H)
    return context.spread(robustness).unsqueeze(1), mask


def _always(context: Context, site: Site, robustness: Tensor, after: float, before: float) -> Tensor:
    return context.semantics.minimum(*_windows(context, site, robustness, after, before))


def _eventually(context: Context, site: Site, robustness: Tensor, after: float, before: float) -> Tensor:
    return context.semantics.maximum(*_windows(context, site, robustness, after, before))


def _verdict(arguments: tuple[Type, ...]) -> Type:
    return Type(Kind.PREDICATE, instant=False)


def _maximize(context: Context, value: Tensor) -> Tensor:
    return context.spread(value).mean(-1, keepdim=True) if value.shape[-1] > 1 else value


def _minimize(context: Context, value: Tensor) -> Tensor:
    return -_maximize(context, value)


_OBJECT = Parameter("object", OBJECT)
_WHEN = (
    Parameter("condition", CONDITION),
    Parameter("after", SPAN, default=0.0),
    Parameter("before", SPAN, default=math.inf),
)
_WORTH = (Parameter("quantity", Type(Kind.SIGNAL), any_dimension=True),)

CONDITION_WORDS = (
    Primitive("grasped", (_OBJECT,), CONDITION, _grasped, "The object is in the hand.", "grasped('red cube')"),
    Primitive("released", (_OBJECT,), CONDITION, _released, "The object is not in the hand.", "released('red cube')"),
    Primitive(
        "on",
        (_OBJECT, Parameter("support", OBJECT)),
        CONDITION,
        _on,
        "The first object stands on the second.",
        "on('red cube', 'white plate')",
    ),
    Primitive(
        "always",
        _WHEN,
        _verdict,
        _always,
        "The condition holds at every step of the window (seconds from now; the whole chunk by default).",
        "always(dist(ee, kp('purple box')) >= 8 cm, after=0.2 s, before=1.5 s)",
        temporal=True,
        dual="eventually",
    ),
    Primitive(
        "eventually",
        _WHEN,
        _verdict,
        _eventually,
        "The condition holds at some step of the window.",
        "eventually(dist(ee, kp('red cube')) <= 2 cm, before=1 s)",
        temporal=True,
        dual="always",
    ),
    Primitive(
        "maximize",
        _WORTH,
        OBJECTIVE,
        _maximize,
        "Prefer more of a quantity, on average over the chunk.",
        "maximize(height(ee)) * 0.5",
    ),
    Primitive(
        "minimize",
        _WORTH,
        OBJECTIVE,
        _minimize,
        "Prefer less of a quantity, on average over the chunk.",
        "minimize(dist(ee, kp('red cube')))",
    ),
)
