"""The keys of report.json that other programs read."""

from __future__ import annotations

from typing import Any

CONTRACT = {
    "success": bool,
    "judged_by": str,
    "instruction": str,
    "program_sha256": str,
    "written_by": str,
    "scene": str,
    "seed": int,
    "stages": list,
    "collisions": int,
    "tick_ms": dict,
    "share_steered": float,
    "governor": dict,
    "versions": dict,
    "exit_code": int,
    "error_code": str,
    "error_msg": str,
}


def assert_kept(report: dict[str, Any]) -> None:
    for key, kind in CONTRACT.items():
        assert isinstance(report[key], kind), key
    assert {"p50", "p95"} <= set(report["tick_ms"])
    assert {"passed", "scaled", "rejected"} <= set(report["governor"])
    assert report["judged_by"] in ("simulator", "program")
    # Success and the exit code never disagree, and what went wrong has a name and words.
    assert report["success"] is (report["exit_code"] == 0)
    assert bool(report["error_code"]) is bool(report["error_msg"]) is not report["success"]
