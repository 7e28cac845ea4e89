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
    """Write `out` and print the rows, by the columns of the first; `more` is what the file holds besides."""
    report = {**measured(bench, config), "rows": list(rows), **more}
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    table = Table(title=f"{bench} ({out})")
    columns = [name for name, value in rows[0].items() if not isinstance(value, list)]  # lists are for the file
    for column in columns:
        table.add_column(column)
    for row in rows:
        values = [row.get(column, "") for column in columns]
        table.add_row(*(f"{value:.3f}" if isinstance(value, float) else str(value) for value in values))
    Console().print(table)
