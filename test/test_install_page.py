"""docs/install.md names what exists: every dependency, file, reason and parameter."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vls_steering.safety import ReasonCode

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
tomllib = pytest.importorskip("tomllib")  # Python 3.11
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~; ]", requirement)[0].strip("'").lower() for requirement in requirements}


def test_what_pip_adds_to_a_sourced_distribution_is_all_that_the_package_needs() -> None:
    lines = PAGE.replace("\\\n", " ").splitlines()
    commands = [line.partition("#")[0] for line in lines if line.startswith("    pip install ")]
    listed = names(" ".join(commands).split())
    wanted = names(PROJECT["dependencies"]) | names(PROJECT["optional-dependencies"]["sim"])
    assert wanted - listed == set()


def test_every_page_and_file_that_it_names_exists() -> None:
    named = set(re.findall(r"\]\(([\w.]+\.md)\)", PAGE)) | set(re.findall(r"`((?:[\w.]+/)+[\w.]+\.\w+)`", PAGE))
    assert [name for name in named if not any((home / name).exists() for home in (ROOT, ROOT / "docs"))] == []


def test_every_reason_that_it_names_is_one() -> None:
    table = PAGE.partition("## When it does not work")[2]
    reasons = set(re.findall(r"`([A-Z]+_[A-Z]+)`", table)) - {"ROS_DOMAIN_ID", "COLCON_IGNORE"}
    assert {"STREAM_FAULTY", "SECOND_PUBLISHER", "CLOCK_SKEW"} <= reasons
    assert [reason for reason in reasons if reason not in ReasonCode.__members__] == []


def test_every_node_that_it_starts_is_a_module() -> None:
    started = set(re.findall(r"-m vls_steering\.nodes\.(\w+)", PAGE))
    looped = re.search(r"for node in ([\w ]+);", PAGE)
    assert looped is not None
    for node in {*started, *looped[1].split()} - {""}:
        assert (ROOT / "vls_steering" / "nodes" / f"{node}.py").is_file(), node
