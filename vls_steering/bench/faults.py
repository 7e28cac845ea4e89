"""What became of each fault: the row that `vls bench faults` writes, and the table that docs show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class FaultRow:
    """One fault, injected while the arm moved."""

    fault: str
    ended_in: str  # state of the executor
    reason: str  # its reason code by name; of the rejections when the arm went on
    seconds: float  # from the injection to that state
    within_s: float  # the stated bound
    ok: bool  # the right state, the true reason, in time, and the arm tracked again afterwards
    recovered_s: float  # from the cure to tracking; -1 = it did not
    text: str = ""  # the executor's words

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def fault_table(rows: Sequence[FaultRow]) -> str:
    """Markdown, one line a fault."""
    lines = ["| fault | ended in | reason | s | bound | tracked again after | |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        again = f"{row.recovered_s:.1f} s" if row.recovered_s >= 0 else "not"
        mark = "ok" if row.ok else "FAILED"
        how = f"{row.ended_in} | `{row.reason}` | {row.seconds:.2f} | {row.within_s:g}"
        lines.append(f"| {row.fault} | {how} | {again} | {mark} |")
    return "\n".join(lines)
