"""A figure can be traced to the code and to the sampler that it was measured with."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from vls_steering import __version__
from vls_steering.bench.provenance import commits_of, describe_checkout, of_commit, steering_config, steering_digest
from vls_steering.bench.rows import write_rows
from vls_steering.steering.presets import PRESETS, preset


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """One commit with a source file and a result."""
    for name in ("vls_steering/core.py", "docs/results/play.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1\n")
    author = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    for arguments in (("init", "-q"), ("add", "."), (*author, "commit", "-qm", "first")):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True)
    return tmp_path


def test_a_checkout_is_named_by_its_commit(checkout: Path) -> None:
    head = subprocess.run(["git", "-C", str(checkout), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert head.stdout.startswith(describe_checkout(checkout))
    assert len(describe_checkout(checkout)) >= 7


def test_changed_code_is_marked(checkout: Path) -> None:
    (checkout / "vls_steering/core.py").write_text("2\n")
    assert describe_checkout(checkout).endswith("-dirty")


def test_results_that_a_run_replaces_are_no_changed_code(checkout: Path) -> None:
    (checkout / "docs/results/play.json").write_text("2\n")
    (checkout / "notes.txt").write_text("not tracked\n")
    assert not describe_checkout(checkout).endswith("-dirty")


def test_an_installation_is_named_by_its_version(checkout: Path) -> None:
    assert describe_checkout(checkout / "vls_steering") == __version__
    (checkout / "vls_steering/.git").write_text("gitdir: /nowhere\n")  # a broken checkout is no reason to stop
    assert describe_checkout(checkout / "vls_steering") == __version__


def test_every_preset_has_its_own_digest() -> None:
    digests = {steering_digest(settings) for settings in PRESETS.values()}
    assert len(digests) == len(set(map(str, PRESETS.values())))
    changed = preset("ours").model_copy(update={"eta": 0.1})
    assert steering_digest(changed) != steering_digest(preset("ours")) == steering_digest(preset("ours").model_copy())


def test_the_effective_settings_are_plain_json() -> None:
    written = json.loads(json.dumps(steering_config({"vls": preset("vls")})))
    assert written["vls"]["settings"] == preset("vls").model_dump()


def test_every_table_of_rows_says_its_commit(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.json", "grasp", {"seed": 1}, [{"n": 1}])
    report = json.loads((tmp_path / "rows.json").read_text())
    assert set(report) == {"bench", "config", "version", "commit", "machine", "rows"}
    assert of_commit(report) == f"commit {report['commit']}"


def test_what_is_older_than_the_record_says_so() -> None:
    assert of_commit({"version": "0.1.0"}) == "commit not recorded"
    assert commits_of([{"success": True}, {"commit": "abc"}, {"commit": "abc"}]) == "not recorded, abc"
