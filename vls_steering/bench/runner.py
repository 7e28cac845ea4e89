"""Runs a suite: parallel over processes, resumable, one JSON per run with everything needed to repeat it."""

from __future__ import annotations

import json
import os
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from vls_steering import __version__
from vls_steering.bench.episode import EpisodeResult, EpisodeRunner, EpisodeSpec
from vls_steering.bench.machine import describe_machine
from vls_steering.bench.progress import Progress
from vls_steering.bench.statistics import success_rate
from vls_steering.bench.suites import Suite, Task, suite
from vls_steering.core.errors import ConfigurationError
from vls_steering.policies import load_policy
from vls_steering.sim.oracle import Oracle
from vls_steering.sim.scenes import draw_layout
from vls_steering.steering.presets import preset


@dataclass(frozen=True)
class BenchOptions:
    """One run of a success benchmark."""

    suite: str
    out: Path
    policy: Path
    episodes: int
    seed: int
    methods: tuple[str, ...]
    jobs: int = 1
    privileged: bool = False
    resume: bool = False


@dataclass(frozen=True)
class EpisodeKey:
    """One cell of the table, one seed."""

    task: str
    method: str
    seed: int


def run_bench(options: BenchOptions) -> dict[str, Any]:
    """Run every episode that is not done yet and write `options.out`; returns what was written."""
    chosen = suite(options.suite)
    methods = options.methods or chosen.methods
    for method in methods:
        preset(method)
    # By seed first: an interrupted run has complete pairs of methods.
    keys = [
        EpisodeKey(task.name, method, options.seed + index)
        for index in range(options.episodes)
        for task in chosen.tasks
        for method in methods
    ]
    log_path = options.out.with_suffix(".episodes.jsonl")
    log_path.parent.mkdir(parents=True, exist_ok=True)
    if not options.resume:
        log_path.unlink(missing_ok=True)
    results = _read_log(log_path, options)
    todo = [key for key in keys if key not in results]
    with Progress(f"bench {options.suite}", len(keys), done=len(keys) - len(todo)) as progress:
        for key, result in _run_all(options, todo):
            results[key] = result
            _append(log_path, key, result, options)
            progress.advance(f"{key.method}: {key.task}", ok=result["success"])
    report = {
        "bench": options.suite,
        "config": _config(options, methods),
        "version": __version__,
        "machine": describe_machine(),
        "rows": [
            _row(chosen, task, method, [results[k] for k in keys if (k.task, k.method) == (task.name, method)])
            for task in chosen.tasks
            for method in methods
        ],
    }
    options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return report


def _run_all(options: BenchOptions, keys: list[EpisodeKey]) -> Iterator[tuple[EpisodeKey, dict[str, Any]]]:
    if options.jobs <= 1:
        for key in keys:
            yield key, _run_episode(options, key)
        return
    # A forked child would inherit the parent's threads and OpenGL state.
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        pending = {pool.submit(_run_episode, options, key): key for key in keys}
        for future in as_completed(pending):
            yield pending[future], future.result()


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


@cache
def _runner(policy: Path) -> EpisodeRunner:
    """One world, rig and policy a process."""
    _one_thread()
    return EpisodeRunner(load_policy(policy), draw_layout("play", 0))


def _run_episode(options: BenchOptions, key: EpisodeKey) -> dict[str, Any]:
    """A crash is a failed episode with its traceback, never a missing one."""
    task = next(t for t in suite(options.suite).tasks if t.name == key.task)
    try:
        runner = _runner(options.policy)
        layout = Oracle(runner.world).draw_solvable(task.scene, key.seed, task.drawn_for())
        spec = EpisodeSpec(
            layout=layout,
            # The base policy hears no instruction: its settings would ignore the program anyway.
            instruction=task.instruction if preset(key.method).steers else None,
            goal=task.goal,
            steering=preset(key.method),
            seed=key.seed,
            limit_s=task.limit_s,
            privileged=options.privileged,
        )
        return _summary(runner.run(spec))
    except Exception:  # noqa: BLE001 - whatever breaks must stay in the denominator
        return {"success": False, "crash": traceback.format_exc(), "collisions": 0, "completed": []}


def _summary(result: EpisodeResult) -> dict[str, Any]:
    summary = asdict(result)
    summary["tick_ms"] = [round(value, 2) for value in result.tick_ms]
    return summary


def _row(chosen: Suite, task: Task, method: str, episodes: list[dict[str, Any]]) -> dict[str, Any]:
    ticks = np.concatenate([np.array(e.get("tick_ms", []), dtype=float) for e in episodes] or [np.zeros(0)])
    rows = np.concatenate([np.array(e.get("network_rows", []), dtype=float) for e in episodes] or [np.zeros(0)])
    times = [e["seconds"] for e in episodes if e["success"]]
    first = Counter(e["completed"][0] for e in episodes if e["completed"])
    return {
        "suite": chosen.name,
        "task": task.name,
        "instruction": task.instruction or "",
        "shift": task.shift,
        "method": method,
        **asdict(success_rate([e["success"] for e in episodes])),
        "collisions": sum(e["collisions"] for e in episodes),
        "tick_ms_p50": _percentile(ticks, 50),
        "tick_ms_p95": _percentile(ticks, 95),
        "rows_per_tick": round(float(rows.mean()), 1) if rows.size else None,
        "seconds_to_success_p50": round(float(np.median(times)), 1) if times else None,
        "refused": sum(bool(e.get("refusal")) for e in episodes),
        "stopped": sum(bool(e.get("stop_reason")) for e in episodes),
        "crashed": sum("crash" in e for e in episodes),
        "chunks_rejected": sum(e.get("rejected", 0) for e in episodes),
        "first_skill": dict(first.most_common()),
    }


def _percentile(values: np.ndarray, percent: float) -> float | None:
    return round(float(np.percentile(values, percent)), 2) if values.size else None


def _config(options: BenchOptions, methods: tuple[str, ...]) -> dict[str, Any]:
    return {
        "episodes": options.episodes,
        "seed": options.seed,
        "methods": list(methods),
        "clock": "paused",
        "perception": "privileged" if options.privileged else "cameras",
        "policy": options.policy.name,
        "jobs": options.jobs,
    }


def _identity(options: BenchOptions) -> dict[str, Any]:
    return {"suite": options.suite, "privileged": options.privileged, "policy": options.policy.name}


def _append(path: Path, key: EpisodeKey, result: dict[str, Any], options: BenchOptions) -> None:
    with path.open("a", encoding="utf-8") as log:
        log.write(json.dumps({"key": asdict(key), "run": _identity(options), "result": result}) + "\n")
        log.flush()
        os.fsync(log.fileno())


def _read_log(path: Path, options: BenchOptions) -> dict[EpisodeKey, dict[str, Any]]:
    """Episodes of an interrupted run; a torn last line is dropped."""
    results: dict[EpisodeKey, dict[str, Any]] = {}
    if not path.exists():
        return results
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if entry["run"] != _identity(options):
            raise ConfigurationError(f"{path} belongs to another run", "Choose another --out or drop --resume")
        results[EpisodeKey(**entry["key"])] = entry["result"]
    return results
