"""`vls calibrate`: what is chosen from a curve, what an interruption leaves, and whom a calibration is for."""

from __future__ import annotations

import runpy
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policies.untrained import TINY, untrained_policy

from vls_steering.bench import calibrate
from vls_steering.bench.calibrate import CalibrateOptions, Cell, EpisodeOutcome, curve_points, run_calibration
from vls_steering.bench.calibration import SIGNIFICANT, CurvePoint, cheapest_as_good, load_calibration
from vls_steering.bench.suites import suite
from vls_steering.core.errors import ConfigurationError
from vls_steering.steering.presets import preset


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_policy(tmp_path_factory.mktemp("policy") / "tiny.safetensors", TINY)


class Arm:
    """`run_episode` without a world: K 4 and 8 succeed at temperature 0, nothing else does."""

    def __init__(self, breaks_after: int = 10**9) -> None:
        self.ran: list[Cell] = []
        self.breaks_after = breaks_after

    def __call__(self, options: CalibrateOptions, cell: Cell) -> EpisodeOutcome:
        if len(self.ran) >= self.breaks_after:
            raise KeyboardInterrupt
        self.ran.append(cell)
        return EpisodeOutcome(cell.particles in (4, 8) and cell.temperature == 0.0, tick_ms=float(cell.particles))


@pytest.fixture
def arm(monkeypatch: pytest.MonkeyPatch) -> Arm:
    double = Arm()
    monkeypatch.setattr(calibrate, "run_episode", double)
    return double


@pytest.fixture
def options(weights: Path, tmp_path: Path) -> CalibrateOptions:
    return CalibrateOptions(
        tmp_path / "tiny.yaml", weights, episodes=8, particles=(1, 4, 8, 16), temperatures=(0.0, 0.5)
    )


# The choice ----------------------------------------------------------------------------------------------------------


def curve(*solved: str) -> list[CurvePoint]:
    """K 1, 2, 4, ... on the same episodes, x where they are solved."""
    return curve_points({(2**i, 0.0): [EpisodeOutcome(x == "x", 1.0) for x in line] for i, line in enumerate(solved)})


def chosen(points: list[CurvePoint]) -> int:
    return cheapest_as_good(points, lambda point: point.particles).particles


def test_the_smallest_k_that_is_as_good_as_the_best_on_the_same_episodes_is_taken() -> None:
    # One loses six episodes to the best and wins none: p = .031.  The other loses five: p = .062.
    points = curve("......xxxx", ".....xxxxx", "xxxxxxxxxx", "xxxxxxxxx.")
    assert [(point.only_best, point.only_this) for point in points] == [(6, 0), (5, 0), (0, 0), (1, 0)]
    assert [round(point.p_value, 3) for point in points] == [0.031, 0.062, 1.0, 1.0]
    assert chosen(points) == 2


def test_the_same_rates_may_differ_significantly_or_not() -> None:
    """28 of 40 against 34: the Wilson intervals overlap in both cases, only the pairs tell them apart."""
    steady = curve("x" * 28 + "." * 12, "x" * 34 + "." * 6)
    erratic = curve("." * 6 + "x" * 28 + "." * 6, "x" * 12 + "." * 6 + "x" * 22)
    assert [point.successes for point in steady] == [point.successes for point in erratic] == [28, 34]
    assert (chosen(steady), chosen(erratic)) == (2, 1)


def test_success_that_falls_again_with_k_is_no_reason_to_go_on() -> None:
    assert chosen(curve("x" * 28 + "..", "x" * 30, "x" * 15 + "." * 15)) == 1
    assert chosen(curve("x" * 15 + "." * 15, "x" * 30, "x" * 15 + "." * 15)) == 2


@given(st.lists(st.lists(st.booleans(), min_size=12, max_size=12), min_size=1, max_size=8))
def test_there_is_always_a_choice_and_nothing_cheaper_is_as_good(solved: list[list[bool]]) -> None:
    points = curve(*("".join("x" if one else "." for one in line) for line in solved))
    best = max(points, key=lambda point: point.successes)
    assert best.p_value == 1.0
    assert chosen(points) <= best.particles
    assert all(point.p_value < SIGNIFICANT for point in points if point.particles < chosen(points))


def test_a_crash_counts_as_a_failure_and_not_as_a_fast_tick() -> None:
    (point,) = curve_points(
        {(4, 0.0): [EpisodeOutcome(True, 20.0), EpisodeOutcome(False, 0.0, "Traceback"), EpisodeOutcome(True, 30.0)]}
    )
    assert (point.n, point.successes, point.tick_ms_p50) == (3, 2, 25.0)


# The run -------------------------------------------------------------------------------------------------------------


def test_every_setting_meets_the_same_layouts_and_temperatures_only_the_chosen_k(
    options: CalibrateOptions, arm: Arm
) -> None:
    calibration = run_calibration(options)
    per_setting = Counter((cell.particles, cell.temperature) for cell in arm.ran)
    assert per_setting == {(k, 0.0): 8 for k in options.particles} | {(4, 0.5): 8}
    assert len({(cell.task, cell.seed) for cell in arm.ran}) == 8
    assert calibration.steering.particles == 4
    assert calibration.steering.select.temperature == 0.0


def test_the_file_says_it_all_again(options: CalibrateOptions, arm: Arm) -> None:
    written = run_calibration(options)
    assert load_calibration(options.out) == written
    assert [point.particles for point in written.curve] == [1, 4, 8, 16]
    assert written.config["perception"] == "privileged"
    assert written.config["seeds"] == "development"


def test_an_interrupted_run_goes_on_where_it_was(options: CalibrateOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, whole = Arm(breaks_after=10), Arm(), Arm()
    monkeypatch.setattr(calibrate, "run_episode", first)
    with pytest.raises(KeyboardInterrupt):
        run_calibration(options)
    monkeypatch.setattr(calibrate, "run_episode", second)
    resumed = run_calibration(replace(options, resume=True))
    monkeypatch.setattr(calibrate, "run_episode", whole)
    assert resumed.curve == run_calibration(replace(options, out=options.out.with_name("whole.yaml"))).curve
    assert len(first.ran) == 10
    assert sorted(map(str, [*first.ran, *second.ran])) == sorted(map(str, whole.ran))


def test_a_torn_last_line_of_the_journal_is_run_again(options: CalibrateOptions, arm: Arm) -> None:
    run_calibration(options)
    journal = options.out.with_suffix(".episodes.jsonl")
    journal.write_text(journal.read_text()[:-20])
    arm.ran.clear()
    run_calibration(replace(options, resume=True))
    assert len(arm.ran) == 1


def test_another_methods_journal_is_not_gone_on_with(options: CalibrateOptions, arm: Arm) -> None:
    run_calibration(options)
    with pytest.raises(ConfigurationError, match="another run"):
        run_calibration(replace(options, preset="best_of_k", resume=True))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"policy": Path("nowhere.safetensors")}, "cannot read"),
        ({"preset": "magic"}, "unknown steering preset"),
        ({"suite": "kitchen"}, "there is no benchmark"),
        ({"out": Path("/proc/calibration.yaml")}, "cannot write"),
    ],
)
def test_what_cannot_be_meant_is_told_before_any_episode(
    change: dict, said: str, options: CalibrateOptions, arm: Arm
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        run_calibration(replace(options, **change))
    assert arm.ran == []


def test_an_episode_that_breaks_is_a_failure_with_its_reason(
    options: CalibrateOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrate, "stage", lambda _: 1 / 0)
    outcome = calibrate.run_episode(options, Cell(suite("shift").tasks[0].name, 1, 4, 0.0))
    assert not outcome.success
    assert "ZeroDivisionError" in outcome.crash


# Its use -------------------------------------------------------------------------------------------------------------


def test_calibrated_settings_change_k_and_temperature_alone(options: CalibrateOptions, arm: Arm) -> None:
    calibration = run_calibration(options)
    ours = preset("ours")
    settings = calibration.on(ours, calibration.policy_sha256)
    assert settings.count == 4
    assert settings.model_copy(update={"particles": 30}).count == 4
    same = {"particles": ours.particles, "k_cap": ours.k_cap, "select": ours.select}
    assert settings.model_copy(update=same) == ours


def test_a_calibration_is_refused_for_another_policy(options: CalibrateOptions, arm: Arm) -> None:
    calibration = run_calibration(options)
    with pytest.raises(ConfigurationError, match="not for 000000000000"):
        calibration.on(preset("ours"), "0" * 64)


def test_a_file_with_an_unknown_key_is_refused(options: CalibrateOptions, arm: Arm) -> None:
    run_calibration(options)
    options.out.write_text(options.out.read_text() + "extra: 1\n")
    with pytest.raises(ConfigurationError, match="extra"):
        load_calibration(options.out)


# Its figure ----------------------------------------------------------------------------------------------------------


def test_the_curve_can_be_drawn_from_the_file_alone(options: CalibrateOptions, arm: Arm, tmp_path: Path) -> None:
    run_calibration(options)
    script = runpy.run_path(str(Path(__file__).resolve().parents[2] / "docs" / "figures" / "calibration.py"))
    script["draw"](load_calibration(options.out), tmp_path / "images" / "calibration.png")
    assert (tmp_path / "images" / "calibration.png").stat().st_size > 10_000
