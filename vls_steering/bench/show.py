"""A success report on the terminal: methods, groups of tasks, and methods against each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from vls_steering.policies.shipped import SHIPPED_POLICY

Row = Mapping[str, Any]


def print_success(report: Row) -> None:
    """Print the tables of `vls_steering.bench.tables.report_rows`."""
    config, console = report["config"], Console()
    console.print(_totals(f"{report['bench']}: {title(config)}", report["totals"]))
    console.print(_groups(report["groups"], config["methods"]))
    if report["paired"]:
        console.print(_paired(report["paired"]))


def title(config: Row) -> str:
    """What a reader must know about every number of the report."""
    every_s = config.get("plan_every_given_s")
    return (
        f"{config['episodes']} {config['seeds']} seeds, clock {config['clock']}, "
        f"{'privileged keypoints' if config['perception'] == 'privileged' else 'perception by cameras'}"
        + (f", a plan every {every_s:g} s" if every_s is not None else "")
        + (f", {config['policy']}" if config.get("policy", SHIPPED_POLICY.name) != SHIPPED_POLICY.name else "")
    )


def _totals(heading: str, rows: Sequence[Row]) -> Table:
    table = Table(title=heading)
    for column in ("method", "success", "95 % interval", "collisions", "interventions", "holds", "rows/tick",
                   "tick p50/p95 ms", "median s", "endings"):  # fmt: skip
        table.add_column(column)
    for row in rows:
        table.add_row(
            row["method"],
            fraction(row),
            f"{row['wilson_low']:.2f} .. {row['wilson_high']:.2f}",
            str(row["collisions"]),
            str(row["interventions"]),
            str(row["holds"]),
            str(row["rows_per_tick"]),
            f"{row['tick_ms_p50']} / {row['tick_ms_p95']}",
            str(row["seconds_to_success_p50"]),
            ", ".join(f"{ending} {count}" for ending, count in row["endings"].items()),
        )
    return table


def _groups(rows: Sequence[Row], methods: Sequence[str]) -> Table:
    table = Table("", *methods)
    for group, cells in by_group(rows).items():
        table.add_row(group, *(fraction(cells[method]) for method in methods))
    return table


def _paired(rows: Sequence[Row]) -> Table:
    table = Table("ours against", "difference", "95 % interval", "only ours", "only theirs", "p", "their tick / ours")
    for row in rows:
        table.add_row(
            row["against"],
            f"{row['difference']:+.2f}",
            f"{row['low']:+.2f} .. {row['high']:+.2f}",
            str(row["only_first"]),
            str(row["only_second"]),
            f"{row['p_value']:.2g}",
            str(row["tick_ratio_p50"]),
        )
    return table


def by_group(rows: Sequence[Row]) -> dict[str, dict[str, Row]]:
    """Group -> method -> row."""
    groups: dict[str, dict[str, Row]] = {}
    for row in rows:
        groups.setdefault(row["group"], {})[row["method"]] = row
    return groups


def fraction(row: Row) -> str:
    return f"{row['successes']}/{row['n']}"
