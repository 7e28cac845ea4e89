"""What the running node graph said about its own pace, as percentiles; the recording is the nodes' business."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vls_steering.bench.latency_statistics import spread


@dataclass(frozen=True)
class GraphTick:
    """One steered tick as the policy node told it."""

    received_s: float  # wall clock
    stamp_s: float  # clock of the graph
    warm: bool
    nfe: int
    network_rows: int
    parts_ms: Mapping[str, float]  # with the whole tick under "tick"
    picture_age_ms: float  # of what the keypoints were seen in, when the chunk went out
    deadline_misses: int  # since activation


def graph_summary(ticks: Sequence[GraphTick], set_points_s: Sequence[float], period_s: float) -> dict[str, Any]:
    """Percentiles of a run.

    `set_points_s` are the wall times at which the executor's set-points arrived, `period_s` the tick period.  Raises
    ValueError without ticks.
    """
    warm = [tick for tick in ticks if tick.warm]
    cold = [tick for tick in ticks if not tick.warm]
    wall_s = ticks[-1].received_s - ticks[0].received_s if ticks else 0.0
    kinds = {"all": ticks, "warm": warm, "cold": cold}
    return {
        "rows": [row for kind, chosen in kinds.items() if chosen or kind == "all" for row in _rows(kind, chosen)],
        "ticks": len(ticks),
        "k": sorted({tick.network_rows // tick.nfe for tick in ticks}),
        "warm_share": round(len(warm) / max(len(ticks), 1), 3),
        "tick_period_ms": 1e3 * period_s,
        # The count of the first tick may be from before the recording.
        "deadline_misses": sum(tick.parts_ms["tick"] > 1e3 * period_s for tick in ticks),
        "deadline_misses_reported": ticks[-1].deadline_misses if ticks else 0,
        "real_time_factor": round((ticks[-1].stamp_s - ticks[0].stamp_s) / wall_s, 3) if wall_s > 0 else None,
        "picture_age_ms": asdict(spread([tick.picture_age_ms for tick in ticks])),
        "set_point_interval_ms": _intervals_ms(set_points_s),
    }


def _rows(kind: str, ticks: Sequence[GraphTick]) -> list[dict[str, Any]]:
    if not ticks:
        raise ValueError("the graph reported no steered tick")
    return [
        {"ticks": kind, "part": part, "unit": "ms", **asdict(spread([tick.parts_ms[part] for tick in ticks]))}
        for part in ticks[0].parts_ms
    ]


def _intervals_ms(times_s: Sequence[float]) -> dict[str, Any] | None:
    """Jitter of the control loop as a subscriber sees it."""
    return asdict(spread(1e3 * np.diff(times_s))) if len(times_s) > 1 else None
