"""What came of an episode, with enough of how it went to find out why it failed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from vls_steering.bench.plant import Plant
from vls_steering.safety.status import SafetyStatus
from vls_steering.sim.tasks import Skill
from vls_steering.steering.telemetry import Telemetry, TickResult

MAX_EVENTS = 40


class Ending(Enum):
    """Why an episode ended."""

    SUCCESS = "success"
    TOUCHED = "touched the obstacle"
    ENTERED = "entered the keep-out"
    STOPPED = "safety stop"
    REFUSED = "instruction refused"
    FINISHED = "program finished, goal not reached"
    TIMED_OUT = "time-out"


@dataclass(frozen=True)
class EpisodeResult:
    """Failures and refusals are results, not exceptions."""

    success: bool
    ending: str  # value of an Ending
    completed: tuple[str, ...]  # every skill completed, in order
    seconds: float  # simulated, until success or the end
    collisions: int  # 1 when what was to be kept clear of was touched or entered
    refusal: str
    tick_ms: tuple[float, ...]  # of the ticks in which the sampler ran
    network_rows: tuple[int, ...]
    share_steered: float
    passed: int
    scaled: int
    rejected: int
    stop_reason: str
    stage: str = ""  # of the program, at the end: "2/3 grasp the red cube"
    events: tuple[str, ...] = ()  # "1.4 s reached: ...", stalls, losses and holds as they began
    holds: int = 0  # ticks without an admissible candidate
    interventions: Mapping[str, int] = field(default_factory=dict)  # the governor's reasons
    delay_ms: tuple[float, ...] = ()  # simulated time between observation and chunk; empty with a paused clock
    closest_m: float | None = None  # least distance of the fingertips to the goal's object, sampled
    moved_m: float | None = None  # of the goal's object from where it stood


def refused(reason: str) -> EpisodeResult:
    """Nothing moved."""
    return EpisodeResult(
        success=False,
        ending=Ending.REFUSED.value,
        completed=(),
        seconds=0.0,
        collisions=0,
        refusal=reason,
        tick_ms=(),
        network_rows=(),
        share_steered=0.0,
        passed=0,
        scaled=0,
        rejected=0,
        stop_reason="",
    )


class EpisodeLog:
    """Accumulates an episode's figures tick by tick."""

    def __init__(self) -> None:
        self._tick_ms: list[float] = []
        self._rows: list[int] = []
        self._delay_ms: list[float] = []
        self._events: list[str] = []
        self._holds = 0
        self._last: Telemetry | None = None

    def tick(self, result: TickResult, computing_s: float, delay_s: float, elapsed_s: float) -> None:
        """One tick that began at `elapsed_s`, took `computing_s` and let the world go on for `delay_s`."""
        telemetry = result.telemetry
        if telemetry.network_rows:
            self._tick_ms.append(1e3 * computing_s)
            self._rows.append(telemetry.network_rows)
        if delay_s > 0.0:
            self._delay_ms.append(1e3 * delay_s)
        self._holds += result.chosen < 0 and not telemetry.finished
        if telemetry.reason and (self._last is None or _kind(telemetry.reason) != _kind(self._last.reason)):
            self._events.append(f"{elapsed_s:.1f} s {telemetry.reason}")
        self._last = telemetry

    def result(self, plant: Plant, status: SafetyStatus, goal: Skill | None) -> EpisodeResult:
        last, truth = self._last, plant.truth
        return EpisodeResult(
            success=plant.success,
            ending=self._ending(plant, status).value,
            completed=tuple(plant.completed),
            seconds=round(plant.elapsed_s, 3),
            collisions=int(truth.violated),
            refusal="",
            tick_ms=tuple(round(value, 2) for value in self._tick_ms),
            network_rows=tuple(self._rows),
            share_steered=last.share_steered if last is not None else 0.0,
            passed=status.passed,
            scaled=status.scaled,
            rejected=status.rejected,
            stop_reason=status.reason_text if status.latched else "",
            stage=_stage(last),
            events=tuple(self._events[:MAX_EVENTS]),
            holds=self._holds,
            interventions=dict(Counter(plant.interventions).most_common()),
            delay_ms=tuple(round(value, 1) for value in self._delay_ms),
            closest_m=round(plant.closest_m, 4) if goal is not None else None,
            moved_m=_moved_m(plant, goal),
        )

    def _ending(self, plant: Plant, status: SafetyStatus) -> Ending:
        if plant.truth.obstacle_touches:
            return Ending.TOUCHED
        if plant.truth.keep_out_entries:
            return Ending.ENTERED
        if plant.reached:
            return Ending.SUCCESS
        if status.latched:
            return Ending.STOPPED
        return Ending.FINISHED if self._last is not None and self._last.finished else Ending.TIMED_OUT


def _kind(reason: str) -> str:
    """A reason without its numbers and lists, so that a hold that goes on is one event."""
    return re.sub(r"\d+(\.\d+)?|Seen: [^;]*", "", reason)


def _stage(telemetry: Telemetry | None) -> str:
    if telemetry is None or not telemetry.stages:
        return ""
    return f"{telemetry.stage + 1}/{telemetry.stages} {telemetry.stage_name}"


def _moved_m(plant: Plant, goal: Skill | None) -> float | None:
    if goal is None:
        return None
    here, stood = plant.truth.positions[goal.target][:2], plant.truth.layout.position_of(goal.target)
    return round(float(np.linalg.norm(here - stood)), 4)
