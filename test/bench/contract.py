"""The files of `vls bench` as other programs read them: the keys of each benchmark's rows and the kind of their values.

More keys may stand beside these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

HEAD = {"bench": str, "config": dict, "version": str, "machine": dict, "rows": list}
_NUMBER = (int, float)
_UNKNOWN = (int, float, type(None))  # nothing may have succeeded, or nothing was measured
_RATE = {"n": int, "successes": int, "wilson_low": _NUMBER, "wilson_high": _NUMBER}
_CELL = {"suite": str, "task": str, "shift": str, "method": str}
_TICKS = {"tick_ms_p50": _UNKNOWN, "tick_ms_p95": _UNKNOWN, "rows_per_tick": _UNKNOWN}
_SUCCESS = {**_CELL, **_RATE, "collisions": int, **_TICKS}
_METRIC = {"metric": str, "value": _UNKNOWN, "unit": str, "n": int}
ROWS: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("quick", "play", "shift", "undirected"), _SUCCESS),
    "grasp": {**_CELL, **_RATE},
    "perception": _METRIC,
    "verifier": _METRIC,
    "latency": {
        "method": str,
        "k": int,
        "steps": int,
        "parameters": int,
        "tick_ms_p50": _NUMBER,
        "tick_ms_p95": _NUMBER,
        "speedup_vs_vls_released": _UNKNOWN,  # an interrupted run
    },
    "graph-latency": {"ticks": str, "part": str, "unit": str, "n": int, "p50": _NUMBER, "p95": _NUMBER, "p99": _NUMBER},
    "faults": {"fault": str, "ended_in": str, "reason": str, "seconds": _NUMBER, "ok": bool},
    # The reason of a stop is a value, too.
    "control": {"metric": str, "value": (int, float, str), "unit": str, "load": str},
    "tracking": {"segment_every": int, "error_median_mm": _NUMBER, "error_p95_mm": _NUMBER, "frames": int},
    "gate-fuzz": {"task": str, "accepted": int, "rejected": int, "broke": int, "slowest_s": _NUMBER},
    "reward-cost": {"task": str, "particles": int, "horizon": int, "compiled_ms": _NUMBER},
}


def faults_of(report: Mapping[str, Any]) -> list[str]:
    """What of the contract a report breaks, in words; empty when nothing."""
    faults = _faults("file", report, HEAD)
    if not faults and not report["rows"]:
        faults.append("file: no rows")
    for number, row in enumerate(report.get("rows", ())):
        faults += _faults(f"row {number}", row, ROWS[report["bench"]])
    return faults


def _faults(where: str, values: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    faults = [f"{where}: no {key}" for key in wanted if key not in values]
    for key in set(wanted) & set(values):
        value = values[key]
        if not isinstance(value, wanted[key]) or (isinstance(value, float) and not math.isfinite(value)):
            faults.append(f"{where}: {key} is {value!r}")
    return faults
