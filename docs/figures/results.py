"""docs/results/*.json -> docs/results.md: the tables are made from the files that the benchmarks wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent
INTRODUCTION = """# Results

Made by `make docs` from the JSON files in `docs/results/`, each written by the command above its table. Failures,
refusals, time-outs and crashes stay in the denominator; intervals are 95 % Wilson. The clock is paused: the simulated
world waits for the sampler. Perception is the cameras' unless a title says privileged.
"""


def main() -> None:
    """Write docs/results.md."""
    reports = {path: json.loads(path.read_text(encoding="utf-8")) for path in sorted((DOCS / "results").glob("*.json"))}
    # Latencies have a page of their own.
    sections = [section(path, report) for path, report in reports.items() if "rows" in report]
    (DOCS / "results.md").write_text("\n".join([INTRODUCTION, *sections]), encoding="utf-8")


def section(path: Path, report: dict[str, Any]) -> str:
    """One benchmark: command, machine, table."""
    config, machine = report["config"], report["machine"]
    options = f"--episodes {config.get('episodes', config.get('scenes'))} --seed {config['seed']}"
    if "methods" in config:
        options += f" --methods {','.join(config['methods'])} --jobs {config['jobs']}"
    privileged = ", privileged keypoints" if config.get("perception") == "privileged" else ""
    lines = [
        f"## {report['bench']}{privileged}",
        "",
        f"    vls bench {report['bench']} {options} --out docs/results/{path.name}",
        "",
        (f"{machine['processor']}, {machine['cores']} cores, accelerator {machine['accelerator']}, "
        f"torch {machine['torch']}."),
        "",
    ]
    return "\n".join([*lines, *table(report["rows"]), ""])


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Markdown; success rows in the words of the contract, other rows as they are."""
    if "tick_ms_p50" not in rows[0]:
        columns = [name for name in rows[0] if name not in ("suite", "shift")]
        return markdown(columns, [[cell(row[name]) for name in columns] for row in rows])
    body = [
        [
            row["instruction"] or "(none)",
            row["shift"],
            row["method"],
            f"{row['successes']}/{row['n']}",
            f"{row['wilson_low']:.2f} .. {row['wilson_high']:.2f}",
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


def markdown(names: list[str], body: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(names) + " |", "|" + "---|" * len(names), *("| " + " | ".join(r) + " |" for r in body)]


def cell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else "" if value is None else str(value)


if __name__ == "__main__":
    main()
