"""Runs a suite: parallel over processes, resumable, one JSON per run with everything needed to repeat it."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from vls_steering import __version__
from vls_steering.bench.clock import Clock
from vls_steering.bench.episode import EpisodeRunner, EpisodeSpec
from vls_steering.bench.machine import describe_machine
from vls_steering.bench.pace import TICK_S
from vls_steering.bench.progress import Progress
from vls_steering.bench.seeds import Seeds
from vls_steering.bench.suites import PLAN_EVERY_S, suite
from vls_steering.bench.tables import EpisodeKey, Episodes, report_rows
from vls_steering.core.errors import ConfigurationError
from vls_steering.policies import load_policy
from vls_steering.policies.checkpoint import load_card
from vls_steering.sim.oracle import Oracle
from vls_steering.sim.proven import ProvenLayouts, cache_folder
from vls_steering.sim.scenes import draw_layout
from vls_steering.steering.presets import preset


@dataclass(frozen=True)
class BenchOptions:
    """One run of a success benchmark."""

    suite: str
    out: Path
    policy: Path
    seeds: Seeds
    methods: tuple[str, ...]  # empty: the suite's
    clock: Clock
    jobs: int = 1
    privileged: bool = False
    resume: bool = False


def run_bench(options: BenchOptions) -> dict[str, Any]:
    """Run every episode that is not done yet and write `options.out`; returns what was written."""
    chosen = suite(options.suite)
    methods = options.methods or chosen.methods
    for method in methods:
        preset(method)
    # By seed first: an interrupted run has complete pairs of methods.
    dealt = chosen.deal(chosen.tasks, options.seeds.values)
    keys = [EpisodeKey(task.name, method, seed) for task, seed in dealt for method in methods]
    log_path = options.out.with_suffix(".episodes.jsonl")
    log_path.parent.mkdir(parents=True, exist_ok=True)
    if not options.resume:
        log_path.unlink(missing_ok=True)
    identity = _identity(options)
    results = _read_log(log_path, identity)
    todo = [key for key in keys if key not in results]
    with Progress(f"bench {options.suite}", len(keys), done=len(keys) - len(todo)) as progress:
        for key, result in _run_all(options, todo):
            results[key] = result
            _append(log_path, key, result, identity)
            progress.advance(f"{key.method}: {key.task}", ok=result["success"])
    episodes = Episodes(chosen, methods, {key: results[key] for key in keys})
    report = {
        "bench": options.suite,
        "config": {**identity, **_config(options, methods)},
        "version": __version__,
        "machine": describe_machine(),
        **report_rows(episodes),
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
def _stage(policy: Path) -> tuple[EpisodeRunner, ProvenLayouts]:
    """One world, rig and policy a process."""
    _one_thread()
    runner = EpisodeRunner(load_policy(policy), draw_layout("play", 0))
    return runner, ProvenLayouts(Oracle(runner.world), cache_folder())


def _run_episode(options: BenchOptions, key: EpisodeKey) -> dict[str, Any]:
    """A crash is a failed episode with its traceback, never a missing one."""
    task = suite(options.suite).task(key.task)
    try:
        runner, layouts = _stage(options.policy)
        spec = EpisodeSpec(
            layout=layouts.draw(task.scene, key.seed, task.drawn_for()),
            # The base policy hears no instruction: its settings would ignore the program anyway.
            instruction=task.instruction if preset(key.method).steers else None,
            goal=task.goal,
            steering=preset(key.method),
            seed=key.seed,
            limit_s=task.limit_s,
            privileged=options.privileged,
            clock=options.clock,
            pace=options.clock.pace(PLAN_EVERY_S.get(key.method)),
        )
        return asdict(runner.run(spec))
    except Exception:  # noqa: BLE001 - whatever breaks must stay in the denominator
        crash = traceback.format_exc()
        return {"success": False, "ending": "crash", "crash": crash, "collisions": 0, "completed": []}


def _identity(options: BenchOptions) -> dict[str, Any]:
    """What must not differ between the episodes of one report."""
    return {
        "suite": options.suite,
        "clock": options.clock.name,
        "perception": "privileged" if options.privileged else "cameras",
        "policy": options.policy.name,
        "policy_sha256": load_card(options.policy).sha256,
    }


def _config(options: BenchOptions, methods: tuple[str, ...]) -> dict[str, Any]:
    return {
        "episodes": len(options.seeds.values),
        "seeds": options.seeds.source,
        "seed": options.seeds.values[0],
        "methods": list(methods),
        "plan_every_s": {method: PLAN_EVERY_S.get(method, TICK_S) for method in methods},
        "jobs": options.jobs,
    }


def _append(path: Path, key: EpisodeKey, result: dict[str, Any], identity: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as log:
        log.write(json.dumps({"key": asdict(key), "run": identity, "result": result}) + "\n")
        log.flush()
        os.fsync(log.fileno())


def _read_log(path: Path, identity: dict[str, Any]) -> dict[EpisodeKey, dict[str, Any]]:
    """Episodes of an interrupted run; a torn last line is dropped."""
    results: dict[EpisodeKey, dict[str, Any]] = {}
    if not path.exists():
        return results
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue
        if entry["run"] != identity:
            raise ConfigurationError(f"{path} belongs to another run", "Choose another --out or drop --resume")
        results[EpisodeKey(**entry["key"])] = entry["result"]
    return results
