"""Ticks into rows: percentiles per part, ratios between methods, share of the floor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from vls_steering.bench.latency_cases import FULL, OURS, OURS_COLD, RELEASED, SweepPoint
from vls_steering.bench.latency_floor import floor_ms, flop_per_evaluation
from vls_steering.bench.latency_statistics import Speedup, speedup, spread
from vls_steering.bench.latency_trial import Entrant, LiveTrial
from vls_steering.policies.unet import parameter_count
from vls_steering.steering.telemetry import Telemetry

# What is compared with what: key of the report -> the slower method.
RATIOS = {"speedup_vs_vls_released": RELEASED, "speedup_vs_full_denoising": FULL}
# Parts of a tick in the words of the report.
NAMES = {"guide": "reward gradient"}


def settled(entrant: Entrant) -> list[bool]:
    """Which of an entrant's ticks are what it does most of the time.

    A warm method now and then starts over (a stage change, a stall, no admissible candidate); such a tick is cold or
    takes another number of evaluations than most warm ones, and shows in `warm_share` alone.
    """
    if not entrant.settles:
        return [True] * len(entrant.ticks)
    usual = Counter(tick.nfe for tick in entrant.ticks if tick.warm).most_common(1)
    return [tick.warm and tick.nfe == usual[0][0] for tick in entrant.ticks]


def method_row(entrant: Entrant, peak_gflop_s: float, speedup_vs_released: float | None = None) -> dict[str, Any]:
    """One method: its tick and the parts of it, work done, floor; only settled ticks."""
    chosen = settled(entrant)
    ticks = [tick for tick, counts in zip(entrant.ticks, chosen, strict=True) if counts]
    return {
        "method": entrant.name,
        **_cost(entrant, ticks or entrant.ticks, peak_gflop_s),
        "speedup_vs_vls_released": speedup_vs_released,
        "warm_share": round(sum(tick.warm for tick in entrant.ticks) / len(entrant.ticks), 3),
    }


def method_rows(entrants: Sequence[Entrant], peak_gflop_s: float, seed: int) -> list[dict[str, Any]]:
    """One row for each method that was measured, each against the released algorithm on the same observations."""
    released = next(entrant for entrant in entrants if entrant.name == RELEASED)
    rows = []
    for entrant in entrants:
        if entrant.ticks:
            found = _paired(entrant, released, seed)
            rows.append(method_row(entrant, peak_gflop_s, found.ratio if found is not None else None))
    return rows


def sweep_row(point: SweepPoint, peak_gflop_s: float) -> dict[str, Any]:
    """One point of a sweep."""
    entrant = point.entrant
    return {
        "sweep": point.sweep,
        "value": point.value,
        **_cost(entrant, entrant.ticks, peak_gflop_s),
    }


def around_rows(trial: LiveTrial) -> dict[str, Any]:
    """The parts of a tick outside the pilot, the same for every method."""
    return {
        "perception": asdict(spread([sight.perception_ms for sight in trial.sights])),
        "message": asdict(spread([delivery.message_ms for delivery in trial.deliveries])),
        "governor": asdict(spread([delivery.governor_ms for delivery in trial.deliveries])),
    }


def chain_row(trial: LiveTrial) -> dict[str, Any]:
    """Picture to accepted chunk by the driving method, one sum per observation."""
    parts = zip(trial.sights, trial.entrants[0].ticks, trial.deliveries, strict=False)
    return asdict(
        spread(
            [
                sight.perception_ms + tick.durations_ms["total"] + delivery.message_ms + delivery.governor_ms
                for sight, tick, delivery in parts
            ]
        )
    )


def ratios(entrants: Sequence[Entrant], seed: int) -> dict[str, dict[str, Any]]:
    """For ours warm and from noise: how many times longer the other methods take on the same observations."""
    by_name = {entrant.name: entrant for entrant in entrants}
    found: dict[str, dict[str, Any]] = {key: {} for key in RATIOS}
    for key, slower in RATIOS.items():
        for ours in (OURS, OURS_COLD):
            ratio = _paired(by_name[ours], by_name[slower], seed)
            if ratio is not None:
                found[key][ours] = asdict(ratio)
    return found


def _paired(ours: Entrant, other: Entrant, seed: int) -> Speedup | None:
    """None when no observation was settled for ours, as after an early interruption."""
    pairs = [
        (mine.durations_ms["total"], theirs.durations_ms["total"])
        for mine, theirs, counts in zip(ours.ticks, other.ticks, settled(ours), strict=False)
        if counts
    ]
    return speedup([mine for mine, _ in pairs], [theirs for _, theirs in pairs], seed) if pairs else None


def _cost(entrant: Entrant, ticks: Sequence[Telemetry], peak_gflop_s: float) -> dict[str, Any]:
    flop = flop_per_evaluation(entrant.policy, entrant.settings.count)
    evaluations = float(np.mean([tick.nfe for tick in ticks]))
    fastest_ms = floor_ms(flop, evaluations, peak_gflop_s)
    network_ms = float(np.median([tick.durations_ms["denoise"] for tick in ticks]))
    parts_ms = _parts(ticks)
    return {
        "k": entrant.settings.count,
        "steps": entrant.steps,
        "parameters": parameter_count(entrant.policy.network),
        "tick_ms_p50": parts_ms["tick"]["p50"],
        "tick_ms_p95": parts_ms["tick"]["p95"],
        "nfe": round(evaluations, 2),
        "network_rows": round(float(np.mean([tick.network_rows for tick in ticks])), 1),
        "parts_ms": parts_ms,
        "gflop_per_evaluation": round(flop / 1e9, 5),
        "floor_ms": round(fastest_ms, 4),
        "share_of_floor": round(fastest_ms / network_ms, 4) if network_ms else None,
    }


def _parts(ticks: Sequence[Telemetry]) -> dict[str, Any]:
    """Percentiles per section of the pilot's stopwatch; what no section claims is `other`."""
    names = [name for name in ticks[0].durations_ms if name != "total"]
    columns = {NAMES.get(name, name): [tick.durations_ms[name] for tick in ticks] for name in names}
    totals = [tick.durations_ms["total"] for tick in ticks]
    columns["other"] = [total - sum(column[i] for column in columns.values()) for i, total in enumerate(totals)]
    columns["tick"] = totals
    return {name: asdict(spread(column)) for name, column in columns.items()}
