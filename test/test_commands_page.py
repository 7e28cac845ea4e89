"""docs/commands.md promises what the code keeps."""

from __future__ import annotations

import json
import re
from pathlib import Path

from bench.contract import HEAD, ROWS

from vls_steering.core.errors import ExitCode
from vls_steering.rewards.report import check_text

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "commands.md").read_text(encoding="utf-8")


def section(name: str) -> str:
    return PAGE.partition(f"\n## {name}\n")[2].partition("\n## ")[0]


def test_every_exit_code_is_there() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", section("Exit codes"), re.MULTILINE)
    assert [(int(code), name) for code, name in rows] == [(int(code), code.name) for code in ExitCode]


def test_every_benchmark_has_the_keys_that_are_agreed() -> None:
    rows = re.findall(r"^\| (`[^|]+) \| `([\w, ]+)` \|$", section("vls bench"), re.MULTILINE)
    promised = {name.strip("`"): keys.split(", ") for names, keys in rows for name in names.split(", ")}
    assert promised == {name: list(keys) for name, keys in ROWS.items()}
    head = re.search(r"`\{(bench[^}]+)\}`", section("vls bench"))
    assert head is not None
    assert set(HEAD) <= set(head[1].split(", "))


def test_the_verdict_of_check_has_the_keys_that_are_promised() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", section("vls check"), re.MULTILINE)
    verdict = check_text(json.dumps({"instruction": "a task", "stages": []}), "p.json").as_dict()
    assert set(verdict) == set(rows)
    promised = re.search(r"`\{(where[^}]+)\}`", section("vls check"))
    assert promised is not None
    assert set(verdict["diagnostics"][0]) == set(promised[1].split(", "))
