"""`vls bench tracking`: what optical flow between two segmentations costs and saves.

The same rendered sequences as in `vls bench perception` are followed several times, with a segmentation in every, in
every second, ... update and optical flow in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vls_steering.bench.perception_motion import MotionStage, SequenceScore, score_sequence
from vls_steering.bench.progress import Progress
from vls_steering.bench.rows import write_rows
from vls_steering.perception import PerceptionSettings
from vls_steering.perception.settings import FlowSettings

INTERVALS = (1, 2, 3, 5, 10)


def measure_intervals(
    seed: int, sequences: int, intervals: Sequence[int], progress: Progress
) -> dict[int, tuple[SequenceScore, ...]]:
    """Scores of sequences `seed`, `seed + 1`, ... for each number of updates from one segmentation to the next."""
    stage = MotionStage()
    scores: dict[int, list[SequenceScore]] = {interval: [] for interval in intervals}
    try:
        for index in range(seed, seed + sequences):
            sequence = stage.draw(index)
            frames = list(stage.play(sequence))
            for interval in intervals:
                settings = PerceptionSettings(flow=FlowSettings(segment_every=interval))
                scores[interval].append(score_sequence(sequence.target, iter(frames), settings, index))
            found = all(all(of_interval[-1].recovered) for of_interval in scores.values())
            progress.advance(f"{sequence.kind.value} {sequence.target}", ok=found)
    finally:
        stage.close()
    return {interval: tuple(of_interval) for interval, of_interval in scores.items()}


def interval_row(interval: int, scores: Sequence[SequenceScore]) -> dict[str, Any]:
    """Errors, recoveries and processor time of one interval."""
    errors_mm = 1000.0 * np.array([error for score in scores for error in score.errors_m])
    update_ms = 1000.0 * np.array([duration for score in scores for duration in score.update_s])
    recovered = [outcome for score in scores for outcome in score.recovered]
    return {
        "segment_every": interval,
        "error_median_mm": float(np.median(errors_mm)),
        "error_p95_mm": float(np.percentile(errors_mm, 95.0)),
        "error_max_mm": float(errors_mm.max()),
        "recovered": sum(recovered),
        "lost": len(recovered),
        "update_mean_ms": float(update_ms.mean()),
        "update_median_ms": float(np.median(update_ms)),
        "frames": len(errors_mm),
    }


def tracking_command(out: Path, seed: int, sequences: int) -> None:
    """Measure `sequences` from `seed` on, write the JSON and print its rows."""
    with Progress("bench tracking", sequences) as progress:
        scores = measure_intervals(seed, sequences, INTERVALS, progress)
    rows = [interval_row(interval, of_interval) for interval, of_interval in scores.items()]
    write_rows(out, "tracking", {"seed": seed, "sequences": sequences}, rows)
