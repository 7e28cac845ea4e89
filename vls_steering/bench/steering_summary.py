"""What the sampler did in a run, in numbers: steering that does nothing must be impossible to miss in a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from vls_steering.bench.recording import TickTrace

_REASONS = 8  # most frequent ones


def steering_summary(ticks: Sequence[TickTrace]) -> dict[str, Any]:
    """Of ticks with a program; medians are over those in which the sampler ran."""
    ran = [tick for tick in ticks if tick.numbers.get("nfe", 0) > 0]

    def values(name: str) -> list[float]:
        return [tick.numbers[name] for tick in ran if np.isfinite(tick.numbers.get(name, np.nan))]

    def total(name: str) -> int:
        return int(sum(values(name)))

    shifts_m = values("shift_m")
    ess = [tick.numbers["ess"] for tick in ran if tick.numbers.get("resamples", 0) > 0]
    return {
        "ticks": len(ticks),
        "sampled": len(ran),
        "warm": total("warm"),
        "network_evaluations_p50": _median(values("nfe")),
        "network_rows_p50": _median(values("network_rows")),
        "start_level_mean": _mean(values("level_mean")),
        "shift_m": {"p50": _median(shifts_m), "max": max(shifts_m, default=None)},
        "resamples": total("resamples"),
        "ess_least": min(ess, default=None),  # None: nobody was redrawn
        "restarted_by_jumps": total("jumped"),
        "committed_steps_p50": _median(values("frozen")),
        "cut_short": int(max((tick.numbers.get("cut_short", 0.0) for tick in ticks), default=0)),
        "deadline_misses": int(max((tick.numbers.get("deadline_misses", 0.0) for tick in ticks), default=0)),
        "reasons": dict(Counter(tick.reason for tick in ticks if tick.reason).most_common(_REASONS)),
    }


def _median(values: Sequence[float]) -> float | None:
    return round(float(np.median(values)), 4) if len(values) else None


def _mean(values: Sequence[float]) -> float | None:
    return round(float(np.mean(values)), 4) if len(values) else None
