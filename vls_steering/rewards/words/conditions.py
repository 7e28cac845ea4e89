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
    mask = window(context.times_s, site.anchors_s, after, before)  # (A, P + H)
    return context.spread_time(robustness).unsqueeze(1), mask


def _always(context: Context, site: Site, robustness: Tensor, after: float, before: float) -> Tensor:
    return context.semantics.minimum(*_windows(context, site, robustness, after, before))


def _eventually(context: Context, site: Site, robustness: Tensor, after: float, before: float) -> Tensor:
    return context.semantics.maximum(*_windows(context, site, robustness, after, before))


def _until(context: Context, site: Site, holding: Tensor, goal: Tensor, after: float, before: float) -> Tensor:
    """Some step of the window reaches the goal, and every step from the anchor up to it, it excluded, holds."""
    holding, goal = context.spread_time(holding), context.spread_time(goal)
    joint = torch.cat([_up_to(holding), goal[:, None, :, None]], -1)  # (K, 1, T, T + 1)
    reached = context.semantics.minimum(joint, _with_goal(_earlier(context, site)))  # (K, A, T)
    return context.semantics.maximum(reached, window(context.times_s, site.anchors_s, after, before))


def _release(context: Context, site: Site, freeing: Tensor, kept: Tensor, after: float, before: float) -> Tensor:
    """Every step of the window keeps, unless a step before it, from the anchor on, has set free; the dual of until."""
    freeing, kept = context.spread_time(freeing), context.spread_time(kept)
    joint = torch.cat([_up_to(freeing), kept[:, None, :, None]], -1)
    allowed = context.semantics.maximum(joint, _with_goal(_earlier(context, site)))
    return context.semantics.minimum(allowed, window(context.times_s, site.anchors_s, after, before))


def _up_to(values: Tensor) -> Tensor:
    """(K, T) -> (K, 1, T, T): every step's values, once for each step they may come before."""
    return values[:, None, None, :].expand(-1, 1, values.shape[-1], -1)


def _earlier(context: Context, site: Site) -> Tensor:
    """(A, T, T): step i counts for step j when it lies between the anchor and j, j excluded."""
    times = context.times_s
    since = times >= site.anchors_s.unsqueeze(-1) - 1e-3  # (A, T)
    return since.unsqueeze(1) & (times.unsqueeze(0) < times.unsqueeze(1) - 1e-6)


def _with_goal(mask: Tensor) -> Tensor:
    return torch.cat([mask, torch.ones_like(mask[..., :1])], -1)


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
_UNTIL = (Parameter("condition", CONDITION), Parameter("goal", CONDITION), *_WHEN[1:])
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
        "The condition holds at every step of the window (seconds since the stage began; default: the whole chunk).",
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
        "until",
        _UNTIL,
        _verdict,
        _until,
        "The goal holds at some step of the window, and the condition at every step before it.",
        "until(speed <= 10 cm/s, grasped('red cube'), before=1.5 s)",
        temporal=True,
        dual="release",
    ),
    Primitive(
        "release",
        _UNTIL,
        _verdict,
        _release,
        "The goal holds at every step of the window, up to and including the step where the condition first holds.",
        "release(on('red cube', 'white plate'), gripper_width <= 5 cm)",
        temporal=True,
        dual="until",
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
