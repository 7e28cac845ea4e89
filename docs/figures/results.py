"""docs/results/*.json -> docs/results.md: the tables are made from the files that the benchmarks wrote."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vls_steering.bench.provenance import of_commit
from vls_steering.bench.show import by_group, fraction, title
from vls_steering.bench.suites import SHIFTS
from vls_steering.policies.shipped import SHIPPED_POLICY
from vls_steering.sim.scenes import SCENES

DOCS = Path(__file__).resolve().parent.parent
# What belongs on this page; other benchmarks have pages of their own.
HERE = ("play", "shift", "quick", "undirected", "grasp", "perception")
# What two reports that differ in the clock alone have in common.
SAME = ("seeds", "seed", "episodes", "perception", "plan_every_given_s", "policy")
INTRODUCTION = """# Results

Made by `make docs` from the JSON files in `docs/results/`, each written by the command above its table. Failures,
refusals, time-outs and crashes stay in the denominator; intervals are 95 % Wilson, those of differences Bonett and
Price's for paired proportions; p is the exact McNemar test, two-sided. Every layout was first solved by a script with
privileged positions. `interventions` counts chunks that the governor slowed down or refused, `holds` ticks without an
admissible candidate, `collisions` episodes in which the obstacle was touched or the keep-out entered: those fail.

The clock is `paused` (the simulated world waits for the sampler, as papers do) or `running` (it goes on for as long as
the tick takes, the arm follows the chunk before, and a late chunk is late; the governor, the same as on a robot,
refuses chunks planned from an observation older than 0.6 s). VLS plans as published, once in half a chunk (0.8 s), with
an executor that trusts a chunk to its end. With the running clock it stops to think, as it does on a robot: it looks
while the arm stands, executes the first half of the chunk when that arrives, and comes to rest before it looks again;
its executor waits as long as that takes. Ticks are measured in processor time.
Perception is the cameras' unless a title says privileged: then positions come from the simulator.

Where a table is of two commits, ours is of the later one throughout, and so are all methods' lifts from a raised
support: there the hand can press on the support, which the executor stops since it takes 0.12 rad between joint and
set-point for a collision (before, 0.35). The other episodes of the other methods were kept, because nothing else of
them changed: of 60 such episodes that were run on both commits, 58 were the same to the last digit and 59 ended alike.
Ours was timed then with other work on the machine; ratios of ticks in one run are on the [latency](latency.md) page.
"""
Report = Mapping[str, Any]


def main() -> None:
    """Write docs/results.md."""
    reports = [
        (path, json.loads(path.read_text(encoding="utf-8"))) for path in sorted((DOCS / "results").glob("*.json"))
    ]
    reports = sorted((r for r in reports if r[1].get("bench") in HERE), key=lambda r: HERE.index(r[1]["bench"]))
    parts = [INTRODUCTION]
    for bench in HERE:
        mine = [(path, report) for path, report in reports if report["bench"] == bench]
        if mine and bench == "shift":
            parts.append(shifts())
        parts += [section(path, report) for path, report in mine]
        parts += clocks(bench, [report for _, report in mine if "totals" in report])
    (DOCS / "results.md").write_text("\n".join(parts), encoding="utf-8")


def shifts() -> str:
    """What is asked for, and what each shift does to the table, in the words of the code that draws it."""
    lines = ["## The shifts", ""]
    for shift in SHIFTS:
        drawn = " ".join((inspect.getdoc(SCENES[shift.scene]) or "").split())
        lines.append(f'- **{shift.name}** ("{shift.words.format("...")}"). {drawn}')
    return "\n".join([*lines, ""])


def section(path: Path, report: Report) -> str:
    """One benchmark: command, machine, tables."""
    config, machine = report["config"], report["machine"]
    heading = f"{report['bench']}: {title(config)}" if "seeds" in config else report["bench"]
    lines = [
        f"## {heading}",
        "",
        f"    {command(path, report)}",
        "",
        (f"{machine['processor']}, {machine['cores']} cores, accelerator {machine['accelerator']}, "
        f"torch {machine['torch']}; {of_commit(report)}."),
        "",
    ]  # fmt: skip
    if "totals" in report:
        return "\n".join([*lines, *suite_tables(report), "", *rates(config), ""])
    if "tick_ms_p50" in report["rows"][0]:
        lines += [f"By version {report['version']}, whose ticks are by the wall clock.", ""]
    return "\n".join([*lines, *table(report["rows"]), ""])


def rates(config: Report) -> list[str]:
    """How often each method plans, where they differ."""
    every_s: Mapping[str, float] = config.get("plan_every_s", {})
    if len(set(every_s.values())) < 2:
        return []
    listed = ", ".join(f"{method} {seconds:g} s" for method, seconds in every_s.items())
    return [f"From one plan to the next, unless planning takes longer: {listed}."]


def command(path: Path, report: Report) -> str:
    """What wrote the file."""
    config = report["config"]
    words = [f"vls bench {report['bench']}"]
    words += [f"--{name} {config[name]}" for name in ("episodes", "scenes", "sequences") if name in config]
    if config.get("seeds") in ("development", "held-out"):
        words.append(f"--seeds {config['seeds']}")
    else:
        words.append(f"--seed {config['seed']}")
    if "methods" in config:
        words.append(f"--methods {','.join(config['methods'])} --jobs {config['jobs']}")
    if config.get("clock", "paused") != "paused":
        name, *scaled = config["clock"].split(" at ")
        words.append(f"--clock {name}" + (f" --time-scale {scaled[0].split()[0]}" if scaled else ""))
    if config.get("plan_every_given_s") is not None:
        words.append(f"--plan-every {config['plan_every_given_s']:g}")
    if config.get("perception") == "privileged":
        words.append("--privileged")
    if config.get("policy", SHIPPED_POLICY.name) != SHIPPED_POLICY.name:
        words.append(f"--policy vls_steering/data/policies/{config['policy']}")
    return " ".join([*words, f"--out docs/results/{path.name}"])


def suite_tables(report: Report) -> list[str]:
    """Methods; groups of tasks by method; `ours` against the others."""
    methods = report["config"]["methods"]
    lines = markdown(
        ["method", "success", "95 % interval", "collisions", "interventions", "holds", "median s", "rows/tick",
         "tick p50/p95 ms"],
        [
            [
                row["method"], fraction(row), interval(row, "wilson_low", "wilson_high", ".2f"),
                str(row["collisions"]), str(row["interventions"]), str(row["holds"]),
                cell(row["seconds_to_success_p50"]), str(row["rows_per_tick"]),
                f"{row['tick_ms_p50']} / {row['tick_ms_p95']}",
            ]
            for row in report["totals"]
        ],
    )  # fmt: skip
    groups = by_group(report["groups"])
    lines += ["", *markdown(["", *methods], [[g, *(fraction(rows[m]) for m in methods)] for g, rows in groups.items()])]
    if report["paired"]:
        names = ["ours against", "difference", "95 % interval", "only ours", "only theirs", "p", "their tick / ours"]
        lines += ["", *markdown(names, [paired(row) for row in report["paired"]])]
    return lines


def paired(row: Report) -> list[str]:
    return [
        row["against"],
        f"{row['difference']:+.2f}",
        interval(row, "low", "high", "+.2f"),
        str(row["only_first"]),
        str(row["only_second"]),
        f"{row['p_value']:.2g}",
        cell(row["tick_ratio_p50"]),
    ]


def clocks(bench: str, reports: Sequence[Report]) -> list[str]:
    """What a method loses when the world does not wait: every pair of reports that differ in the clock alone."""
    parts = []
    for paused in (r for r in reports if r["config"]["clock"] == "paused"):
        for running in (r for r in reports if r["config"]["clock"].startswith("running")):
            if any(paused["config"].get(key) != running["config"].get(key) for key in SAME):
                continue
            waits = {row["method"]: row for row in paused["totals"]}
            body = [
                [row["method"], fraction(waits[row["method"]]), fraction(row), points(waits[row["method"]], row)]
                for row in running["totals"]
                if row["method"] in waits
            ]
            heading = f"## {bench}: what the {running['config']['clock']} clock costs, {title(paused['config'])}"
            names = ["method", "paused", running["config"]["clock"], "points lost"]
            parts.append("\n".join([heading, "", *markdown(names, body), ""]))
    return parts


def points(paused: Report, running: Report) -> str:
    return f"{100 * (paused['successes'] / paused['n'] - running['successes'] / running['n']):.0f}"


def table(rows: Sequence[Report]) -> list[str]:
    """Markdown; success rows in the words of the contract, other rows as they are."""
    if "tick_ms_p50" not in rows[0]:
        columns = [name for name in rows[0] if name not in ("suite", "shift")]
        return markdown(columns, [[cell(row[name]) for name in columns] for row in rows])
    body = [
        [
            row["instruction"] or "(none)",
            row["shift"],
            row["method"],
            fraction(row),
            interval(row, "wilson_low", "wilson_high", ".2f"),
            str(row["collisions"]),
            f"{row['tick_ms_p50']} / {row['tick_ms_p95']}",
            str(row["rows_per_tick"]),
            cell(row["seconds_to_success_p50"]),
        ]
        for row in rows
    ]
    names = ["instruction", "shift", "method", "success", "95 % interval", "touched", "tick p50/p95 ms", "rows/tick",
             "median s"]  # fmt: skip
    lines = markdown(names, body)
    firsts = [row for row in rows if not row["instruction"] and row["first_skill"]]
    for row in firsts:
        shares = ", ".join(f"{skill} {count}" for skill, count in row["first_skill"].items())
        lines += ["", f"First skill completed by {row['method']}: {shares}."]
    return lines


def markdown(names: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(names) + " |", "|" + "---|" * len(names), *("| " + " | ".join(r) + " |" for r in body)]


def interval(row: Report, low: str, high: str, style: str) -> str:
    return f"{row[low]:{style}} .. {row[high]:{style}}"


def cell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else "" if value is None else str(value)


if __name__ == "__main__":
    main()
