"""Runs a suite: parallel over processes, resumable, one JSON per run with everything needed to repeat it."""

from __future__ import annotations

import json
import traceback
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vls_steering import __version__
from vls_steering.bench.clock import Clock
from vls_steering.bench.episode import EpisodeSpec
from vls_steering.bench.journal import Journal
from vls_steering.bench.machine import describe_machine
from vls_steering.bench.pace import TICK_S
from vls_steering.bench.progress import Progress
from vls_steering.bench.seeds import Seeds
from vls_steering.bench.spread import spread, stage
from vls_steering.bench.suites import PLAN_EVERY_S, suite
from vls_steering.bench.tables import EpisodeKey, Episodes, report_rows
from vls_steering.core.files import check_writable
from vls_steering.policies.checkpoint import load_card
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
    """Run every episode that is not done yet and write `options.out`; returns what was written.

    Raises ConfigurationError for an unknown suite or method, or an output that cannot be written, before the first.
    """
    chosen = suite(options.suite)
    methods = options.methods or chosen.methods
    for method in methods:
        preset(method)
    check_writable(options.out)
    # By seed first: an interrupted run has complete pairs of methods.
    dealt = chosen.deal(chosen.tasks, options.seeds.values)
    keys = [EpisodeKey(task.name, method, seed) for task, seed in dealt for method in methods]
    identity = _identity(options)
    journal = Journal(options.out.with_suffix(".episodes.jsonl"), identity, EpisodeKey)
    if not options.resume:
        journal.clear()
    results = journal.read()
    todo = [key for key in keys if key not in results]
    with Progress(f"bench {options.suite}", len(keys), done=len(keys) - len(todo)) as progress:
        for key, result in spread(partial(_run_episode, options), todo, options.jobs):
            results[key] = result
            journal.append(key, result)
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


def _run_episode(options: BenchOptions, key: EpisodeKey) -> dict[str, Any]:
    """A crash is a failed episode with its traceback, never a missing one."""
    task = suite(options.suite).task(key.task)
    try:
        runner, layouts = stage(options.policy)
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
