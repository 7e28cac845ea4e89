"""`vls bench graph-latency`: the tick inside the running node graph, at real time, as the policy node reports it."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from vls_steering.bench.contrast import Prologue
from vls_steering.bench.demo_display import Display
from vls_steering.bench.latency import INSTRUCTION, SCENE
from vls_steering.bench.latency_graph import GraphTick, graph_summary
from vls_steering.bench.provenance import measured, steering_config
from vls_steering.bench.score import goal_of
from vls_steering.bench.summary import percentiles
from vls_steering.core.config import load_yaml, parse_settings
from vls_steering.core.errors import ExitCode, VlsError
from vls_steering.core.files import check_writable
from vls_steering.nodes import topics
from vls_steering.nodes.conversions import stamp_seconds
from vls_steering.nodes.demo import isolate, terminated_like_interrupted
from vls_steering.nodes.demo_options import DemoOptions, write_parameters
from vls_steering.nodes.demo_task import run_tasks
from vls_steering.nodes.picture_age import Pictures, camera_to_set_point_ms
from vls_steering.nodes.policy import PolicyNodeSettings
from vls_steering.nodes.topic_log import Entry
from vls_steering.policies import open_policy

REAL_TIME = 1.0
# One task lasts seconds; these can follow one another for as long as it takes, whether they succeed or not.
INSTRUCTIONS = (INSTRUCTION, "put the green cylinder on the white plate but stay clear of the purple box")
# Fields of SteeringStatus -> parts of the report.
PARTS = {
    "encode_ms": "encode",
    "denoise_ms": "denoise",
    "guide_ms": "reward gradient",
    "resample_ms": "resample",
    "select_ms": "select",
    "tick_ms": "tick",
}


@dataclass(frozen=True)
class GraphLatencyOptions:
    """One run of the node graph under the clock."""

    out: Path
    policy: Path
    seed: int = 7
    seconds: float = 60.0  # wall time of tasks, at least


def run_graph_latency(options: GraphLatencyOptions) -> ExitCode:
    """Bring the node set up in simulation, keep it busy, write what it reported to `options.out`.

    Raises ConfigurationError before anything starts.  A run that ends early (Ctrl-C, a safety stop) still writes what
    it has, with `complete` false, and its exit code says why.
    """
    check_writable(options.out)
    demo = DemoOptions(INSTRUCTION, SCENE, options.seed, policy=options.policy)
    demo.check()
    folder = demo.open_folder()
    policy = open_policy(demo.policy_file)
    prologue = Prologue(policy, SCENE, options.seed, goal_of(INSTRUCTION))
    try:
        layout = prologue.draw()
    finally:
        prologue.close()
    deployment = write_parameters(demo, layout, REAL_TIME, folder)
    isolate(folder / "logs")
    with terminated_like_interrupted():
        end = run_tasks(instructions(options.seconds), deployment, folder / "logs", Display())
    parameters = load_yaml(deployment.parameter_file)["/**/policy"]["ros__parameters"]
    settings = parse_settings(PolicyNodeSettings, parameters, str(deployment.parameter_file))
    ticks = steered_ticks(end.entries)
    if not ticks:
        raise VlsError(f"the graph reported no steered tick: {end.message}", f"See {folder / 'logs'}")
    complete = end.exit_code not in (ExitCode.INTERRUPTED, ExitCode.SAFETY_STOP)
    config = {
        "seconds": options.seconds,
        "seed": options.seed,
        "scene": SCENE,
        "instructions": list(INSTRUCTIONS),
        "policy": demo.policy_file.name,
        "policy_sha256": policy.sha256,
        "preset": settings.preset,
        "steering": steering_config({settings.preset: settings.steering_of(policy.sha256)}),
        "threads": settings.threads,
        "real_time_factor": REAL_TIME,
    }
    report = {
        **measured("graph-latency", config),
        "complete": complete,
        "message": end.message,
        **graph_summary(ticks, set_point_times_s(end.entries), settings.tick_period_s),
        "camera_to_set_point_ms": percentiles(camera_to_set_point_ms(end.entries)),
    }
    options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    _print(report)
    return ExitCode.SUCCESS if complete else end.exit_code


def instructions(seconds: float) -> Iterator[str]:
    """The instructions in turns until `seconds` of wall time after the first was asked for."""
    began_s = time.monotonic()
    for instruction in itertools.cycle(INSTRUCTIONS):
        yield instruction
        if time.monotonic() - began_s >= seconds:
            return


def steered_ticks(entries: Sequence[Entry]) -> list[GraphTick]:
    """The ticks in which the sampler ran for a program, in order of arrival."""
    found = []
    pictures = Pictures.of(entries)
    for entry in entries:
        if entry.topic is not topics.STEERING_STATUS:
            continue
        status = entry.message()
        picture_s = pictures.planned_from(status, entry.received_ns)
        if status.program_sha256 and status.nfe and picture_s is not None:
            found.append(_tick(entry.received_ns * 1e-9, status, picture_s))
    return found


def set_point_times_s(entries: Sequence[Entry]) -> list[float]:
    """Wall times at which set-points arrived."""
    return [entry.received_ns * 1e-9 for entry in entries if entry.topic is topics.SET_POINT]


def _tick(received_s: float, status: Any, picture_s: float) -> GraphTick:
    stamp_s = stamp_seconds(status.header.stamp)
    return GraphTick(
        received_s=received_s,
        stamp_s=stamp_s,
        warm=status.warm,
        nfe=status.nfe,
        network_rows=status.network_rows,
        parts_ms={part: getattr(status, name) for name, part in PARTS.items()},
        # The stamp is of the joint state that the tick began with; the graph runs at real time.
        picture_age_ms=1e3 * (stamp_s - picture_s) + status.observation_age_ms + status.tick_ms,
        deadline_misses=status.deadline_misses,
    )


def _print(report: dict[str, Any]) -> None:
    title = (
        f"{report['ticks']} steered ticks, {report['warm_share']:.0%} warm, "
        f"{report['deadline_misses']} over {report['tick_period_ms']:.0f} ms"
    )
    table = Table(title=f"{title}; ms")
    for column in ("ticks", "part", "p50", "p95", "p99"):
        table.add_column(column)
    for row in report["rows"]:
        table.add_row(row["ticks"], row["part"], *(f"{row[name]:.1f}" for name in ("p50", "p95", "p99")))
    Console().print(table)
