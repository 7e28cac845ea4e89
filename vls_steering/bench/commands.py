"""`vls bench NAME`: one entry for every benchmark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from vls_steering import __version__
from vls_steering.bench.machine import describe_machine
from vls_steering.bench.progress import Progress
from vls_steering.bench.runner import BenchOptions, run_bench
from vls_steering.bench.statistics import success_rate
from vls_steering.bench.suites import SUITES
from vls_steering.core.errors import ConfigurationError
from vls_steering.policies.shipped import SHIPPED_POLICY

BENCHES = (*SUITES, "grasp", "perception", "latency", "graph-latency")


def bench_command(
    name: str,
    out: Path,
    episodes: int,
    seed: int,
    methods: tuple[str, ...],
    jobs: int,
    resume: bool,
    privileged: bool,
    policy: Path | None,
) -> None:
    """Run the benchmark `name`, write its JSON and print its table; raises ConfigurationError for an unknown one."""
    if name in SUITES:
        options = BenchOptions(
            name, out, policy or SHIPPED_POLICY, episodes, seed, methods, jobs, privileged=privileged, resume=resume
        )
        _print_success(run_bench(options))
    elif name == "grasp":
        _write(out, name, {"episodes": episodes, "seed": seed}, grasp_rows(episodes, seed))
    elif name == "perception":
        from vls_steering.bench.perception import perception_rows

        _write(out, name, {"scenes": episodes, "seed": seed}, perception_rows(episodes, seed))
    else:
        raise ConfigurationError(f"there is no benchmark {name!r}", f"Choose one of: {', '.join(BENCHES)}")


def grasp_rows(trials: int, seed: int) -> list[dict[str, Any]]:
    """One row an object: scripted pick, lift and shake."""
    from vls_steering.robots.kinematics import ArmKinematics
    from vls_steering.sim.grasp_trials import GraspTrials
    from vls_steering.sim.objects import GRASPABLES
    from vls_steering.sim.scenes import draw_layout
    from vls_steering.sim.world import World

    world = GraspTrials(World(draw_layout("play", 0)), ArmKinematics())
    rows = []
    with Progress("bench grasp", trials * len(GRASPABLES)) as progress:
        for name in GRASPABLES:
            outcomes = []
            for trial in range(trials):
                outcomes.append(world.held_after_shaking(name, seed + trial))
                progress.advance(name, ok=outcomes[-1])
            rate = success_rate(outcomes)
            rows.append({"suite": "grasp", "task": name, "shift": "shake", "method": "scripted", **vars(rate)})
    return rows


def _write(out: Path, name: str, config: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    report = {
        "bench": name,
        "config": config,
        "version": __version__,
        "machine": describe_machine(),
        "rows": rows,
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    table = Table(title=f"{name} ({out})")
    for column in rows[0]:
        table.add_column(column)
    for row in rows:
        table.add_row(*(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()))
    Console().print(table)


def _print_success(report: dict[str, Any]) -> None:
    config = report["config"]
    table = Table(title=f"{report['bench']}: {config['episodes']} episodes from seed {config['seed']}, "
                  f"clock {config['clock']}, perception {config['perception']}")  # fmt: skip
    for column in ("task", "method", "success", "95 % interval", "touched", "tick p50/p95 ms", "rows/tick", "s"):
        table.add_column(column)
    for row in report["rows"]:
        table.add_row(
            row["task"],
            row["method"],
            f"{row['successes']}/{row['n']}",
            f"{row['wilson_low']:.2f} .. {row['wilson_high']:.2f}",
            str(row["collisions"]),
            f"{row['tick_ms_p50']} / {row['tick_ms_p95']}",
            str(row["rows_per_tick"]),
            str(row["seconds_to_success_p50"]),
        )
    Console().print(table)
