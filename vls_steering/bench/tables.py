"""From logged episodes to the rows of a report: per task, per group, per method, and methods against each other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vls_steering.bench.statistics import paired_difference, success_rate
from vls_steering.bench.suites import Suite, Task

Result = Mapping[str, Any]  # of one episode, as logged
REFERENCE = "ours"


@dataclass(frozen=True)
class EpisodeKey:
    """One cell of the table, one seed."""

    task: str
    method: str
    seed: int


@dataclass(frozen=True)
class Episodes:
    """Everything that was run, in the order of its keys."""

    suite: Suite
    methods: tuple[str, ...]
    results: Mapping[EpisodeKey, Result]

    def of(self, method: str, tasks: Sequence[Task] | None = None) -> list[Result]:
        """One method's episodes; seeds and tasks come in the same order for every method."""
        names = {task.name for task in tasks or self.suite.tasks}
        return [result for key, result in self.results.items() if key.method == method and key.task in names]


def report_rows(episodes: Episodes) -> dict[str, Any]:
    """The tables of a report as plain JSON."""
    groups = _groups(episodes.suite)
    return {
        "rows": [
            {**_task_columns(episodes.suite, task), "method": method, **measures(episodes.of(method, [task]))}
            for task in episodes.suite.tasks
            for method in episodes.methods
            if episodes.of(method, [task])
        ],
        "groups": [
            {"group": group, "method": method, **measures(episodes.of(method, tasks))}
            for group, tasks in groups.items()
            for method in episodes.methods
            if episodes.of(method, tasks)
        ],
        "totals": [{"method": method, **measures(episodes.of(method))} for method in episodes.methods],
        "paired": _paired(episodes),
    }


def measures(results: Sequence[Result]) -> dict[str, Any]:
    """Figures of a set of episodes; whatever failed, was refused, timed out or crashed counts as a failure."""
    ticks, rows, delays = (_joined(results, name) for name in ("tick_ms", "network_rows", "delay_ms"))
    times = [r["seconds"] for r in results if r["success"]]
    first = Counter(r["completed"][0] for r in results if r["completed"])
    return {
        **asdict(success_rate([r["success"] for r in results])),
        "collisions": sum(r["collisions"] for r in results),
        "tick_ms_p50": _percentile(ticks, 50),
        "tick_ms_p95": _percentile(ticks, 95),
        "rows_per_tick": round(float(rows.mean()), 1) if rows.size else None,
        "seconds_to_success_p50": round(float(np.median(times)), 1) if times else None,
        "delay_ms_p95": _percentile(delays, 95),
        "interventions": sum(r.get("scaled", 0) + r.get("rejected", 0) for r in results),
        "chunks_rejected": sum(r.get("rejected", 0) for r in results),
        "holds": sum(r.get("holds", 0) for r in results),
        "refused": sum(bool(r.get("refusal")) for r in results),
        "stopped": sum(bool(r.get("stop_reason")) for r in results),
        "crashed": sum("crash" in r for r in results),
        "endings": dict(Counter(r["ending"] for r in results).most_common()),
        "first_skill": dict(first.most_common()),
    }


def _task_columns(suite: Suite, task: Task) -> dict[str, str]:
    return {"suite": suite.name, "task": task.name, "instruction": task.instruction or "", "shift": task.shift}


def _groups(suite: Suite) -> dict[str, list[Task]]:
    """Tasks by shift where there are shifts, else by the kind of skill, then by skill."""
    groups: dict[str, list[Task]] = {}
    shifted = any(task.shift != "none" for task in suite.tasks)
    for task in suite.tasks:
        kind = task.goal.kind.value if task.goal is not None else "any"
        groups.setdefault(task.shift if shifted else kind, []).append(task)
    for task in suite.tasks:
        groups.setdefault(str(task.goal or "any"), []).append(task)
    return groups


def _paired(episodes: Episodes) -> list[dict[str, Any]]:
    """`ours` against every other method: who solved what the other did not, and how long a tick takes in comparison."""
    if REFERENCE not in episodes.methods:
        return []
    ours = episodes.of(REFERENCE)
    ours_ms = _percentile(_joined(ours, "tick_ms"), 50)
    rows = []
    for method in episodes.methods:
        if method == REFERENCE:
            continue
        theirs = episodes.of(method)
        difference = paired_difference([r["success"] for r in ours], [r["success"] for r in theirs])
        theirs_ms = _percentile(_joined(theirs, "tick_ms"), 50)
        ratio = round(theirs_ms / ours_ms, 2) if theirs_ms and ours_ms else None
        rows.append({"against": method, **asdict(difference), "tick_ratio_p50": ratio})
    return rows


def _joined(results: Sequence[Result], name: str) -> np.ndarray:
    return np.concatenate([np.asarray(r.get(name, ()), dtype=float) for r in results] or [np.zeros(0)])


def _percentile(values: np.ndarray, percent: float) -> float | None:
    return round(float(np.percentile(values, percent)), 2) if values.size else None
