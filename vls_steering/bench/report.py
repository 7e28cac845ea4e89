"""report.html of a demo run: one file, no network, made from the same numbers as report.json."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from importlib.resources import files
from itertools import pairwise
from string import Template
from typing import Any

import cv2
import numpy as np

from vls_steering.bench.recording import Recording
from vls_steering.bench.summary import PROGRAM, SECTIONS, DemoRun, section, summary
from vls_steering.bench.svg import Band, Limit, Series, line_chart, strip_chart
from vls_steering.core.arrays import FloatArray

TICK_BUDGET_MS = 100.0
PROGRAM_FIELDS = (("gripper", "gripper"), ("needs", "requires"), ("done when", "done"), ("within", "deadline"))
STATE_STYLES = {"TRACKING": "good", "READY": "calm", "HOLDING": "warn", "STOPPING": "warn", "FAULT": "bad"}


def report_page(run: DemoRun, still: np.ndarray | None = None, video: str = "", when: datetime | None = None) -> str:
    """The page; `still` is a picture (H, W, 3) RGB of the run, `video` a file beside the page."""
    numbers = summary(run)
    verdict, style = _verdict(numbers)
    template = Template(files("vls_steering.bench").joinpath("report.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(f"{verdict}: {numbers['instruction']}"),
        verdict=verdict,
        verdict_style=style,
        when=escape((when or datetime.now()).strftime("%Y-%m-%d %H:%M")),
        instruction=escape(numbers["instruction"]),
        explanation=escape(_explanation(numbers)),
        facts=_facts(numbers),
        film=_film(still, video),
        program=_program(run.recording, numbers),
        stages=_stages(numbers["stages"]),
        charts="".join(f'<div class="card">{chart}</div>' for chart in charts(run)),
        latency=_latency(run.recording),
        governor=_governor(numbers["governor"]),
        contrast=_contrast(numbers["base_contrast"]),
        command=escape(run.command),
        versions=_table(("what", "version"), [(k, v) for k, v in {**run.versions, **run.machine}.items()]),
    )


def charts(run: DemoRun) -> list[str]:
    """Every plot of the page, on one time axis."""
    recording, measures = run.recording, run.measures
    start_s = float(recording.state_stamps_s[0]) if len(recording.state_stamps_s) else 0.0
    span = (0.0, max(recording.duration_s, 0.1))
    bands = [
        Band(row["started_s"], row["ended_s"], row["name"], "odd" if row["index"] % 2 == 0 else "even")
        for row in summary(run)["stages"]
    ]
    at = np.array([tick.stamp_s - start_s for tick in recording.ticks])
    states_at = measures.stamps_s - start_s

    def ticks(name: str) -> FloatArray:
        return np.array([tick.numbers.get(name, np.nan) for tick in recording.ticks])

    height = Series("TCP above the table", states_at, measures.tcp[:, 2], "a")
    near = Series("obstacle to arm", states_at, measures.clearance_m, "b")
    distances = [height, near] if np.isfinite(measures.clearance_m).any() else [height]
    return [
        line_chart("Progress of the current stage", [Series("progress", at, ticks("progress"))], span, bands),
        line_chart(
            "Time per tick, ms",
            [Series("tick", at, ticks("tick_ms"))],
            span,
            bands,
            Limit(TICK_BUDGET_MS, f"budget {TICK_BUDGET_MS:g} ms"),
        ),
        line_chart("Guidance strength", [Series("strength", at, ticks("strength"))], span, bands),
        line_chart("Shift by guidance, m", [Series("shift", at, ticks("shift_m"), "c")], span, bands),
        line_chart("Best reward", [Series("of the chosen particle", at, ticks("best_score"))], span, bands, floor=None),
        line_chart(
            "Steps of the chunk that were already committed",
            [Series("frozen", at, ticks("frozen"))],
            span,
            bands,
        ),
        *_effective_sample_size(at, ticks("ess"), ticks("resamples"), span, bands),
        line_chart("Heights and clearances, m", distances, span, bands),
        line_chart("Gripper opening, m", [Series("width", states_at, measures.gripper_m, "c")], span, bands),
        line_chart(
            "Fastest joint, share of its limit",
            [Series("speed", measures.speed_stamps_s - start_s, measures.speed_share, "b")],
            span,
            bands,
            Limit(1.0, "limit"),
        ),
        strip_chart("Executor", _executor_bands(recording, start_s, span[1]), span),
    ]


def _effective_sample_size(
    at: FloatArray, ess: FloatArray, resamples: FloatArray, span: tuple[float, float], bands: list[Band]
) -> list[str]:
    """Only where a method redraws its particles is there something to see."""
    if not np.nansum(resamples):
        return []
    series = [Series("effective sample size", at, ess, "c"), Series("redrawn, times", at, resamples, "b")]
    return [line_chart("Particles that still count", series, span, bands)]


def _executor_bands(recording: Recording, start_s: float, end_s: float) -> list[Band]:
    changes = [
        report
        for before, report in zip((None, *recording.executor), recording.executor, strict=False)
        if before is None or before.state != report.state
    ]
    bands = []
    for report, after in pairwise([*changes, None]):
        assert report is not None
        until_s = after.stamp_s - start_s if after is not None else end_s
        bands.append(
            Band(
                max(report.stamp_s - start_s, 0.0),
                max(until_s, 0.0),
                report.state.lower(),
                STATE_STYLES.get(report.state, "calm"),
            )
        )
    return [band for band in bands if band.end > band.start]


def _verdict(numbers: Mapping[str, Any]) -> tuple[str, str]:
    if numbers["judged_by"] == PROGRAM:
        return ("Done, by its own measure", "open") if numbers["success"] else ("Not done", "bad")
    return ("Success", "good") if numbers["success"] else ("Failure", "bad")


def _explanation(numbers: Mapping[str, Any]) -> str:
    parts = []
    if numbers["judged_by"] == PROGRAM:
        parts.append("The simulator has no predicate for this instruction: the program's own measure decides.")
    elif numbers["success"]:
        parts.append(f"The simulator confirms: {numbers['goal']}, {numbers['seconds_to_success']:g} s after the start.")
    if numbers["message"]:
        parts.append(numbers["message"])
    if numbers["collisions"]:
        parts.append("The obstacle was touched.")
    elif numbers["least_clearance_m"] is not None:
        parts.append(f"The arm came no closer to the obstacle than {100 * numbers['least_clearance_m']:.1f} cm.")
    return " ".join(parts)


def _facts(numbers: Mapping[str, Any]) -> str:
    tick, governor, steering = numbers["tick_ms"], numbers["governor"], numbers["steering"]
    chunks = governor["passed"] + governor["scaled"] + governor["rejected"]
    cells = (
        (_number(numbers["seconds_to_success"], " s"), "to success, simulated time"),
        (f"{_number(tick['p50'])} / {_number(tick['p95'])} ms", "tick, p50 / p95"),
        (f"{100 * numbers['share_steered']:.0f} %", "of the ticks steered"),
        (f"{_cm(steering['shift_m']['p50'])} / {_cm(steering['shift_m']['max'])} cm", "bent by guidance, p50 / max"),
        (f"{steering['deadline_misses'] + steering['cut_short']} of {steering['ticks']}", "ticks late or cut short"),
        (f"{governor['passed']} of {chunks}", "chunks passed unchanged"),
        (numbers["written_by"] or "nobody", "wrote the program"),
        (f"{numbers['scene']}, seed {numbers['seed']}", f"clock {numbers['clock']}, {numbers['perception']}"),
    )
    return "".join(f'<div class="fact"><b>{escape(str(v))}</b><span>{escape(name)}</span></div>' for v, name in cells)


def _cm(metres: float | None) -> str:
    return "-" if metres is None else f"{100 * metres:.1f}"


def _film(still: np.ndarray | None, video: str) -> str:
    poster = ""
    if still is not None:
        encoded = cv2.imencode(".jpg", still[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1]
        poster = f"data:image/jpeg;base64,{base64.b64encode(encoded.tobytes()).decode()}"
    if video:
        return f'<video controls preload="none" poster="{poster}" src="{escape(video)}"></video>'
    return f'<img alt="the run" src="{poster}">' if poster else ""


def _program(recording: Recording, numbers: Mapping[str, Any]) -> str:
    if not recording.facts.program:
        return '<p class="quiet">There is no program.</p>'
    program = json.loads(recording.facts.program)
    writer = escape(numbers["written_by"])
    parts = [f'<p class="quiet">Written by <b>{writer}</b>, parsed and checked, never executed.</p>']
    for stage in program["stages"]:
        parts.append(f'<div class="stage"><b>{escape(stage["name"])}</b>')
        for title, key in (("wish", "reward"), ("never", "safety")):
            parts += [f"<p>{title} {_term(term)}</p>" for term in stage.get(key, [])]
        for title, key in PROGRAM_FIELDS:
            if stage.get(key) and stage[key] != "free":
                parts.append(f"<p>{title} <code>{escape(stage[key])}</code></p>")
        parts.append("</div>")
    return "".join([*parts, f'<p class="quiet sha">sha256 {numbers["program_sha256"]}</p>'])


def _term(term: str | Mapping[str, str]) -> str:
    if isinstance(term, str):
        return f"<code>{escape(term)}</code>"
    phrase = f' <span class="phrase">“{escape(term["phrase"])}”</span>' if term.get("phrase") else ""
    return f"<code>{escape(term['term'])}</code>{phrase}"


def _stages(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return '<p class="quiet">No stage was begun.</p>'
    cells = [
        (
            row["name"],
            f"{row['started_s']:.1f} s",
            f"{row['ended_s'] - row['started_s']:.1f} s",
            "done" if row["finished"] else f"{100 * row['progress']:.0f} %",
        )
        for row in rows
    ]
    return _table(("stage", "from", "took", ""), cells)


def _latency(recording: Recording) -> str:
    parts = {"whole tick" if name == "tick" else name: section(recording, name) for name in SECTIONS}
    parts["camera to set-point, world's time"] = recording.camera_to_set_point_ms
    rows = [
        (name, *(f"{np.percentile(values, percent):.1f}" for percent in (50, 95, 99)))
        for name, values in parts.items()
        if values.size
    ]
    return _table(("ms", "p50", "p95", "p99"), rows, numeric_from=1)


def _governor(counts: Mapping[str, Any]) -> str:
    bands = [(name, counts[name]) for name in ("passed", "scaled", "rejected", "gaps")]
    html = _table(("chunks", "count"), bands, numeric_from=1)
    if counts["reasons"]:
        html += _table(("reason", "count"), list(counts["reasons"].items()), numeric_from=1)
    return html + (f"<p>Latched stop: {escape(counts['stop'])}</p>" if counts["stop"] else "")


def _contrast(contrast: Mapping[str, Any] | None) -> str:
    if contrast is None:
        return '<p class="quiet">It was not run.</p>'
    completed = ", ".join(contrast["completed"]) or "nothing"
    return (
        f'<p>{escape(contrast["explanation"])}</p><p class="quiet">Completed: {escape(completed)}. '
        f"Same layout, seed and cameras, no program; {contrast['seconds']:.1f} s of simulated time, "
        f"the clock paused while the policy thinks.</p>"
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]], numeric_from: int = 99) -> str:
    def row(cells: Sequence[Any], tag: str) -> str:
        style = ("", ' class="n"')
        return "".join(f"<{tag}{style[i >= numeric_from]}>{escape(str(c))}</{tag}>" for i, c in enumerate(cells))

    body = "".join(f"<tr>{row(cells, 'td')}</tr>" for cells in rows)
    return f"<table><tr>{row(heads, 'th')}</tr>{body}</table>"


def _number(value: float | None, unit: str = "") -> str:
    return "–" if value is None else f"{value:.3g}{unit}" if value < 100 else f"{value:.0f}{unit}"
