"""A run as it happened: what the world, the steering and the executor did, each with its own stamps.

The in-process episode and the log of the real nodes both become a `Recording`; video, report and score are made from
it afterwards, so that none of them can slow the run down.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from vls_steering.bench.episode import TickView
from vls_steering.core.arrays import FloatArray
from vls_steering.core.errors import ShapeError
from vls_steering.core.types import Keypoint, Keypoints
from vls_steering.sim.layout import SceneLayout
from vls_steering.steering.telemetry import TickResult

_LAYOUT = TypeAdapter(SceneLayout)
FORMAT = 1
_NUMBERS = (
    "progress", "strength", "shift_m", "best_score", "margin", "safety_m", "network_rows", "nfe", "share_steered",
    "finished", "warm", "jumped", "resamples", "ess", "frozen", "cut_short",
)  # fmt: skip


@dataclass(frozen=True)
class RunFacts:
    """What was run, and how."""

    instruction: str
    method: str  # steering preset
    layout: SceneLayout
    seed: int
    clock: str  # "running" or "paused" while the sampler thinks
    perception: str = "cameras"  # or "privileged"
    program: str = ""  # JSON of the reward program; empty without steering
    program_sha256: str = ""
    written_by: str = ""


@dataclass(frozen=True)
class TickTrace:
    """One tick of the steered policy.  Of the scores only the order within a tick is meaningful; NaN: ruled out."""

    stamp_s: float
    candidates: FloatArray  # (K, H, 3) m, base frame; K may be 0
    scores: FloatArray  # (K,)
    chosen: int  # -1: none
    stage: int
    stages: int
    stage_name: str
    numbers: dict[str, float]  # progress, strength, shift_m, best_score, tick_ms ...
    reason: str = ""


@dataclass(frozen=True)
class ExecutorTrace:
    """The executor's own report."""

    stamp_s: float
    state: str
    reason: str  # of a stop; empty while nothing stopped it
    latched: bool
    passed: int
    scaled: int
    rejected: int
    gaps: int
    last_reason: str  # why the last chunk was scaled or rejected; empty when it was not


@dataclass(frozen=True)
class Recording:
    """All streams of one run, in order of their stamps; any of them may be empty."""

    facts: RunFacts
    state_stamps_s: FloatArray  # (N,)
    states: FloatArray = field(repr=False)  # (N, S) of World.full_state
    ticks: tuple[TickTrace, ...] = ()
    executor: tuple[ExecutorTrace, ...] = ()
    keypoints: tuple[Keypoints, ...] = ()
    set_points: FloatArray = field(default_factory=lambda: np.zeros((0, 16)), repr=False)  # stamp, 7 q, 7 qd, width
    # (N,) ms from the picture to what it made the arm do, on the graph's clock; only real nodes have them.
    camera_to_set_point_ms: FloatArray = field(default_factory=lambda: np.zeros(0), repr=False)

    @property
    def duration_s(self) -> float:
        return float(self.state_stamps_s[-1] - self.state_stamps_s[0]) if len(self.state_stamps_s) else 0.0

    def save(self, path: Path) -> None:
        """One compressed .npz: arrays, and a JSON document for everything else."""
        ticks = self.ticks
        document = {
            "format": FORMAT,
            "facts": asdict(self.facts),
            "ticks": [_without_arrays(tick) for tick in ticks],
            "executor": [asdict(report) for report in self.executor],
            "keypoints": [_keypoints_json(points) for points in self.keypoints],
        }
        horizon = max((tick.candidates.shape[1] for tick in ticks), default=0)
        np.savez_compressed(
            path,
            document=np.array(json.dumps(document)),
            state_stamps_s=self.state_stamps_s,
            states=self.states,
            set_points=self.set_points,
            camera_to_set_point_ms=self.camera_to_set_point_ms,
            counts=np.array([len(tick.candidates) for tick in ticks], dtype=int),
            candidates=_joined([tick.candidates for tick in ticks if len(tick.candidates)], (0, horizon, 3)),
            scores=_joined([tick.scores for tick in ticks], (0,)),
        )

    @classmethod
    def load(cls, path: Path) -> Recording:
        """Inverse of `save`; raises ShapeError when the file is of another format."""
        with np.load(path, allow_pickle=False) as stored:
            document = json.loads(str(stored["document"]))
            if document.get("format") != FORMAT:
                raise ShapeError(f"{path} is a recording of format {document.get('format')}, expected {FORMAT}")
            cuts = np.cumsum(stored["counts"])[:-1]
            candidates = np.split(stored["candidates"], cuts)
            scores = np.split(stored["scores"], cuts)
            ticks = tuple(
                TickTrace(candidates=paths, scores=rewards, **entry)
                for entry, paths, rewards in zip(document["ticks"], candidates, scores, strict=False)
            )
            facts = document["facts"]
            return cls(
                facts=RunFacts(**{**facts, "layout": _LAYOUT.validate_python(facts["layout"])}),
                state_stamps_s=stored["state_stamps_s"],
                states=stored["states"],
                ticks=ticks,
                executor=tuple(ExecutorTrace(**entry) for entry in document["executor"]),
                keypoints=tuple(_keypoints_of(entry) for entry in document["keypoints"]),
                set_points=stored["set_points"],
                # Recordings from before it was measured lack it.
                camera_to_set_point_ms=stored.get("camera_to_set_point_ms", np.zeros(0)),
            )


@dataclass
class Recorder:
    """Collects streams while they arrive and freezes them into a Recording."""

    states: list[FloatArray] = field(default_factory=list)
    ticks: list[TickTrace] = field(default_factory=list)
    executor: list[ExecutorTrace] = field(default_factory=list)
    keypoints: list[Keypoints] = field(default_factory=list)
    set_points: list[FloatArray] = field(default_factory=list)
    camera_to_set_point_ms: list[float] = field(default_factory=list)

    def finish(self, facts: RunFacts) -> Recording:
        """Everything collected so far; the stamp of a state is its first entry (mjSTATE_INTEGRATION)."""
        states = np.array(self.states) if self.states else np.zeros((0, 1))
        set_points = np.array(self.set_points) if self.set_points else np.zeros((0, 16))
        return Recording(
            facts=facts,
            state_stamps_s=states[:, 0].copy(),
            states=states,
            ticks=tuple(self.ticks),
            executor=tuple(self.executor),
            keypoints=tuple(self.keypoints),
            set_points=set_points,
            camera_to_set_point_ms=np.array(self.camera_to_set_point_ms),
        )

    def watcher(self) -> Callable[[TickView], None]:
        """For `EpisodeRunner.run(..., watch=)`."""

        def watch(view: TickView) -> None:
            self.states.append(np.array(view.full_state))
            self.keypoints.append(view.observation.keypoints)
            self.ticks.append(tick_trace(view.result))

        return watch


def tick_trace(result: TickResult) -> TickTrace:
    """A tick as the steering reports it in this process."""
    telemetry = result.telemetry
    numbers = {name: float(getattr(telemetry, name)) for name in _NUMBERS}
    numbers |= {f"{name}_ms": float(value) for name, value in telemetry.durations_ms.items()}
    numbers["tick_ms"] = numbers.pop("total_ms")
    return TickTrace(
        stamp_s=result.chunk.stamp_s,
        candidates=np.asarray(result.candidates, dtype=float),
        scores=np.where(np.isfinite(result.scores), result.scores, np.nan),
        chosen=result.chosen,
        stage=telemetry.stage,
        stages=telemetry.stages,
        stage_name=telemetry.stage_name,
        numbers=numbers,
        reason=telemetry.reason,
    )


def _without_arrays(tick: TickTrace) -> dict[str, Any]:
    return {name: value for name, value in vars(tick).items() if name not in ("candidates", "scores")}


def _joined(parts: list[FloatArray], empty: tuple[int, ...]) -> FloatArray:
    return np.concatenate(parts) if parts else np.zeros(empty)


def _keypoints_json(keypoints: Keypoints) -> dict[str, Any]:
    arrays = ("position", "size", "sigma_m")
    points = [{**vars(point), **{name: getattr(point, name).tolist() for name in arrays}} for point in keypoints.points]
    return {"stamp_s": keypoints.stamp_s, "points": points}


def _keypoints_of(entry: dict[str, Any]) -> Keypoints:
    return Keypoints(entry["stamp_s"], tuple(Keypoint(**point) for point in entry["points"]))
