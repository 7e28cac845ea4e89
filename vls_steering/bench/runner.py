"""Runs a suite: parallel over processes, resumable, one JSON per run with everything needed to repeat it."""

from __future__ import annotations

import json
import traceback
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vls_steering.bench.clock import Clock
from vls_steering.bench.episode import EpisodeSpec
from vls_steering.bench.journal import Journal
from vls_steering.bench.pace import TICK_S
from vls_steering.bench.progress import Progress
from vls_steering.bench.provenance import commit, commits_of, measured, steering_config, steering_digest
from vls_steering.bench.seeds import Seeds
from vls_steering.bench.spread import spread, stage
from vls_steering.bench.suites import PLAN_EVERY_S, suite
from vls_steering.bench.tables import EpisodeKey, Episodes, report_rows
from vls_steering.core.files import check_writable
from vls_steering.policies import open_policy
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
    plan_every_s: float | None = None  # of every method; None: as each was published

    def period_s(self, method: str) -> float:
        """Time from one plan of a method to the next."""
        if self.plan_every_s is not None:
            return self.plan_every_s
        return PLAN_EVERY_S.get(method, TICK_S)


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
    code, sha256 = commit(), open_policy(options.policy).sha256
    journal = Journal(options.out.with_suffix(".episodes.jsonl"), partial(_identity, options, sha256), EpisodeKey)
    if not options.resume:
        journal.clear()
    results = journal.read()
    todo = [key for key in keys if key not in results]
    with Progress(f"bench {options.suite}", len(keys), done=len(keys) - len(todo)) as progress:
        for key, result in spread(partial(_run_episode, options), todo, options.jobs):
            results[key] = {**result, "commit": code}
            journal.append(key, results[key])
            progress.advance(f"{key.method}: {key.task}", ok=result["success"])
    episodes = Episodes(chosen, methods, {key: results[key] for key in keys})
    report = {
        **measured(options.suite, {**_run_identity(options, sha256), **_config(options, methods)}),
        "commit": commits_of(episodes.results.values()),
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
            pace=options.clock.pace(options.period_s(key.method), stops=key.method in PLAN_EVERY_S),
        )
        return asdict(runner.run(spec))
    except Exception:  # noqa: BLE001 - whatever breaks must stay in the denominator
        crash = traceback.format_exc()
        return {"success": False, "ending": "crash", "crash": crash, "collisions": 0, "completed": []}


def _identity(options: BenchOptions, policy_sha256: str, key: EpisodeKey) -> dict[str, Any]:
    """What must not differ between the episodes of one method in one report."""
    return {
        **_run_identity(options, policy_sha256),
        "steering": steering_digest(preset(key.method)),
        "plan_every_s": options.period_s(key.method),
    }


def _run_identity(options: BenchOptions, policy_sha256: str) -> dict[str, Any]:
    """What must not differ between any episodes of one report."""
    return {
        "suite": options.suite,
        "clock": options.clock.name,
        "perception": "privileged" if options.privileged else "cameras",
        "policy": options.policy.name,
        "policy_sha256": policy_sha256,
    }


def _config(options: BenchOptions, methods: tuple[str, ...]) -> dict[str, Any]:
    return {
        "episodes": len(options.seeds.values),
        "seeds": options.seeds.source,
        "seed": options.seeds.values[0],
        "methods": list(methods),
        "plan_every_s": {method: options.period_s(method) for method in methods},
        "plan_every_given_s": options.plan_every_s,
        "steering": steering_config({method: preset(method) for method in methods}),
        "jobs": options.jobs,
    }
