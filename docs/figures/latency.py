"""docs/results/latency.json (and graph_latency.json) -> docs/latency.md and docs/images/latency.png."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from vls_steering.bench.provenance import of_commit

mpl.use("Agg")

DOCS = Path(__file__).resolve().parent.parent
RESULT, GRAPH = DOCS / "results" / "latency.json", DOCS / "results" / "graph_latency.json"
PICTURE = DOCS / "images" / "latency.png"
# Parts from the picture to the accepted chunk, in the order of the tick.
ORDER = ("perception", "encode", "denoise", "reward gradient", "resample", "select", "other", "message", "governor")
COLOURS = {"p50": "#1f5fa8", "p95": "#9dbfe3"}
# Swept quantity -> axis label.
SWEEPS = {
    "particles": "candidates K",
    "steps": "denoising steps",
    "horizon": "steps H of a chunk",
    "parameters": "parameters of the network",
    "terms": "reward terms",
}
INTRODUCTION = """# Latency

Made by `make docs` from `docs/results/latency.json`. All methods plan for the same observations of a moving arm, in
turns, with the same policy on the same threads, so that a ratio between them is of one machine at one time. `ours` is
what a warm tick costs; `ours_cold` starts from noise on every tick; `vls_released` is the released VLS algorithm;
`full_denoising` is ours with 100 steps. Perception counts from the picture, without rendering; `message` is the
building and checking of the chunk, without serialisation; `governor` is its review by the executor. The floor is the
counted arithmetic of the network over the peak of a matrix product measured in the same run.
"""


def main() -> None:
    """Write the page and its figure; do nothing while there is no result."""
    if not RESULT.is_file():
        print(f"no {RESULT.relative_to(DOCS.parent)}: `vls bench latency --out {RESULT.relative_to(DOCS.parent)}`")
        return
    report = json.loads(RESULT.read_text(encoding="utf-8"))
    graph = json.loads(GRAPH.read_text(encoding="utf-8")) if GRAPH.is_file() else None
    draw(report, PICTURE)
    (DOCS / "latency.md").write_text(page(report, graph), encoding="utf-8")


def page(report: dict[str, Any], graph: dict[str, Any] | None) -> str:
    """The whole page as Markdown."""
    blocks = [
        INTRODUCTION,
        heading("vls bench latency", report, RESULT),
        "![Where a tick's time goes, and how it grows](images/latency.png)\n",
        "### Milliseconds of each part, p50 / p95 / p99\n",
        methods_table(report),
        "### How many times longer the others take\n",
        ratio_table(report),
        "### How a tick grows\n",
        f"Ours from noise at {report['sweeps'][0]['nfe']:g} evaluations, unless the row says otherwise.\n"
        if report["sweeps"]
        else "",
        sweep_table(report),
    ]
    if report.get("device"):
        blocks += ["### On the accelerator\n", device_table(report)]
    if graph is not None:
        blocks += [heading("vls bench graph-latency", graph, GRAPH), graph_text(graph), graph_table(graph)]
    return "\n".join(blocks)


def heading(command: str, report: dict[str, Any], path: Path) -> str:
    """What was run, and where."""
    machine, config = report["machine"], report["config"]
    options = [f"--seed {config['seed']}", *(f"--{name}" for name in ("quick", "large") if config.get(name))]
    incomplete = "" if report["complete"] else "\nThe run was interrupted: what follows is incomplete.\n"
    load = f", load {machine['load_average']} at the start" if "load_average" in machine else ""
    return (
        f"## {command}\n\n    {command} {' '.join(options)} --out {path.relative_to(DOCS.parent)}\n\n"
        f"{machine['processor']}, {machine['cores']} cores, {machine.get('threads', config.get('threads'))} thread for "
        f"the network, accelerator {machine['accelerator']}, torch {machine['torch']}{load}; "
        f"{of_commit(report)}.\n{incomplete}"
    )


def methods_table(report: dict[str, Any]) -> str:
    rows = report["rows"]
    parts = [name for name in (*ORDER, "tick") if name in rows[0]["parts_ms"]]
    body = [[part, *(figures(row["parts_ms"][part]) for row in rows)] for part in parts]
    around = [[name, *[figures(found)] * len(rows)] for name, found in report["around_ms"].items()]
    whole = ["picture to chunk", figures(report["picture_to_chunk_ms"]), *[""] * (len(rows) - 1)]
    names = ["part", *(f"{row['method']} (K {row['k']}, {row['nfe']:g} evaluations)" for row in rows)]
    share = ["share of the floor", *(f"{row['share_of_floor']:.0%}" for row in rows)]
    return markdown(names, [*body, *around, whole, share])


def ratio_table(report: dict[str, Any]) -> str:
    body = [
        [key, method, f"{ratio['ratio']:.1f}", f"{ratio['low']:.1f} .. {ratio['high']:.1f}", str(ratio["n"])]
        for key in ("speedup_vs_vls_released", "speedup_vs_full_denoising")
        for method, ratio in report[key].items()
    ]
    return markdown(["", "of", "ratio of medians", "95 % interval (bootstrap)", "observations"], body)


def sweep_table(report: dict[str, Any]) -> str:
    body = [
        [
            SWEEPS[row["sweep"]],
            f"{row['value']:,}",
            figures(row["parts_ms"]["tick"]),
            f"{row['parts_ms']['denoise']['p50']:.1f}",
            f"{row['parts_ms']['reward gradient']['p50']:.1f}",
            f"{row['gflop_per_evaluation']:.3f}",
            f"{row['share_of_floor']:.0%}",
        ]
        for row in report["sweeps"]
    ]
    names = ["swept", "value", "tick p50 / p95 / p99 ms", "denoise p50 ms", "reward gradient p50 ms",
             "GFLOP per evaluation", "share of the floor"]  # fmt: skip
    return markdown(names, body)


def device_table(report: dict[str, Any]) -> str:
    body = [
        [row["strategy"], str(row["k"]), figures(row["tick_ms"]) if "tick_ms" in row else row["failure"]]
        for row in report["device"]
    ]
    return markdown(["strategy", "K", "tick p50 / p95 / p99 ms"], body)


def graph_text(graph: dict[str, Any]) -> str:
    """The counts that are no percentiles."""
    age = figures(graph["picture_age_ms"])
    jitter = graph["set_point_interval_ms"]
    control = f" Set-points arrive every {figures(jitter)} ms (p50 / p95 / p99)." if jitter else ""
    acted_on = graph.get("camera_to_set_point_ms", {})
    if acted_on.get("p50") is not None:
        control += f" The picture that a set-point acts on is {figures(acted_on)} ms old, by the world's clock."
    return (
        f"{graph['ticks']} steered ticks inside the running node graph at {graph['real_time_factor']:g} of real time, "
        f"K {', '.join(map(str, graph['k']))}, {graph['warm_share']:.0%} of them warm; "
        f"{graph['deadline_misses']} took longer than the period of {graph['tick_period_ms']:g} ms. The newest "
        f"picture behind the keypoints is {age} ms old when a chunk goes out.{control}\n"
    )


def graph_table(graph: dict[str, Any]) -> str:
    body = [[row["ticks"], row["part"], str(row["n"]), figures(row)] for row in graph["rows"]]
    return markdown(["ticks", "part", "n", "p50 / p95 / p99 ms"], body)


def markdown(names: list[str], body: list[list[str]]) -> str:
    rows = ["| " + " | ".join(row) + " |" for row in body]
    return "\n".join(["| " + " | ".join(names) + " |", "|" + "---|" * len(names), *rows, ""])


def figures(found: dict[str, float]) -> str:
    return f"{found['p50']:.1f} / {found['p95']:.1f} / {found['p99']:.1f}"


def draw(report: dict[str, Any], target: Path) -> None:
    """Above: where the time goes and what the others take; below: one panel a sweep."""
    swept = [name for name in SWEEPS if any(row["sweep"] == name for row in report["sweeps"])]
    figure = plt.figure(figsize=(12, 7), layout="constrained")
    above, below = figure.subfigures(2, 1)
    parts, others = above.subplots(1, 2)
    draw_parts(parts, report)
    draw_methods(others, report)
    if swept:
        panels = below.subplots(1, len(swept), sharey=True, squeeze=False)[0]
        for axes, name in zip(panels, swept, strict=True):
            draw_sweep(axes, name, [row for row in report["sweeps"] if row["sweep"] == name])
        panels[0].set_ylabel("ms per tick")
        panels[0].legend(fontsize=8, frameon=False)
    target.parent.mkdir(exist_ok=True)
    figure.savefig(target, dpi=100)
    plt.close(figure)


def draw_parts(axes: Axes, report: dict[str, Any]) -> None:
    """Medians of ours, warm and from noise, one after the other as they happen."""
    rows = report["rows"][:2]
    start = [0.0] * len(rows)
    for index, part in enumerate(ORDER):
        lengths = [(report["around_ms"].get(part) or row["parts_ms"].get(part, {"p50": 0.0}))["p50"] for row in rows]
        if max(lengths) > 0.0:
            labels = [row["method"] for row in rows]
            axes.barh(labels, lengths, left=start, label=part, color=plt.get_cmap("tab10")(index))
        start = [begun + length for begun, length in zip(start, lengths, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("ms, medians, from the picture to the accepted chunk")
    axes.set_title("Where a tick's time goes", loc="left", fontsize=10)
    axes.set_xlim(right=1.45 * max(start))
    axes.legend(fontsize=8, frameon=False, loc="center right")


def draw_methods(axes: Axes, report: dict[str, Any]) -> None:
    """Whole ticks of all methods, logarithmic."""
    rows = report["rows"]
    ticks = [row["parts_ms"]["tick"] for row in rows]
    names = [f"{row['method']}\nK {row['k']}, {row['nfe']:g} evals" for row in rows]
    middle = [tick["p50"] for tick in ticks]
    tail = [[0.0] * len(ticks), [tick["p95"] - tick["p50"] for tick in ticks]]
    bars = axes.barh(names, middle, xerr=tail, color=COLOURS["p50"], ecolor=COLOURS["p95"], capsize=3)
    axes.bar_label(bars, [f" {value:.0f} ms" for value in middle], fontsize=8, padding=10)
    axes.set_xscale("log")
    axes.set_xlim(1.0, 4.0 * max(tick["p95"] for tick in ticks))
    axes.invert_yaxis()
    axes.set_xlabel("ms per tick, median and p95, logarithmic")
    axes.set_title("Same policy, same observations, in turns", loc="left", fontsize=10)


def draw_sweep(axes: Axes, name: str, rows: list[dict[str, Any]]) -> None:
    values = [row["value"] for row in rows]
    for percentile, colour in COLOURS.items():
        axes.plot(values, [row["parts_ms"]["tick"][percentile] for row in rows], "o-", color=colour, label=percentile)
    axes.plot(values, [row["floor_ms"] for row in rows], ":", color="grey", label="floor of the network")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(values, [f"{value / 1e6:.1f} M" if name == "parameters" else str(value) for value in values])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(SWEEPS[name])


if __name__ == "__main__":
    main()
