"""docs/results/control.json, faults.json and hostile.json -> docs/control.md and docs/images/control.png."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from vls_steering.bench.faults import FaultRow, fault_table
from vls_steering.bench.provenance import of_commit

mpl.use("Agg")

DOCS = Path(__file__).resolve().parent.parent
CONTROL, FAULTS, HOSTILE = (DOCS / "results" / f"{name}.json" for name in ("control", "faults", "hostile"))
REHEARSAL = DOCS / "results" / "demo_libfranka.json"
PICTURE = DOCS / "images" / "control.png"
COLOURS = {"alone": "#1f5fa8", "busy": "#d97706"}
REHEARSAL_TEXT = """The whole graph, from cameras over perception, language and steering to the executor, with the
protocol arm behind it. "Camera to set-point" is the age of the picture that a set-point acts on, from its stamp to that
of the set-point. Below a pace of 1 it says how the parts work together, not what this computer manages in real time.
"""
TITLES = {
    "set_point_period": "Period of the set-points",
    "chunk_to_set_point_age": "Age of the chunk that a set-point follows",
}
INTRODUCTION = """# The arm under load and under faults

Made by `make docs` from `control.json`, `faults.json` and `hostile.json` in `docs/results/`. The arm is the simulated
FR3 behind libfranka's protocol, which enforces the communication and motion limits of the real one; no figure here is
of hardware.
"""
CONTROL_TEXT = """Random valid chunks at 20 Hz from a process of their own, nothing beside them (`alone`) and then a
process that never rests on every core (`busy`). Periods are the executor's own measure. The chunk's age counts from the
observation that it was planned from to the set-point that follows it. The lag is the delay that explains best how the
arm follows. An abort is a stop by the arm itself. Executor and chunks have real-time priority over the load, as the
nodes of a robot have where the host grants it, and so has the simulated arm, because a physical one has a computer of
its own. A chunk that is refused for `TCP_ACCELERATION` could not be joined gently enough from where the arm was; the
arm goes on with the last one.
"""
FAULTS_TEXT = """Each fault is brought about while the arm moves. It must end in the stated state with the true reason
within its bound, and the arm must track again after the cure. "s" and "bound" are of the arm's time; "pace" says how
much of it passes in a second of the wall's, and "wall s" is the same on the wall's clock: the rows of the camera and
the perception run slowed, so that a busy host's late pictures stop no arm, and do not tell how soon this host would
notice at full pace. "At rest" is the fastest joint after the stop as the simulated world itself measures it (empty: the
arm went on, or is gone). The oracle of the hostile streams below judges every set-point from before the fault to after
the cure, in unbroken stretches.
"""
HOSTILE_TEXT = """Random streams of chunks, most of them wrong in some way, through the executor with the arm of the row
behind it, every other one of which lags and rests beside its set-points. The oracle looks at every set-point and
at what the motion does between them: position, velocity, acceleration and jerk of the joints, of the hand and of the
elbow, workspace, tilt and, on the FR3, clearances.
"""


def main() -> None:
    """Write the page from what there is, and the figure when the control loop was measured."""
    blocks = [INTRODUCTION]
    if CONTROL.is_file():
        report = json.loads(CONTROL.read_text(encoding="utf-8"))
        draw(report, PICTURE)
        blocks += control(report)
    else:
        print(f"no {shown(CONTROL)}: `vls bench control --seconds 600 --out {shown(CONTROL)}`")
    if FAULTS.is_file():
        blocks += faults(json.loads(FAULTS.read_text(encoding="utf-8")))
    if REHEARSAL.is_file():
        blocks += rehearsal(json.loads(REHEARSAL.read_text(encoding="utf-8")))
    if HOSTILE.is_file():
        blocks += hostile(json.loads(HOSTILE.read_text(encoding="utf-8")))
    (DOCS / "control.md").write_text("\n".join(blocks), encoding="utf-8")


def control(report: dict[str, Any]) -> list[str]:
    """What was measured, one column a load."""
    seconds = report["config"]["seconds"]
    loads = list(seconds)
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in report["rows"]:
        metric = row["metric"].replace("_", " ")
        cells = found.setdefault((metric, row["unit"]), {})
        value = f"{row['value']:.4g}" if isinstance(row["value"], float) else str(row["value"])
        cells[row["load"]] = f"{cells[row['load']]}; {value}" if row["load"] in cells else value
    lines = [
        "| | " + " | ".join(f"{load}, {seconds[load]:g} s" for load in loads) + " |",
        "|---|" + "---|" * len(loads),
    ]
    for (metric, unit), cells in found.items():
        name = f"{metric}, {unit}" if unit not in ("", "1") else metric
        lines.append(f"| {name} | " + " | ".join(cells.get(load, "") for load in loads) + " |")
    run = f"vls bench control --seconds {seconds['busy']:g} --out {shown(CONTROL)}"
    picture = f"![Histograms of periods and ages](images/{PICTURE.name})\n"
    return [heading("vls bench control", run, report), CONTROL_TEXT, picture, *lines, ""]


def faults(report: dict[str, Any]) -> list[str]:
    """The table of `vls bench faults`."""
    run = f"vls bench faults{' --quick' * report['config']['quick']} --out {shown(FAULTS)}"
    table = fault_table([FaultRow(**row) for row in report["rows"]])
    return [heading("vls bench faults", run, report), FAULTS_TEXT, table, ""]


def rehearsal(report: dict[str, Any]) -> list[str]:
    """One run of the demo on the protocol arm: what it is asked for, and how old its pictures were."""
    age, factor = report["camera_to_set_point_ms"], report["real_time_factor"]
    rows = [
        ("the simulator sees", report["goal"] if report["success"] else "no success"),
        ("s to it, of the arm's time", report["seconds_to_success"]),
        ("pace of the arm's time", factor),
        *((f"camera to set-point {q}, ms of the arm's time", value) for q, value in age.items()),
        *((f"steered tick {q}, ms", value) for q, value in report["tick_ms"].items()),
        *((f"chunks {kind}", report["governor"][kind]) for kind in ("passed", "scaled", "rejected")),
    ]
    return [
        heading("make demo ROBOT=libfranka", f"tools/rehearsal.sh {report['asked_pace']:g}", report),
        REHEARSAL_TEXT,
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in rows),
        "",
    ]


ARMS = {"linear": "linear in its joints", "fr3": "the FR3's own kinematics and volume"}


def hostile(report: dict[str, Any]) -> list[str]:
    """The sums of the nightly run, one row an arm and a period."""
    lines = [
        "## Hostile streams\n\n    tools/nightly.sh\n",
        HOSTILE_TEXT,
        "| arm | period of the set-points, s | looked at every, s | streams | set-points | violations | commit |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = [
        f"| {ARMS[run['arm']]} | {run['period_s']} | {run['looked_at_every_s']} "
        f"| {run['examples']:,} | {run['set_points']:,} | {run['violations']:,} | {run['commit']} |"
        for run in report["runs"]
    ]
    return [*lines, *rows, ""]


def heading(title: str, run: str, report: dict[str, Any]) -> str:
    machine = report["machine"]
    return f"## {title}\n\n    {run}\n\n{machine['processor']}, {machine['cores']} cores; {of_commit(report)}.\n"


def draw(report: dict[str, Any], target: Path) -> None:
    """One panel a quantity; shares, so that a minute compares with ten."""
    figure, panels = plt.subplots(1, len(TITLES), figsize=(12, 4), layout="constrained")
    for axes, (metric, title) in zip(panels, TITLES.items(), strict=True):
        drawn = [found for found in report["histograms"] if found["metric"] == metric]
        for found in drawn:
            draw_histogram(axes, found)
        axes.set_ylim(bottom=0.5 / max(total(found) for found in drawn))  # one value shows
        axes.set_title(title, loc="left", fontsize=10)
        axes.set_xlabel("ms")
    panels[0].set_ylabel("share of the set-points, logarithmic")
    panels[0].legend(fontsize=8, frameon=False)
    target.parent.mkdir(exist_ok=True)
    figure.savefig(target, dpi=100)
    plt.close(figure)


def draw_histogram(axes: Axes, found: dict[str, Any]) -> None:
    """One load; bins without a value leave a gap."""
    edges, counts = zip(*found["bins"], strict=True)
    shares = [count / total(found) for count in counts]
    axes.bar(
        edges, shares, found["bin_width"], align="edge", color=COLOURS[found["load"]], alpha=0.6, label=found["load"]
    )
    axes.set_yscale("log")


def total(found: dict[str, Any]) -> int:
    return sum(count for _, count in found["bins"])


def shown(path: Path) -> Path:
    return path.relative_to(DOCS.parent)


if __name__ == "__main__":
    main()
