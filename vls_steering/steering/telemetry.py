"""What one tick did and why; silent no-op steering must be impossible to miss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vls_steering.core.arrays import FloatArray
from vls_steering.core.types import ActionChunk

SECTIONS = ("encode", "denoise", "guide", "resample", "select")


@dataclass(frozen=True)
class Telemetry:
    """Plain numbers, one per quantity, so that they plot."""

    tick: int
    stage: int  # from 0
    stages: int  # 0 = no program
    stage_name: str
    progress: float  # measured, of the current stage, 0..1
    finished: bool
    strength: float  # share of the maximum guidance strength, 0..1
    nfe: int  # network evaluations, one after the other
    network_rows: int  # rows through the network: particles x evaluations
    levels: FloatArray  # (K,) noise level that each particle started from
    shift_m: float  # m, mean over particles of the largest displacement by guidance
    steered: bool  # the program made a difference to this chunk: it bent a candidate or preferred one
    share_steered: float  # of the ticks since the reset, holds included
    warm: bool  # some particle started from its last chunk
    jumped: int  # particles restarted because the observation contradicted their plan
    resamples: int  # times that the particles were redrawn
    ess: float  # smallest effective sample size before redrawing, in particles; K when nobody looked
    frozen: int  # first steps of the chunk that are the committed chunk's
    admissible: int  # candidates that are finite and safe
    best_score: float  # reward of the chosen candidate; NaN when there is none
    margin: float  # combined score of the chosen candidate less the median of the admissible ones
    safety_m: float  # m, exact safety robustness of the chosen candidate; +inf without safety terms
    overdue: bool  # the current stage has run out of the time that the program gives it
    cut_short: int  # ticks since the reset that their deadline ended before the last step
    reason: str  # why the chunk is a hold, else what happened to the stage or the tick; empty on an ordinary tick
    durations_ms: dict[str, float]  # encode, denoise, guide, resample, select, total


@dataclass(frozen=True)
class TickResult:
    """A chunk to execute, and the particles it was chosen from."""

    chunk: ActionChunk
    candidates: np.ndarray  # (K, H, 3) m, base frame; (0, H, 3) when the sampler did not run
    scores: np.ndarray  # (K,) combined score; -inf for candidates that were out of the running
    chosen: int  # index into the candidates; -1 for a hold
    telemetry: Telemetry
