"""What the telemetry takes from the sampler's side of a tick."""

from __future__ import annotations

import math
from typing import TypedDict

import numpy as np
import torch

from vls_steering.core.arrays import FloatArray
from vls_steering.steering.planner import Outcome


class Figures(TypedDict):
    """The part of the telemetry that the sampler knows."""

    nfe: int
    network_rows: int
    levels: FloatArray
    shift_m: float
    warm: bool
    jumped: int
    resamples: int
    ess: float
    frozen: int
    admissible: int
    best_score: float
    margin: float
    safety_m: float


def figures(outcome: Outcome | None) -> Figures:
    """Figures of the sampler; zeros when it did not run, NaN for a chosen candidate that does not exist."""
    best_score = safety_m = math.nan
    if outcome is None:
        return Figures(
            nfe=0,
            network_rows=0,
            levels=np.zeros(0),
            shift_m=0.0,
            warm=False,
            jumped=0,
            resamples=0,
            ess=0.0,
            frozen=0,
            admissible=0,
            best_score=best_score,
            margin=0.0,
            safety_m=safety_m,
        )
    samples, selection = outcome.samples, outcome.selection
    if selection.chosen is not None:
        best_score, safety_m = float(outcome.reward[selection.chosen]), float(outcome.safety_m[selection.chosen])
    return Figures(
        nfe=samples.steps,
        network_rows=samples.steps * len(samples.level),
        levels=samples.level.detach().cpu().double().numpy(),
        shift_m=float(samples.shift_m.mean()),
        warm=samples.warm,
        jumped=samples.jumped,
        resamples=samples.resamples,
        ess=samples.ess,
        frozen=samples.frozen,
        admissible=len(selection.order),
        best_score=best_score,
        margin=selection.margin,
        safety_m=safety_m,
    )


def rejection(outcome: Outcome) -> str:
    """Why no candidate may be executed."""
    alive = outcome.samples.alive & torch.isfinite(outcome.reward)
    if not bool(alive.any()):
        return "no candidate has a finite reward and gradient"
    return f"no candidate keeps clear: the best one violates the safety terms by {-float(outcome.safety_m.max()):.3f} m"
