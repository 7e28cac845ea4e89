"""`vls bench NAME`: one entry for every benchmark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vls_steering.bench.clock import clock
from vls_steering.bench.options import TAKES
from vls_steering.bench.progress import Progress
from vls_steering.bench.rows import write_rows
from vls_steering.bench.runner import BenchOptions, run_bench
from vls_steering.bench.seeds import listed_seeds, seeds_from
from vls_steering.bench.show import print_success
from vls_steering.bench.statistics import success_rate
from vls_steering.bench.suites import SUITES
from vls_steering.core.errors import ConfigurationError
from vls_steering.policies.shipped import SHIPPED_POLICY


@dataclass(frozen=True)
class BenchRequest:
    """The command line of `vls bench`."""

    name: str
    out: Path
    episodes: int
    seed: int | None  # None: a committed list
    seeds: str
    methods: tuple[str, ...]
    clock: str
    time_scale: float
    jobs: int
    resume: bool
    privileged: bool
    policy: Path | None
    plan_every: float | None = None  # s


def bench_command(request: BenchRequest) -> None:
    """Run a benchmark, write its JSON and print its table; raises ConfigurationError for an unknown one."""
    name, episodes, first = request.name, request.episodes, request.seed or 0
    if name in SUITES:
        print_success(run_bench(_success_options(request)))
    elif name == "grasp":
        write_rows(request.out, name, {"episodes": episodes, "seed": first}, grasp_rows(episodes, first))
    elif name == "verifier":
        from vls_steering.bench.verifier import PROGRAMS, verifier_rows

        with Progress("bench verifier", 2 * PROGRAMS) as progress:
            rows = verifier_rows(episodes, first, lambda task, ok: progress.advance(task, ok=ok))
        write_rows(request.out, name, {"mutants_per_program": episodes, "seed": first}, rows)
    elif name == "reward-cost":
        from vls_steering.bench.reward_cost import cost_rows

        write_rows(request.out, name, {"repeats": episodes, "seed": first}, cost_rows(episodes, first))
    elif name == "gate-fuzz":
        from vls_steering.bench.verifier_fuzz import REPORT_EVERY, drawn_keypoints, fuzz_rows

        with Progress("bench gate-fuzz", -(-episodes // REPORT_EVERY)) as progress:
            rows = fuzz_rows(episodes, first, drawn_keypoints(first), lambda task, ok: progress.advance(task, ok=ok))
        write_rows(request.out, name, {"inputs": episodes, "seed": first}, rows)
    else:
        raise ConfigurationError(f"there is no benchmark {name!r}", f"Choose one of: {', '.join(TAKES)}")


def _success_options(request: BenchRequest) -> BenchOptions:
    if request.seed is None:
        seeds = listed_seeds(request.seeds, request.episodes)
    else:
        seeds = seeds_from(request.seed, request.episodes)
    return BenchOptions(
        suite=request.name,
        out=request.out,
        policy=request.policy or SHIPPED_POLICY,
        seeds=seeds,
        methods=request.methods,
        clock=clock(request.clock, request.time_scale),
        jobs=request.jobs,
        privileged=request.privileged,
        resume=request.resume,
        plan_every_s=request.plan_every,
    )


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
