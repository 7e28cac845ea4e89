"""Progress of a training run: a bar on a terminal, plain lines in a log file, a loss curve beside the weights."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from vls_steering.policies.checkpoint import write_atomically


@dataclass(frozen=True)
class CurvePoint:
    """One row of the loss curve."""

    step: int
    seconds: float  # of wall clock, over all resumptions
    loss: float  # training, mean since the previous point
    validation_loss: float | None  # of the averaged weights, on held-out episodes
    learning_rate: float


class TrainingLog:
    """Context manager around the training loop; a resumed run starts at `step` and `seconds`."""

    def __init__(self, out_path: Path, headline: str, step: int = 0, seconds: float = 0.0) -> None:
        self._curve_path = out_path.with_name(out_path.stem + "_curve.json")
        self._console = Console()
        self._console.print(f"training {out_path.name}: {headline}", highlight=False, soft_wrap=True)
        self._validation_text = "-"
        self._last = (step, seconds)
        columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn()
        self._bar = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._task = self._bar.add_task("starting", total=1.0)

    def __enter__(self) -> TrainingLog:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, point: CurvePoint, fraction: float) -> None:
        """`fraction` of the run is over."""
        if point.validation_loss is not None:
            self._validation_text = f"{point.validation_loss:.4f}"
        step, seconds = self._last
        pace_ms = 1000.0 * (point.seconds - seconds) / max(1, point.step - step)
        self._last = (point.step, point.seconds)
        text = f"step {point.step}  loss {point.loss:.4f}  held out {self._validation_text}  {pace_ms:.0f} ms/step"
        self._bar.update(self._task, completed=fraction, description=text)
        if not self._console.is_terminal:
            left_min = point.seconds * (1.0 / max(fraction, 1e-6) - 1.0) / 60.0
            rate = f"lr {point.learning_rate:.2e}"
            self._console.print(
                f"{text}  {rate}  {100 * fraction:.1f} %  {left_min:.1f} min left", highlight=False, soft_wrap=True
            )

    def write_curve(self, curve: list[CurvePoint]) -> None:
        """JSON always; PNG where matplotlib is installed."""
        write_atomically(self._curve_path, json.dumps([asdict(point) for point in curve], indent=1).encode())
        try:
            from matplotlib.figure import Figure
        except ImportError:
            return
        figure = Figure(figsize=(6.4, 4.0), layout="constrained")
        axes = figure.subplots()
        axes.plot([p.step for p in curve], [p.loss for p in curve], label="training", linewidth=1.0)
        held = [(p.step, p.validation_loss) for p in curve if p.validation_loss is not None]
        axes.plot(*zip(*held, strict=True), label="held-out episodes, averaged weights", marker=".")
        axes.set(xlabel="gradient step", ylabel="weighted squared error", yscale="log")
        axes.legend()
        axes.grid(alpha=0.3)
        figure.savefig(self._curve_path.with_suffix(".png"), dpi=120)
