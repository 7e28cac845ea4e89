"""`vls bench perception`: how well things at rest are named and placed, and things in motion followed.

Everything is rendered and noisy, and the truth comes from the simulator; perception sees pictures and the arm's own
state alone.  An object that a camera sees and that is not named, or not found, counts as a failure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vls_steering.bench.perception_motion import MotionScore, measure_motion
from vls_steering.bench.perception_sheet import write_sheet
from vls_steering.bench.perception_static import SEEN_PIXELS, SEEN_SHARE, SceneResult, StaticBench
from vls_steering.bench.progress import Progress
from vls_steering.bench.rows import write_rows
from vls_steering.bench.statistics import quantile_interval, success_rate

Row = dict[str, Any]
HIDDEN_SHARE = 0.8  # a thing of which less is visible is partly hidden


@dataclass(frozen=True)
class PerceptionOptions:
    """The command line of `vls bench perception`."""

    out: Path
    seed: int  # first of consecutive seeds of scenes and of sequences
    scenes: int = 200
    sequences: int = 50


def perception_command(options: PerceptionOptions) -> None:
    """Measure, write the JSON and beside it the contact sheet, and print the table."""
    with Progress("bench perception", options.scenes + options.sequences) as progress:
        scenes = measure_static(options.seed, options.scenes, progress)
        motion = measure_motion(options.seed, options.sequences, progress)
    rows = [*static_rows(scenes), *motion_rows(motion), _speed_row(scenes, motion)]
    config = {
        "seed": options.seed,
        "scenes": options.scenes,
        "sequences": options.sequences,
        "seen_pixels": SEEN_PIXELS,
        "seen_share": SEEN_SHARE,
    }
    write_rows(options.out, "perception", config, rows, {"failures": failures(scenes)})
    write_sheet(scenes, options.out.with_suffix(".png"))


def measure_static(seed: int, scenes: int, progress: Progress) -> tuple[SceneResult, ...]:
    """Scenes `seed`, `seed + 1`, ... at rest."""
    bench = StaticBench()
    results = []
    try:
        for index in range(seed, seed + scenes):
            results.append(bench.score(index))
            progress.advance(f"scene {index}", ok=results[-1].flawless)
    finally:
        bench.close()
    return tuple(results)


def static_rows(scenes: Sequence[SceneResult]) -> list[Row]:
    """Naming and centroids of all objects that a camera sees; false names per scene."""
    seen = [thing for scene in scenes for thing in scene.objects if thing.seen]
    errors_mm = [1000.0 * thing.error_m for thing in seen if thing.called]
    rows = [
        _share("naming_accuracy", [thing.named for thing in seen]),
        _quantile("centroid_error_median_mm", errors_mm, 0.5),
        _quantile("centroid_error_p95_mm", errors_mm, 0.95),
        _share("found", [bool(thing.called) for thing in seen]),
        _share("naming_partly_hidden", [thing.named for thing in seen if thing.share < HIDDEN_SHARE]),
        _share("naming_raised", [thing.named for thing in seen if thing.raised]),
    ]
    shapes = sorted({thing.name.split()[1] for thing in seen})
    rows += [_share(f"naming_{shape}", [t.named for t in seen if t.name.endswith(shape)]) for shape in shapes]
    ghosts = [any(not false.on_clutter for false in scene.false) for scene in scenes]
    misled = [any(false.on_clutter for false in scene.false) for scene in scenes]
    return [*rows, _share("scenes_with_ghost", ghosts), _share("scenes_with_named_clutter", misled)]


def motion_rows(motion: MotionScore) -> list[Row]:
    """Errors of things in motion, all together and by kind, and how many were found again."""
    errors_mm = [1000.0 * error for error in motion.errors_m]
    rows = [
        _quantile("tracking_error_median_mm", errors_mm, 0.5),
        _quantile("tracking_error_p95_mm", errors_mm, 0.95),
        _share("lost_recovered", list(motion.recovered)),
    ]
    for kind in sorted(set(motion.kinds), key=lambda kind: kind.value):
        of_kind = [1000.0 * error for error in motion.errors_of(kind)]
        rows.append(_quantile(f"tracking_{kind.value}_median_mm", of_kind, 0.5))
        rows.append(_quantile(f"tracking_{kind.value}_p95_mm", of_kind, 0.95))
    return rows


def failures(scenes: Sequence[SceneResult]) -> list[Row]:
    """Every seen object that has not its name, and every false name, with its scene's seed."""
    missed = [
        {"seed": scene.seed, **asdict(thing)}
        for scene in scenes
        for thing in scene.objects
        if thing.seen and not thing.named
    ]
    made_up = [{"seed": scene.seed, **asdict(false)} for scene in scenes for false in scene.false]
    return [{key: _rounded(value) for key, value in entry.items()} for entry in (*missed, *made_up)]


def _speed_row(scenes: Sequence[SceneResult], motion: MotionScore) -> Row:
    """Updates with one 320 x 240 picture, by processor time: what one core does in a second."""
    update_s = [duration for scene in scenes for duration in scene.update_s] + list(motion.update_s)
    slow, fast = quantile_interval(update_s, 0.5)[::-1]
    return _row("frames_per_second", "1/s", 1.0 / float(np.median(update_s)), len(update_s), 1.0 / slow, 1.0 / fast)


def _share(metric: str, outcomes: list[bool]) -> Row:
    rate = success_rate(outcomes)
    return _row(metric, "1", rate.successes / rate.n if rate.n else None, rate.n, rate.wilson_low, rate.wilson_high)


def _quantile(metric: str, values_mm: list[float], share: float) -> Row:
    if not values_mm:
        return _row(metric, "mm", None, 0, None, None)
    value_mm = float(np.quantile(values_mm, share))
    return _row(metric, "mm", value_mm, len(values_mm), *quantile_interval(values_mm, share))


def _row(metric: str, unit: str, value: float | None, n: int, low: float | None, high: float | None) -> Row:
    value, low, high = (None if found is None else round(found, 4) for found in (value, low, high))
    return {"metric": metric, "value": value, "unit": unit, "n": n, "low_95": low, "high_95": high}


def _rounded(value: Any) -> Any:
    if isinstance(value, tuple):
        return [round(part, 3) for part in value]
    if isinstance(value, float):
        return None if np.isnan(value) else round(value, 4)
    return value
