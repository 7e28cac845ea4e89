"""Tables count everything that was run, and compare methods episode by episode."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vls_steering.bench import runner
from vls_steering.bench.clock import PausedClock
from vls_steering.bench.provenance import commit, steering_digest
from vls_steering.bench.runner import BenchOptions, run_bench
from vls_steering.bench.seeds import seeds_from
from vls_steering.bench.statistics import paired_difference
from vls_steering.bench.suites import PLAY, SHIFT
from vls_steering.bench.tables import EpisodeKey, Episodes, report_rows
from vls_steering.core.errors import ConfigurationError
from vls_steering.policies.shipped import SHIPPED_POLICY
from vls_steering.steering.presets import preset


def result(success: bool, tick_ms: float = 50.0, **more: Any) -> dict[str, Any]:
    ending = "success" if success else "time-out"
    base = {"success": success, "ending": ending, "completed": [], "collisions": 0, "seconds": 5.0}
    return {**base, "tick_ms": [tick_ms] * 3, "network_rows": [48] * 3, "scaled": 1, "rejected": 2, **more}


def shift_episodes(count: int = 24) -> Episodes:
    """`ours` solves everything, `base` only what is in no way blocked, and crashes on the last one."""
    results = {}
    for task, seed in SHIFT.deal(SHIFT.tasks, range(count)):
        results[EpisodeKey(task.name, "base", seed)] = result(task.shift not in ("obstacle", "keep-out region"), 500.0)
        results[EpisodeKey(task.name, "ours", seed)] = result(True)
    crash = {"success": False, "ending": "crash", "crash": "Traceback", "collisions": 0, "completed": []}
    results[EpisodeKey(SHIFT.tasks[count - 1].name, "base", count - 1)] = crash
    return Episodes(SHIFT, ("base", "ours"), results)


def test_a_crash_stays_in_the_denominator() -> None:
    total = next(row for row in report_rows(shift_episodes())["totals"] if row["method"] == "base")
    assert (total["n"], total["successes"], total["crashed"]) == (24, 15, 1)
    assert total["endings"]["crash"] == 1


def test_rows_have_the_columns_of_the_contract() -> None:
    row = report_rows(shift_episodes())["rows"][0]
    for column in ("suite", "task", "shift", "method", "n", "successes", "wilson_low", "wilson_high", "collisions",
                   "tick_ms_p50", "tick_ms_p95", "rows_per_tick"):  # fmt: skip
        assert column in row
    assert row["interventions"] == 3


def test_groups_add_up_by_shift_and_by_skill() -> None:
    groups = [row for row in report_rows(shift_episodes())["groups"] if row["method"] == "base"]
    shifts = {row["group"]: row for row in groups[:6]}
    assert shifts["obstacle"]["successes"] == 0
    assert shifts["clutter"]["successes"] == 4
    assert sum(row["n"] for row in groups[:6]) == sum(row["n"] for row in groups[6:]) == 24


def test_ours_is_compared_on_the_same_episodes() -> None:
    (row,) = report_rows(shift_episodes())["paired"]
    assert (row["against"], row["only_first"], row["only_second"]) == ("base", 9, 0)
    assert row["p_value"] == pytest.approx(2 / 2**9)
    assert row["tick_ratio_p50"] == 10.0


def test_tasks_that_no_seed_was_dealt_to_have_no_row() -> None:
    assert len(report_rows(shift_episodes(count=2))["rows"]) == 4


def test_the_paired_interval_of_bonett_and_price() -> None:
    # Their example (2012): n = 80, 20 and 5 discordant pairs... recomputed by hand from the formula:
    # p12 = 21/82, p21 = 6/82, d = 15/82, se = sqrt((27/82 - d^2) / 82).
    difference = paired_difference([True] * 20 + [False] * 5 + [True] * 55, [False] * 20 + [True] * 5 + [True] * 55)
    middle, error = 15 / 82, ((27 / 82 - (15 / 82) ** 2) / 82) ** 0.5
    assert difference.difference == pytest.approx(15 / 80)
    assert (difference.low, difference.high) == pytest.approx((middle - 1.96 * error, middle + 1.96 * error), abs=1e-4)


def options(out: Path, resume: bool = False, privileged: bool = True) -> BenchOptions:
    seeds = seeds_from(0, 4)
    return BenchOptions("play", out, SHIPPED_POLICY, seeds, ("base", "ours"), PausedClock(), 1, privileged, resume)


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[EpisodeKey] = []

    def run(_: BenchOptions, key: EpisodeKey) -> dict[str, Any]:
        if len(ran) == 5:
            raise KeyboardInterrupt
        ran.append(key)
        return result(key.method == "ours")

    monkeypatch.setattr(runner, "_run_episode", run)
    with pytest.raises(KeyboardInterrupt):
        run_bench(options(tmp_path / "play.json"))
    with (tmp_path / "play.episodes.jsonl").open("a") as log:
        log.write('{"key": {"task"')  # cut off while writing
    before, ran[:] = list(ran), []
    report = run_bench(options(tmp_path / "play.json", resume=True))
    assert len(ran) == 8 - len(before)
    assert not set(ran) & set(before)
    assert [row["n"] for row in report["totals"]] == [4, 4]
    assert json.loads((tmp_path / "play.json").read_text())["config"]["clock"] == "paused"
    with pytest.raises(ConfigurationError, match="another run"):
        run_bench(options(tmp_path / "play.json", resume=True, privileged=False))


@pytest.fixture
def solved(monkeypatch: pytest.MonkeyPatch) -> list[EpisodeKey]:
    """Every episode succeeds; the keys in the order in which they were run."""
    ran: list[EpisodeKey] = []

    def run(_: BenchOptions, key: EpisodeKey) -> dict[str, Any]:
        ran.append(key)
        return result(True)

    monkeypatch.setattr(runner, "_run_episode", run)
    return ran


def test_a_report_says_which_code_and_which_sampler(tmp_path: Path, solved: list[EpisodeKey]) -> None:
    report = run_bench(options(tmp_path / "play.json"))
    assert report["commit"] == commit()
    ours = report["config"]["steering"]["ours"]
    assert ours["settings"] == preset("ours").model_dump()
    assert ours["digest"] == steering_digest(preset("ours"))


def test_episodes_of_another_sampler_are_not_gone_on_with(
    tmp_path: Path, solved: list[EpisodeKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_bench(options(tmp_path / "play.json"))
    other = preset("ours").model_copy(update={"warm_steps": preset("ours").warm_steps + 1})
    monkeypatch.setattr(runner, "preset", lambda name: other if name == "ours" else preset(name))
    with pytest.raises(ConfigurationError, match="another run: steering differs"):
        run_bench(options(tmp_path / "play.json", resume=True))


def test_a_method_may_be_added_to_a_run(tmp_path: Path, solved: list[EpisodeKey]) -> None:
    first = options(tmp_path / "play.json")
    run_bench(first)
    solved.clear()
    run_bench(replace(first, methods=("base", "ours", "rti"), resume=True))
    assert {key.method for key in solved} == {"rti"}


def test_a_run_that_went_on_in_another_checkout_says_both(
    tmp_path: Path, solved: list[EpisodeKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = options(tmp_path / "play.json")
    monkeypatch.setattr(runner, "commit", lambda: "1111111")
    run_bench(replace(first, methods=("base",)))
    monkeypatch.setattr(runner, "commit", lambda: "2222222")
    assert run_bench(replace(first, resume=True))["commit"] == "1111111, 2222222"


def test_every_method_plans_as_often_as_it_was_published_for_unless_told(
    tmp_path: Path, solved: list[EpisodeKey]
) -> None:
    own = replace(options(tmp_path / "play.json"), methods=("vls_released", "ours"))
    assert run_bench(own)["config"]["plan_every_s"] == {"vls_released": 0.8, "ours": 0.1}
    told = replace(own, plan_every_s=0.1)
    assert run_bench(told)["config"]["plan_every_s"] == {"vls_released": 0.1, "ours": 0.1}
    with pytest.raises(ConfigurationError, match="another run: plan_every_s differs"):
        run_bench(replace(own, resume=True))


def test_a_crashing_episode_is_a_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Path) -> Any:
        raise RuntimeError("no such world")

    monkeypatch.setattr(runner, "stage", broken)
    report = run_bench(options(tmp_path / "play.json"))
    assert [row["crashed"] for row in report["totals"]] == [4, 4]
    assert "no such world" in (tmp_path / "play.episodes.jsonl").read_text()


def test_every_play_skill_is_a_group() -> None:
    results = {EpisodeKey(task.name, "ours", seed): result(True) for task, seed in PLAY.deal(PLAY.tasks, range(12))}
    groups = [row["group"] for row in report_rows(Episodes(PLAY, ("ours",), results))["groups"]]
    assert groups[:3] == ["lift", "place", "push"]
    assert len(groups) == 15
