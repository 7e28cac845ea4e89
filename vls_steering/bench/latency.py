"""`vls bench latency`: what a tick costs, part by part, beside other methods on the same policy in the same run."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from vls_steering.bench.latency_cases import (
    COMPLETE,
    LARGE,
    OURS,
    QUICK,
    Grid,
    SweepPoint,
    from_noise,
    methods,
    sweep_points,
)
from vls_steering.bench.latency_chain import Chain
from vls_steering.bench.latency_device import STRATEGIES, device_rows, make_fixed_tick
from vls_steering.bench.latency_floor import matmul_peak_gflop_s
from vls_steering.bench.latency_report import RATIOS, around_rows, chain_row, method_rows, ratios, sweep_row
from vls_steering.bench.latency_trial import Episode, LiveTrial, replay
from vls_steering.bench.machine import describe_machine
from vls_steering.bench.progress import Progress
from vls_steering.bench.provenance import measured, steering_config
from vls_steering.core.files import check_writable
from vls_steering.policies import NetworkPolicy, load_policy
from vls_steering.policies.unet import parameter_count
from vls_steering.steering.presets import preset

SCENE = "obstacle"
INSTRUCTION = "pick up the green cylinder but stay clear of the purple box"
DEVICE_PARTICLES, DEVICE_ROUNDS = 16, 100
THREADS = 1  # as the policy node has: more slow small networks down


@dataclass(frozen=True)
class LatencyOptions:
    """One run of the latency benchmark."""

    out: Path
    policy: Path
    seed: int = 0
    quick: bool = False  # fewer observations and sweep points
    large: bool = False  # a 66 M network, too
    scene: str = SCENE
    instruction: str = INSTRUCTION

    @property
    def grid(self) -> Grid:
        grid = QUICK if self.quick else COMPLETE
        return replace(grid, networks=(*grid.networks, LARGE)) if self.large else grid


def latency_command(options: LatencyOptions) -> None:
    """Measure, write the JSON and print the methods' table."""
    _print(run_latency(options))


def run_latency(options: LatencyOptions) -> dict[str, Any]:
    """Measure and write `options.out`; returns what was written.

    Raises ConfigurationError for a policy or an output that cannot be used, before anything is measured.  Interrupted,
    it writes what was measured so far, with `complete` false, and passes the interruption on.
    """
    policy = load_policy(options.policy)
    check_writable(options.out)
    torch.set_num_threads(THREADS)
    chain = Chain(options.scene, options.instruction, options.seed)
    run = _Run(options, policy, LiveTrial(chain, methods(policy, options.seed)))
    try:
        run.measure()
    finally:
        chain.close()
        if run.trial.sights:
            options.out.write_text(json.dumps(run.report(), indent=1) + "\n", encoding="utf-8")
    return run.report()


@dataclass
class _Run:
    """What is measured and what has been so far."""

    options: LatencyOptions
    policy: NetworkPolicy
    trial: LiveTrial
    points: list[SweepPoint] = field(default_factory=list)
    device: list[dict[str, Any]] = field(default_factory=list)
    complete: bool = False

    def __post_init__(self) -> None:
        self._load = os.getloadavg()[0]  # what else ran when this began
        self._peak_gflop_s = matmul_peak_gflop_s("cpu")

    def measure(self) -> None:
        grid, seed = self.options.grid, self.options.seed
        with Progress("bench latency", grid.rounds + grid.sweep_rounds) as progress:
            self.trial.run(grid.rounds, lambda: progress.advance("methods", ok=True))
            episode = self._longest()
            self.points = sweep_points(self.policy, grid, episode.observations[0].keypoints.names, seed)
            entrants = [point.entrant for point in self.points]
            replay(entrants, episode, grid.sweep_rounds, lambda: progress.advance("sweeps", ok=True))
        if torch.cuda.is_available():
            self.device = self._on_device(episode)
        self.complete = True

    def report(self) -> dict[str, Any]:
        points = [point for point in self.points if point.entrant.ticks]
        return {
            **measured("latency", self._config()),
            "complete": self.complete,
            "machine": {
                **describe_machine(),
                "system": platform.platform(),
                "numpy": np.__version__,
                "threads": THREADS,
                "load_average": round(self._load, 2),
                "matmul_peak_gflop_s": round(self._peak_gflop_s, 1),
            },
            "around_ms": around_rows(self.trial),
            "picture_to_chunk_ms": chain_row(self.trial),
            "rows": method_rows(self.trial.entrants, self._peak_gflop_s, self.options.seed),
            **ratios(self.trial.entrants, self.options.seed),
            "sweeps": [sweep_row(point, self._peak_gflop_s) for point in points],
            "device": self.device,
        }

    def _on_device(self, episode: Episode) -> list[dict[str, Any]]:
        settings = from_noise(preset(OURS), particles=DEVICE_PARTICLES, steps=preset(OURS).warm_steps)
        tick = make_fixed_tick(self.policy, settings, episode.program, episode.observations[0], "cuda")
        return device_rows(tick, STRATEGIES, DEVICE_ROUNDS)

    def _longest(self) -> Episode:
        return max(self.trial.episodes, key=lambda episode: len(episode.observations))

    def _config(self) -> dict[str, Any]:
        options = self.options
        return {
            "seed": options.seed,
            "quick": options.quick,
            "large": options.large,
            "scene": options.scene,
            "instruction": options.instruction,
            "policy": {
                "name": self.policy.name,
                "sha256": self.policy.sha256,
                "parameters": parameter_count(self.policy.network),
            },
            "steering": steering_config({entrant.name: entrant.settings for entrant in self.trial.entrants}),
        }


def _print(report: dict[str, Any]) -> None:
    rows = report["rows"]
    table = Table(title="p50 / p95 ms")
    table.add_column("part")
    for row in rows:
        table.add_column(f"{row['method']}\nK {row['k']}, {row['nfe']:g} evaluations", justify="right")
    for part in rows[0]["parts_ms"]:
        table.add_row(part, *(_span(row["parts_ms"][part]) for row in rows))
    for part, figures in report["around_ms"].items():
        table.add_row(part, _span(figures), style="dim")
    table.add_row("picture to chunk", _span(report["picture_to_chunk_ms"]))
    table.add_row("share of the floor", *(f"{row['share_of_floor']:.2f}" for row in rows))
    console = Console()
    console.print(table)
    for key in RATIOS:
        for method, ratio in report[key].items():
            console.print(f"{key}, {method}: {ratio['ratio']} [{ratio['low']} .. {ratio['high']}]")


def _span(figures: dict[str, float]) -> str:
    return f"{figures['p50']:.1f} / {figures['p95']:.1f}"
