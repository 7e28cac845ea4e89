"""test/vlm/instructions.yaml -> docs/results/instructions.json and the table of docs/vlm.md."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test"))

from vlm.suite import Reading, load, read  # noqa: E402 - the suite lives with its tests

RESULT = ROOT / "docs" / "results" / "instructions.json"
PAGE = ROOT / "docs" / "vlm.md"
BEGIN, END = "<!-- instructions: begin -->\n", "<!-- instructions: end -->\n"


def main() -> None:
    readings = [(case, read(case)) for case in load()]
    parts = {
        part: Counter(reading.verdict for case, reading in readings if case.part == part)
        for part in ("simple", "compound", "refused")
    }
    figures = {
        part: {verdict: counts[verdict] for verdict in ("exact", "refused", "wrong")} for part, counts in parts.items()
    }
    refused = {
        case.text: reading.reason for case, reading in readings if case.part != "refused" and _is_refused(reading)
    }
    RESULT.write_text(json.dumps({"suite": "instructions", "figures": figures, "refused": refused}, indent=2) + "\n")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(before + BEGIN + table(figures) + END + rest.partition(END)[2], encoding="utf-8")


def table(figures: dict[str, dict[str, int]]) -> str:
    rows = ["| part | instructions | exact | refused | wrong |", "|---|---|---|---|---|"]
    rows += [
        f"| {part} | {sum(counts.values())} | {counts['exact']} | {counts['refused']} | {counts['wrong']} |"
        for part, counts in figures.items()
    ]
    return "\n".join(rows) + "\n"


def _is_refused(reading: Reading) -> bool:
    return reading.verdict == "refused"


if __name__ == "__main__":
    main()
