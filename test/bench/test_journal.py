"""Journals of finished episodes: what was committed can be read, what was torn or is another run's is not taken."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vls_steering.bench.journal import Journal
from vls_steering.bench.spread import spread
from vls_steering.bench.tables import EpisodeKey
from vls_steering.core.errors import ConfigurationError

COMMITTED = sorted((Path(__file__).resolve().parents[2] / "docs" / "results").glob("*.episodes.jsonl"))
KEYS = [EpisodeKey("pick blue", "ours", seed) for seed in range(3)]


def paused(_: EpisodeKey) -> dict[str, str]:
    return {"clock": "paused"}


def test_what_was_written_is_read(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run.jsonl", paused, EpisodeKey)
    assert journal.read() == {}
    for key in KEYS:
        journal.append(key, {"success": True, "seed": key.seed})
    assert journal.read() == {key: {"success": True, "seed": key.seed} for key in KEYS}
    journal.clear()
    assert journal.read() == {}


def test_a_torn_line_is_an_episode_that_is_not_done(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "run.jsonl", paused, EpisodeKey)
    for key in KEYS:
        journal.append(key, {})
    text = (tmp_path / "run.jsonl").read_text()
    (tmp_path / "run.jsonl").write_text(text[:-20])
    assert list(journal.read()) == KEYS[:-1]


def test_another_runs_journal_is_not_gone_on_with(tmp_path: Path) -> None:
    Journal(tmp_path / "run.jsonl", paused, EpisodeKey).append(KEYS[0], {})
    with pytest.raises(ConfigurationError, match="another run: clock differs"):
        Journal(tmp_path / "run.jsonl", lambda _: {"clock": "running"}, EpisodeKey).read()


def test_what_must_not_differ_may_depend_on_the_episode(tmp_path: Path) -> None:
    path, base = tmp_path / "run.jsonl", EpisodeKey("pick blue", "base", 0)
    for key in (KEYS[0], base):
        Journal(path, lambda key: {"sampler": key.method}, EpisodeKey).append(key, {})
    assert list(Journal(path, lambda key: {"sampler": key.method}, EpisodeKey).read()) == [KEYS[0], base]
    with pytest.raises(ConfigurationError, match="sampler differs"):
        Journal(path, lambda _: {"sampler": "ours"}, EpisodeKey).read()


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.name)
def test_committed_journals_can_be_gone_on_with(path: Path) -> None:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    runs = {EpisodeKey(**line["key"]): line["run"] for line in lines}
    done = Journal(path, runs.__getitem__, EpisodeKey).read()
    assert len(done) == len(lines)
    assert all("success" in result for result in done.values())


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_key_is_run_once(jobs: int) -> None:
    assert sorted(spread(abs, [-3, -1, -2], jobs)) == [(-3, 3), (-2, 2), (-1, 1)]
