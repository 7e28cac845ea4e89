"""`vls bench latency`: fair turns, paired ratios, what counts as a settled tick, and what is left after Ctrl-C."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from bench.tiny_policy import policy, weights
from hypothesis import given
from hypothesis import strategies as st

from vls_steering.bench import latency
from vls_steering.bench.latency import LatencyOptions, run_latency
from vls_steering.bench.latency_cases import (
    FULL,
    FULL_STEPS,
    OURS,
    OURS_COLD,
    QUICK,
    RELEASED,
    fresh,
    from_noise,
    methods,
    program_of,
    sweep_points,
    with_horizon,
)
from vls_steering.bench.latency_chain import Delivery, Sight
from vls_steering.bench.latency_floor import floor_ms, flop_per_evaluation
from vls_steering.bench.latency_graph import GraphTick, graph_summary
from vls_steering.bench.latency_report import method_row, settled
from vls_steering.bench.latency_statistics import rotated, speedup, spread
from vls_steering.bench.latency_trial import Entrant, Episode, LiveTrial, replay
from vls_steering.core.errors import ConfigurationError
from vls_steering.core.files import check_writable
from vls_steering.policies import NetworkPolicy, make_example_observation
from vls_steering.policies.unet import parameter_count
from vls_steering.rewards import CompiledProgram
from vls_steering.steering.presets import preset

__all__ = ["policy", "weights"]  # fixtures
NAMES = make_example_observation().keypoints.names


class StillWorld:
    """A Chain whose camera always shows the example scene, a tenth of a second later each time."""

    def __init__(self, *_: object, ends_after: int = 10**9) -> None:
        self.begun = self.looks = self.closed = 0
        self.ends_after = ends_after

    def begin(self) -> CompiledProgram:
        self.begun += 1
        self.since = 0
        return program_of(2, NAMES)

    @property
    def over(self) -> bool:
        return self.since >= self.ends_after

    def look(self) -> Sight:
        self.looks += 1
        self.since += 1
        return Sight(make_example_observation(0.1 * self.looks), perception_ms=2.0)

    def act(self, chunk: object) -> Delivery:
        self.driven_by = chunk
        return Delivery(message_ms=0.1, governor_ms=1.0)

    def close(self) -> None:
        self.closed += 1


@dataclass
class Scripted:
    """An Entrant that writes down when it was asked."""

    name: str
    diary: list[str]
    settles: bool = False
    settings: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(recovery_ticks=2))
    ticks: list[bool] = field(default_factory=list)

    def begin(self, program: object) -> None:
        self.diary.append(f"begin {self.name}")

    def tick(self, observation: object, counts: bool) -> SimpleNamespace:
        self.diary.append(self.name)
        if counts:
            self.ticks.append(counts)
        return SimpleNamespace(chunk=self.name)


# Arithmetic ----------------------------------------------------------------------------------------------------------


def test_percentiles_are_those_of_the_samples() -> None:
    found = spread(range(101))
    assert (found.n, found.p50, found.p95, found.p99) == (101, 50.0, 95.0, 99.0)


def test_no_samples_have_no_percentiles() -> None:
    with pytest.raises(ValueError, match="nothing"):
        spread([])


def test_a_speedup_is_the_ratio_of_the_medians() -> None:
    found = speedup([1.0, 2.0, 3.0], [20.0, 40.0, 60.0], seed=0)
    assert found.ratio == 20.0
    assert found.low <= 20.0 <= found.high


def test_a_machine_that_slows_both_methods_down_does_not_widen_the_interval() -> None:
    pace = np.linspace(1.0, 1.5, 40)
    together = speedup(pace, 20.0 * pace, seed=0)
    apart = speedup(pace, 20.0 * np.roll(pace, 20), seed=0)
    assert together.high - together.low < 0.5 * (apart.high - apart.low)


def test_a_speedup_needs_the_same_observations() -> None:
    with pytest.raises(ValueError, match="differ"):
        speedup([1.0, 2.0], [1.0], seed=0)


@given(st.integers(1, 7), st.integers(0, 20))
def test_in_as_many_rounds_as_there_are_items_each_takes_each_place_once(count: int, first: int) -> None:
    rounds = [rotated(list(range(count)), first + turn) for turn in range(count)]
    for place in range(count):
        assert Counter(order[place] for order in rounds) == Counter(range(count))


def test_the_floor_is_work_over_peak() -> None:
    assert floor_ms(flop=2_000_000_000, evaluations=3.0, peak_gflop_s=60.0) == pytest.approx(100.0)


def test_the_counted_work_is_proportional_to_the_rows(policy: NetworkPolicy) -> None:
    one = flop_per_evaluation(policy, 1)
    assert one > 2 * 16 * 8 * 8  # at the very least one pointwise product per step
    assert flop_per_evaluation(policy, 8) == pytest.approx(8 * one, rel=0.02)


# Cases ---------------------------------------------------------------------------------------------------------------


def test_the_methods_differ_in_what_their_name_says(policy: NetworkPolicy) -> None:
    by_name = {entrant.name: entrant.settings for entrant in methods(policy, seed=0)}
    assert list(by_name) == [OURS, OURS_COLD, RELEASED, FULL]
    assert by_name[OURS] == preset("ours")
    assert all(settings.deadline_ms == 0.0 for settings in by_name.values())
    assert by_name[FULL].cold_steps == FULL_STEPS
    assert by_name[FULL].particles == by_name[OURS].particles
    assert not any(entrant.settles for entrant in methods(policy, seed=0)[1:])


def test_a_start_from_noise_changes_nothing_else() -> None:
    ours = preset("ours")
    changed = from_noise(ours, steps=7)
    assert changed.start.mode == "cold"
    assert changed.cold_steps == 7
    same = {"start": ours.start, "cold_steps": ours.cold_steps, "deadline_ms": ours.deadline_ms}
    assert changed.model_copy(update=same) == ours


@pytest.mark.parametrize("horizon", [8, 32])
def test_the_same_weights_serve_another_horizon(policy: NetworkPolicy, horizon: int) -> None:
    other = with_horizon(policy, horizon)
    encoding = other.encode([make_example_observation()])
    clean = other.predict_clean(encoding, torch.zeros(3, horizon, 4), torch.full((3,), 0.5))
    assert clean.shape == (3, horizon, 4)
    assert parameter_count(other.network) == parameter_count(policy.network)


def test_a_fresh_network_leaves_the_global_seed_alone(policy: NetworkPolicy) -> None:
    torch.manual_seed(5)
    wanted = torch.rand(1)
    torch.manual_seed(5)
    other = fresh(policy, (16, 16, 32), 16, seed=1)
    assert torch.equal(torch.rand(1), wanted)
    assert parameter_count(other.network) > parameter_count(policy.network)


@pytest.mark.parametrize("count", [1, 5, 20])
def test_a_program_has_as_many_different_terms_as_asked_for(count: int) -> None:
    terms = [term.text for term in program_of(count, NAMES).program.stages[0].reward]
    assert len(set(terms)) == count


def test_every_sweep_varies_its_own_quantity_alone(policy: NetworkPolicy) -> None:
    points = sweep_points(policy, QUICK, NAMES, seed=0)
    assert Counter(point.sweep for point in points) == {
        "particles": 2, "steps": 2, "horizon": 2, "parameters": 2, "terms": 2,
    }  # fmt: skip
    base = from_noise(preset("ours"), steps=preset("ours").warm_steps)
    for point in points:
        if point.sweep not in ("particles", "steps"):
            assert point.entrant.settings == base


# Turns ---------------------------------------------------------------------------------------------------------------


def test_a_replay_takes_turns_on_the_same_observations() -> None:
    diary: list[str] = []
    entrants = [Scripted(name, diary) for name in "abc"]
    episode = Episode(program_of(1, NAMES), [make_example_observation(0.1 * i) for i in range(4)])
    replay(entrants, episode, rounds=3, advance=lambda: diary.append("|"))
    assert "".join(diary).split("begin c")[1] == "cabc|bca|cab|"
    assert [len(entrant.ticks) for entrant in entrants] == [3, 3, 3]


def test_the_first_method_drives_and_settles_uncounted() -> None:
    diary: list[str] = []
    chain = StillWorld()
    warm, slow = Scripted("warm", diary, settles=True), Scripted("slow", diary)
    trial = LiveTrial(chain, [warm, slow])
    trial.run(4, lambda: None)
    assert diary[2:] == ["warm"] * 3 + ["slow", "warm", "warm", "slow"] * 2
    assert (len(warm.ticks), len(slow.ticks), len(trial.sights)) == (4, 4, 4)
    assert chain.driven_by == "warm"


def test_an_arm_that_was_stopped_begins_again() -> None:
    chain = StillWorld(ends_after=5)
    entrants = [Scripted("warm", [], settles=True)]
    trial = LiveTrial(chain, entrants)
    trial.run(6, lambda: None)
    assert chain.begun == 3
    assert len(entrants[0].ticks) == len(trial.deliveries) == 6


def test_a_larger_k_than_the_calibrated_one_is_swept_all_the_same() -> None:
    calibrated = preset("ours").model_copy(update={"k_cap": 8})
    assert from_noise(calibrated, particles=32).count == 32


def test_a_tick_that_starts_over_is_not_what_a_warm_method_costs(policy: NetworkPolicy) -> None:
    entrant = Entrant(OURS, policy, preset("ours"), seed=0)
    entrant.begin(program_of(1, NAMES))
    typical = entrant.tick(make_example_observation(), counts=False).telemetry
    few, many = preset("ours").warm_steps, preset("ours").cold_steps
    entrant.ticks += [
        replace(typical, warm=True, nfe=many),
        replace(typical, warm=True, nfe=few),
        replace(typical, warm=False, nfe=few),
        replace(typical, warm=True, nfe=few),
    ]
    assert settled(entrant) == [False, True, False, True]


def test_what_no_part_claims_is_reported_as_other(policy: NetworkPolicy) -> None:
    entrant = Entrant("from noise", policy, from_noise(preset("ours")), seed=0)
    entrant.begin(program_of(1, NAMES))
    typical = entrant.tick(make_example_observation(), counts=False).telemetry
    durations = {**dict.fromkeys(typical.durations_ms, 0.0), "denoise": 6.0, "guide": 3.0, "total": 10.0}
    entrant.ticks += [replace(typical, nfe=8, durations_ms=durations)] * 3
    flop = flop_per_evaluation(policy, entrant.settings.count)
    row = method_row(entrant, peak_gflop_s=8.0 * flop / 1e9 / 0.003)  # eight evaluations take 3 ms at the peak
    assert row["parts_ms"]["reward gradient"]["p50"] == 3.0
    assert row["parts_ms"]["other"]["p50"] == 1.0
    assert row["parts_ms"]["tick"]["p50"] == 10.0
    assert row["share_of_floor"] == pytest.approx(0.5)


# The command ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def options(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LatencyOptions:
    monkeypatch.setattr(latency, "Chain", StillWorld)
    return LatencyOptions(tmp_path / "latency.json", weights, quick=True)


def test_the_report_has_every_part_and_both_ratios(options: LatencyOptions) -> None:
    run_latency(options)
    report = json.loads(options.out.read_text())
    assert report["complete"]
    assert [row["method"] for row in report["rows"]] == [OURS, OURS_COLD, RELEASED, FULL]
    for row in report["rows"]:
        assert {"encode", "denoise", "reward gradient", "select", "other", "tick"} <= set(row["parts_ms"])
        assert row["parts_ms"]["tick"]["n"] >= 1
        assert row["tick_ms_p50"] == row["parts_ms"]["tick"]["p50"]
        assert row["parameters"] == report["config"]["policy"]["parameters"]
    rows = {row["method"]: row for row in report["rows"]}
    assert [rows[name]["steps"] for name in (OURS, OURS_COLD, RELEASED, FULL)] == [3, 16, 100, 100]
    assert rows[RELEASED]["speedup_vs_vls_released"] == 1.0
    assert rows[OURS_COLD]["speedup_vs_vls_released"] == report["speedup_vs_vls_released"][OURS_COLD]["ratio"]
    assert set(report["around_ms"]) == {"perception", "message", "governor"}
    for key in ("speedup_vs_vls_released", "speedup_vs_full_denoising"):
        ratio = report[key][OURS_COLD]
        assert 0.0 < ratio["low"] <= ratio["ratio"] <= ratio["high"]
    assert {row["sweep"] for row in report["sweeps"]} == {"particles", "steps", "horizon", "parameters", "terms"}
    assert report["machine"]["threads"] == 1
    assert report["config"]["steering"][OURS]["settings"] == preset("ours").model_dump()


def test_ctrl_c_leaves_what_was_measured(options: LatencyOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: LiveTrial, rounds: int, advance: object) -> None:
        real_run(self, 2, lambda: None)
        raise KeyboardInterrupt

    real_run = LiveTrial.run
    monkeypatch.setattr(LiveTrial, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_latency(options)
    report = json.loads(options.out.read_text())
    assert not report["complete"]
    assert report["rows"][1]["parts_ms"]["tick"]["n"] == 2
    assert report["sweeps"] == []


def test_an_unknown_policy_is_refused_before_anything_is_measured(options: LatencyOptions, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read"):
        run_latency(replace(options, policy=tmp_path / "nowhere.safetensors"))
    assert not options.out.exists()


@pytest.mark.parametrize("out", ["/proc/latency.json", "/dev/null/latency.json"])
def test_an_output_that_cannot_be_written_is_refused_before_anything_is_measured(
    out: str, options: LatencyOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latency, "LiveTrial", lambda *_: pytest.fail("measured"))
    with pytest.raises(ConfigurationError, match="cannot write"):
        run_latency(replace(options, out=Path(out)))


def test_looking_whether_it_can_be_written_keeps_an_old_file(tmp_path: Path) -> None:
    out = tmp_path / "old.json"
    out.write_text("{}")
    check_writable(out)
    assert out.read_text() == "{}"


# The node graph ------------------------------------------------------------------------------------------------------


def graph_tick(index: int, warm: bool, tick_ms: float) -> GraphTick:
    parts = {"denoise": 0.5 * tick_ms, "tick": tick_ms}
    return GraphTick(100.0 + 0.2 * index, 0.1 * index, warm, 4, 48, parts, 12.0, index)


def test_the_graphs_ticks_are_told_apart_by_how_they_began() -> None:
    ticks = [graph_tick(i, warm=i > 1, tick_ms=30.0 if i > 1 else 130.0) for i in range(10)]
    found = graph_summary(ticks, [0.0, 0.01, 0.02, 0.05], period_s=0.1)
    assert found["warm_share"] == 0.8
    assert found["k"] == [12]
    assert found["deadline_misses"] == 2
    assert found["real_time_factor"] == 0.5
    ticks_of = {row["ticks"]: row for row in found["rows"] if row["part"] == "tick"}
    assert ticks_of["warm"]["p95"] == 30.0
    assert ticks_of["cold"]["p50"] == 130.0
    assert found["set_point_interval_ms"]["p50"] == pytest.approx(10.0)


def test_a_graph_without_a_cold_tick_has_no_row_for_it() -> None:
    found = graph_summary([graph_tick(i, True, 20.0) for i in range(3)], [], period_s=0.1)
    assert {row["ticks"] for row in found["rows"]} == {"all", "warm"}
    assert found["set_point_interval_ms"] is None


def test_a_silent_graph_is_an_error() -> None:
    with pytest.raises(ValueError, match="no steered tick"):
        graph_summary([], [], period_s=0.1)
