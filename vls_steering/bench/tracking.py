"""`python -m vls_steering.bench.tracking --out FILE`: what optical flow between two segmentations costs and saves.

The same rendered sequences as in `vls bench perception` are followed several times, with a segmentation in every, in
every second, ... update and optical flow in between.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vls_steering import __version__
from vls_steering.bench.machine import describe_machine
from vls_steering.bench.perception_motion import MotionStage, SequenceScore, score_sequence
from vls_steering.bench.progress import Progress
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


def main() -> None:
    """Measure, write the JSON and print its rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=500_100, help="first of consecutive seeds")
    parser.add_argument("--sequences", type=int, default=24, help="how many")
    parser.add_argument("--out", type=Path, required=True, help="JSON to write")
    options = parser.parse_args()
    with Progress("tracking", options.sequences) as progress:
        scores = measure_intervals(options.seed, options.sequences, INTERVALS, progress)
    rows = [interval_row(interval, of_interval) for interval, of_interval in scores.items()]
    config = {"seed": options.seed, "sequences": options.sequences}
    report = {
        "bench": "tracking",
        "config": config,
        "version": __version__,
        "machine": describe_machine(),
        "rows": rows,
    }
    options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    for row in rows:
        print("  ".join(f"{name} {value:.4g}" for name, value in row.items()))


if __name__ == "__main__":
    main()
