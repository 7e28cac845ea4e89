"""`vls calibrate`: how many candidates, and how greedy a choice among them, a policy is worth."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from vls_steering import __version__
from vls_steering.bench.calibration import (
    SIGNIFICANT,
    Calibration,
    CurvePoint,
    SelectOverride,
    SteeringOverride,
    cheapest_as_good,
    save_calibration,
)
from vls_steering.bench.episode import EpisodeSpec
from vls_steering.bench.journal import Journal
from vls_steering.bench.machine import describe_machine
from vls_steering.bench.progress import Progress
from vls_steering.bench.provenance import commit, steering_config
from vls_steering.bench.seeds import listed_seeds
from vls_steering.bench.spread import spread, stage
from vls_steering.bench.statistics import paired_difference, success_rate
from vls_steering.bench.suites import suite
from vls_steering.core.files import check_writable
from vls_steering.policies import open_policy
from vls_steering.steering.presets import preset
from vls_steering.steering.settings import SteeringSettings

PARTICLES = (1, 2, 4, 8, 12, 16, 24)
TEMPERATURES = (0.0, 0.1, 0.3, 1.0)
SEEDS = "development"  # what is tuned here must not be judged on them


@dataclass(frozen=True)
class CalibrateOptions:
    """One calibration; keypoints are the simulator's, the clock is paused."""

    out: Path
    policy: Path
    suite: str = "shift"  # what every setting solves says nothing: quick is saturated
    preset: str = "ours"
    episodes: int = 100  # seeds of each setting, dealt out to the tasks as the suite does
    particles: tuple[int, ...] = PARTICLES
    temperatures: tuple[float, ...] = TEMPERATURES
    jobs: int = 1
    resume: bool = False


@dataclass(frozen=True)
class Cell:
    """One episode."""

    task: str
    seed: int
    particles: int
    temperature: float


@dataclass(frozen=True)
class EpisodeOutcome:
    """What calibration keeps of it; a crash is a failure with its traceback."""

    success: bool
    tick_ms: float
    crash: str = ""


def calibrate_command(options: CalibrateOptions) -> None:
    """Measure, write the file and print both curves."""
    _print(run_calibration(options))


def run_calibration(options: CalibrateOptions) -> Calibration:
    """Success against K, the K cap, then success against temperature at that K; writes `options.out`.

    Raises ConfigurationError for an unknown policy, suite or preset or an output that cannot be written, before any
    episode.  Interrupted, it goes on with `resume`.
    """
    policy = open_policy(options.policy)
    base = preset(options.preset)
    chosen = suite(options.suite)
    check_writable(options.out)
    identity = {"policy": policy.sha256, "preset": base.model_dump(mode="json"), "suite": options.suite}
    journal = Journal(options.out.with_suffix(".episodes.jsonl"), lambda _: identity, Cell)
    if not options.resume:
        journal.clear()
    dealt = chosen.deal(chosen.tasks, listed_seeds(SEEDS, options.episodes).values)
    layouts = [(task.name, seed) for task, seed in dealt]
    total = (len(options.particles) + len(options.temperatures)) * len(layouts)
    with Progress("calibrate", total) as progress:
        runs = _Runs(options, journal, layouts, progress)
        curve = runs.curve([(count, base.select.temperature) for count in options.particles])
        cap = cheapest_as_good(curve, lambda point: point.particles)
        temperatures = runs.curve([(cap.particles, temperature) for temperature in options.temperatures])
        choice = cheapest_as_good(temperatures, lambda point: point.temperature)
    calibration = Calibration(
        policy=policy.name,
        policy_sha256=policy.sha256,
        preset=options.preset,
        steering=SteeringOverride(
            particles=cap.particles, k_cap=cap.particles, select=SelectOverride(temperature=choice.temperature)
        ),
        curve=tuple(curve),
        temperatures=tuple(temperatures),
        config={
            "suite": options.suite,
            "tasks": [task.name for task in chosen.tasks],
            "episodes": options.episodes,
            "seeds": SEEDS,
            "perception": "privileged",
            "clock": "paused",
            "rule": f"the cheapest not below the best with p < {SIGNIFICANT}, McNemar on the same episodes",
            "steering": steering_config({options.preset: base}),
        },
        machine=describe_machine(),
        version=__version__,
        commit=commit(),
    )
    save_calibration(calibration, options.out)
    return calibration


class _Runs:
    """Runs what the journal does not have yet."""

    def __init__(
        self, options: CalibrateOptions, journal: Journal[Cell], layouts: Sequence[tuple[str, int]], progress: Progress
    ) -> None:
        self._options, self._journal, self._layouts, self._progress = options, journal, layouts, progress
        self._done = {cell: EpisodeOutcome(**outcome) for cell, outcome in journal.read().items()}

    def curve(self, settings: Sequence[tuple[int, float]]) -> list[CurvePoint]:
        """One point for each (K, temperature), every one over the same layouts."""
        # By layout first: an interrupted run has seen every setting about equally often.
        cells = [Cell(task, seed, *setting) for task, seed in self._layouts for setting in settings]
        for cell in cells:
            if cell in self._done:
                self._advance(cell)
        todo = [cell for cell in cells if cell not in self._done]
        for cell, outcome in spread(partial(run_episode, self._options), todo, self._options.jobs):
            self._done[cell] = outcome
            self._journal.append(cell, asdict(outcome))
            self._advance(cell)
        return curve_points({setting: self._episodes(*setting) for setting in settings})

    def _episodes(self, particles: int, temperature: float) -> list[EpisodeOutcome]:
        return [self._done[Cell(task, seed, particles, temperature)] for task, seed in self._layouts]

    def _advance(self, cell: Cell) -> None:
        note = f"K {cell.particles} temperature {cell.temperature:g}: {cell.task}"
        self._progress.advance(note, ok=self._done[cell].success)


def curve_points(measured: Mapping[tuple[int, float], Sequence[EpisodeOutcome]]) -> list[CurvePoint]:
    """(K, temperature) -> its episodes, the same layouts in the same order for all; one point for each.

    Each is compared with the best one, of equally good ones the first.
    """
    solved = {setting: [episode.success for episode in episodes] for setting, episodes in measured.items()}
    best = max(solved.values(), key=sum)
    return [_point(*setting, episodes, best) for setting, episodes in measured.items()]


def _point(particles: int, temperature: float, episodes: Sequence[EpisodeOutcome], best: Sequence[bool]) -> CurvePoint:
    solved = [episode.success for episode in episodes]
    rate, against = success_rate(solved), paired_difference(list(best), solved)
    ticks = [episode.tick_ms for episode in episodes if episode.tick_ms > 0.0]
    return CurvePoint(
        particles=particles,
        temperature=temperature,
        n=rate.n,
        successes=rate.successes,
        wilson_low=round(rate.wilson_low, 4),
        wilson_high=round(rate.wilson_high, 4),
        tick_ms_p50=round(float(np.median(ticks)), 2) if ticks else 0.0,
        only_best=against.only_first,
        only_this=against.only_second,
        p_value=against.p_value,
    )


def settings_of(base: SteeringSettings, particles: int, temperature: float) -> SteeringSettings:
    """`base` with another K and temperature."""
    select = base.select.model_copy(update={"temperature": temperature})
    return base.model_copy(update={"particles": particles, "k_cap": particles, "select": select})


def run_episode(options: CalibrateOptions, cell: Cell) -> EpisodeOutcome:
    """A crash is a failed episode, never a missing one."""
    task = suite(options.suite).task(cell.task)
    try:
        runner, layouts = stage(options.policy)
        spec = EpisodeSpec(
            layout=layouts.draw(task.scene, cell.seed, task.drawn_for()),
            instruction=task.instruction,
            goal=task.goal,
            steering=settings_of(preset(options.preset), cell.particles, cell.temperature),
            seed=cell.seed,
            limit_s=task.limit_s,
            privileged=True,
        )
        result = runner.run(spec)
    except Exception:  # noqa: BLE001 - whatever breaks must stay in the denominator
        return EpisodeOutcome(False, 0.0, traceback.format_exc())
    return EpisodeOutcome(result.success, float(np.median(result.tick_ms)) if result.tick_ms else 0.0)


def _print(calibration: Calibration) -> None:
    chosen = calibration.steering
    table = Table(title=f"{calibration.policy}: K cap {chosen.particles}, temperature {chosen.select.temperature:g}")
    for column in ("K", "temperature", "success", "95 % interval", "only the best", "only this", "p", "tick p50 ms"):
        table.add_column(column)
    for point in (*calibration.curve, *calibration.temperatures):
        table.add_row(
            str(point.particles),
            f"{point.temperature:g}",
            f"{point.successes}/{point.n}",
            f"{point.wilson_low:.2f} .. {point.wilson_high:.2f}",
            str(point.only_best),
            str(point.only_this),
            f"{point.p_value:.2g}",
            f"{point.tick_ms_p50:.1f}",
        )
    Console().print(table)
