"""Rows of figures: the JSON that a benchmark leaves, and the table that a person reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rich.console import Console
from rich.table import Table

from vls_steering.bench.provenance import measured

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def write_rows(
    out: Path,
    bench: str,
    config: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    more: Mapping[str, Any] = _NOTHING,
) -> None:
    """Write `out` and print the rows, all of the same columns; `more` is what the file holds besides."""
    report = {**measured(bench, config), "rows": list(rows), **more}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    table = Table(title=f"{bench} ({out})")
    for column in rows[0]:
        table.add_column(column)
    for row in rows:
        table.add_row(*(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()))
    Console().print(table)
