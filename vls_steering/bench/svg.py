"""Small line charts as inline SVG: no library, no script, readable in light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from vls_steering.core.arrays import FloatArray

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 560, 46, 10, 26, 20


@dataclass(frozen=True)
class Series:
    """One line; NaN interrupts it.  `style` is a CSS class of the page: a, b or c."""

    name: str
    x: FloatArray
    y: FloatArray
    style: str = "a"


@dataclass(frozen=True)
class Band:
    """A stretch of time."""

    start: float
    end: float
    name: str
    style: str = "odd"


@dataclass(frozen=True)
class Limit:
    """A level that should not be crossed."""

    value: float
    name: str


def line_chart(
    title: str,
    series: Sequence[Series],
    span_s: tuple[float, float],
    bands: Sequence[Band] = (),
    limit: Limit | None = None,
    floor: float | None = 0.0,
    height: int = 150,
) -> str:
    """Values over seconds; `floor` is always shown (None: only the data's own range)."""
    values = [line.y[np.isfinite(line.y)] for line in series]
    values += [np.array([limit.value * 1.1])] if limit is not None else []
    values += [np.array([floor])] if floor is not None else []
    low, high = _range(np.concatenate(values) if values else np.zeros(1))
    frame = _Frame(span_s, (low, high), height)
    parts = [_open(title, height), *(_band(frame, band) for band in bands), _axes(frame, low, high)]
    if limit is not None:
        y = frame.y(limit.value)
        parts.append(f'<path class="limit" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="limit" x="{WIDTH - RIGHT}" y="{y - 4:.1f}" text-anchor="end">{limit.name}</text>')
    parts += [f'<path class="line {line.style}" d="{_path(frame, line)}"/>' for line in series]
    parts.append(_legend(series))
    return "".join([*parts, "</svg>"])


def strip_chart(title: str, bands: Sequence[Band], span_s: tuple[float, float], height: int = 74) -> str:
    """States over time as coloured stretches with their names."""
    frame = _Frame(span_s, (0.0, 1.0), height)
    parts = [_open(title, height)]
    for band in bands:
        x, width = frame.x(band.start), max(frame.x(band.end) - frame.x(band.start), 1.0)
        parts.append(
            f"<g><title>{escape(band.name)}: {band.start:.2f} to {band.end:.2f} s</title>"
            f'<rect class="{band.style}" x="{x:.1f}" y="{TOP}" width="{width:.1f}" height="{height - TOP - BOTTOM}"/>'
        )
        if width > 7 * len(band.name):
            middle = (height + TOP - BOTTOM) / 2 + 4
            parts.append(f'<text class="on" x="{x + 5:.1f}" y="{middle:.1f}">{escape(band.name)}</text>')
        parts.append("</g>")
    parts.append(_seconds(frame))
    return "".join([*parts, "</svg>"])


@dataclass(frozen=True)
class _Frame:
    span_s: tuple[float, float]
    range: tuple[float, float]
    height: int

    def x(self, value: float) -> float:
        start, end = self.span_s
        return LEFT + (value - start) / max(end - start, 1e-9) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        low, high = self.range
        return self.height - BOTTOM - (value - low) / (high - low) * (self.height - TOP - BOTTOM)


def _range(values: FloatArray) -> tuple[float, float]:
    if not values.size:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-9:
        return low, low + max(abs(low), 1.0)
    margin = 0.06 * (high - low)
    return (low if low == 0.0 else low - margin), high + margin


def _open(title: str, height: int) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">'
        f'<text class="title" x="0" y="14">{escape(title)}</text>'
    )


def _axes(frame: _Frame, low: float, high: float) -> str:
    lines = []
    for tick in _ticks(low, high, 3):
        y = frame.y(tick)
        lines.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        lines.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
    return "".join(lines) + _seconds(frame)


def _seconds(frame: _Frame) -> str:
    start, end = frame.span_s
    return "".join(
        f'<text x="{frame.x(tick):.1f}" y="{frame.height - 4}" text-anchor="middle">{tick:g} s</text>'
        for tick in _ticks(start, end, 6)
    )


def _ticks(low: float, high: float, count: int) -> list[float]:
    """Round numbers inside the range."""
    rough = (high - low) / max(count, 1)
    power = 10.0 ** np.floor(np.log10(max(rough, 1e-12)))
    step = next((m * power for m in (1, 2, 5, 10) if m * power >= rough), 10 * power)
    first = int(np.ceil(low / step - 1e-9))
    return [round(i * step, 10) for i in range(first, int(np.floor(high / step + 1e-9)) + 1)]


def _path(frame: _Frame, line: Series) -> str:
    parts, pen_up = [], True
    for x, y in zip(line.x, line.y, strict=True):
        if not np.isfinite(y):
            pen_up = True
            continue
        parts.append(f"{'M' if pen_up else 'L'}{frame.x(float(x)):.1f} {frame.y(float(y)):.1f}")
        pen_up = False
    return "".join(parts)


def _band(frame: _Frame, band: Band) -> str:
    x, width = frame.x(band.start), frame.x(band.end) - frame.x(band.start)
    box = f'<rect class="band {band.style}" x="{x:.1f}" y="{TOP}" width="{width:.1f}" '
    return f'<g><title>{escape(band.name)}</title>{box}height="{frame.height - TOP - BOTTOM}"/></g>'


def _legend(series: Sequence[Series]) -> str:
    if len(series) < 2:
        return ""
    parts, x = [], float(WIDTH - RIGHT)
    for line in reversed(series):
        x -= 7.0 * len(line.name)
        parts.append(f'<text x="{x:.0f}" y="14">{escape(line.name)}</text>')
        parts.append(f'<path class="line {line.style}" d="M{x - 20:.0f} 10h14"/>')
        x -= 34
    return "".join(parts)
