"""docs/results/calibration.yaml -> docs/images/calibration.png: success and time of a tick against K."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from vls_steering.bench.calibration import SIGNIFICANT, Calibration, CurvePoint, load_calibration

mpl.use("Agg")

DOCS = Path(__file__).resolve().parent.parent
RESULT, PICTURE = DOCS / "results" / "calibration.yaml", DOCS / "images" / "calibration.png"
GOOD, WORSE = "#1f5fa8", "#d97706"


def main() -> None:
    """Draw the figure; do nothing while there is no result."""
    if not RESULT.is_file():
        print(f"no {RESULT.relative_to(DOCS.parent)}: `vls calibrate --out {RESULT.relative_to(DOCS.parent)}`")
        return
    draw(load_calibration(RESULT), PICTURE)


def draw(calibration: Calibration, target: Path) -> None:
    """Left: success with its interval, what is significantly below the best in another colour; right: the tick."""
    figure, (success, tick) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    config, chosen = calibration.config, calibration.steering.particles
    for worse, colour, label in (
        (False, GOOD, "not distinguishable from the best"),
        (True, WORSE, f"below the best, McNemar p < {SIGNIFICANT}"),
    ):
        points = [point for point in calibration.curve if (point.p_value < SIGNIFICANT) is worse]
        if points:
            draw_success(success, points, colour, label)
    success.axvline(chosen, color="grey", linestyle=":", label=f"chosen: K {chosen}")
    success.set_ylim(0.0, 1.02)
    success.set_ylabel("success, 95 % Wilson interval")
    success.set_title(
        f"{calibration.preset} on {config['suite']}, {calibration.curve[0].n} episodes", loc="left", fontsize=10
    )
    success.legend(fontsize=8, framealpha=1.0, loc="lower right")
    counts = [point.particles for point in calibration.curve]
    tick.plot(counts, [point.tick_ms_p50 for point in calibration.curve], "o-", color=GOOD)
    tick.set_ylim(bottom=0.0)
    tick.set_ylabel("ms of a tick, median of medians")
    tick.set_title(f"{calibration.machine['processor']}, commit {calibration.commit}", loc="left", fontsize=10)
    for axes in (success, tick):
        axes.set_xscale("log", base=2)
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("candidates K")
    target.parent.mkdir(exist_ok=True)
    figure.savefig(target, dpi=100)
    plt.close(figure)


def draw_success(axes: Axes, points: list[CurvePoint], colour: str, label: str) -> None:
    rates = [point.successes / point.n for point in points]
    below = [rate - point.wilson_low for rate, point in zip(rates, points, strict=True)]
    above = [point.wilson_high - rate for rate, point in zip(rates, points, strict=True)]
    counts = [point.particles for point in points]
    axes.errorbar(counts, rates, (below, above), fmt="o", color=colour, capsize=3, label=label)


if __name__ == "__main__":
    main()
