"""Quantiles and histograms of what the control loop's bench measured; the long tail is what matters to an arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from vls_steering.core.arrays import FloatArray

QUANTILES = {"p50": 50.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}


def quantile_rows(name: str, unit: str, load: str, values: Sequence[float]) -> list[dict[str, Any]]:
    """`metric, value, unit, load` for each quantile, and how many values there were; nothing for no values."""
    if not values:
        return []
    rows = [
        {
            "metric": f"{name}_{label}",
            "value": round(float(np.percentile(values, share)), 4),
            "unit": unit,
            "load": load,
        }
        for label, share in QUANTILES.items()
    ]
    return [*rows, {"metric": f"{name}_n", "value": len(values), "unit": "1", "load": load}]


def histogram(name: str, unit: str, load: str, values: Sequence[float], bin_width: float) -> dict[str, Any]:
    """How many values lie in each bin that is not empty: `bins` are pairs of lower edge and count, ascending."""
    numbers, counts = np.unique(np.floor(np.asarray(values) / bin_width), return_counts=True)
    bins = [[round(float(number) * bin_width, 6), int(count)] for number, count in zip(numbers, counts, strict=True)]
    return {"metric": name, "unit": unit, "load": load, "bin_width": bin_width, "bins": bins}


def lag_s(sent: FloatArray, measured: FloatArray, longest_s: float = 0.3, step_s: float = 0.002) -> float:
    """The delay that explains best how `measured` follows `sent`; (N, 1 + D) rows each, time first, s."""
    delays = np.arange(0.0, longest_s, step_s)
    times = measured[:, 0]
    inside = (times > sent[0, 0] + longest_s) & (times < sent[-1, 0])
    if not inside.any():
        return float("nan")

    def miss(delay_s: float) -> float:
        past = times[inside] - delay_s
        rows = [np.interp(past, sent[:, 0], sent[:, 1 + d]) for d in range(sent.shape[1] - 1)]
        return float(((np.array(rows).T - measured[inside, 1:]) ** 2).sum())

    return float(delays[int(np.argmin([miss(delay) for delay in delays]))])
