"""What every benchmark writes, other programs can read: fresh rows, and the results that are committed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from bench.contract import ROWS, faults_of
from policies.untrained import TINY, untrained_policy

from vls_steering.bench import verifier
from vls_steering.bench.commands import grasp_rows
from vls_steering.bench.control import quantile_rows
from vls_steering.bench.faults import FaultRow
from vls_steering.bench.latency_cases import OURS, RELEASED, from_noise, program_of
from vls_steering.bench.latency_graph import GraphTick, graph_summary
from vls_steering.bench.latency_report import method_rows
from vls_steering.bench.latency_trial import Entrant
from vls_steering.bench.options import TAKES
from vls_steering.bench.perception import motion_rows, static_rows
from vls_steering.bench.perception_motion import MotionScore, SequenceScore
from vls_steering.bench.perception_sequences import MotionKind
from vls_steering.bench.provenance import measured
from vls_steering.bench.reward_cost import cost_rows
from vls_steering.bench.suites import SUITES
from vls_steering.bench.tables import EpisodeKey, Episodes, report_rows
from vls_steering.bench.tracking import interval_row
from vls_steering.bench.verifier_fuzz import drawn_keypoints, fuzz_rows
from vls_steering.policies import load_policy, make_example_observation
from vls_steering.steering.presets import preset
from vls_steering.vlm import OfflineGrammar, PlanRequest, plan

COMMITTED = [
    path
    for path in sorted((Path(__file__).resolve().parents[2] / "docs" / "results").glob("*.json"))
    if "bench" in json.loads(path.read_text(encoding="utf-8"))
]
Rows = Sequence[dict[str, Any]]


def success(name: str) -> Rows:
    """One method fails on everything, one crashes, one succeeds."""
    suite = SUITES[name]
    failure = {"success": False, "ending": "time-out", "completed": [], "seconds": 14.0, "collisions": 0}
    failure |= {"tick_ms": [20.0], "network_rows": [24], "delay_ms": [], "scaled": 0, "rejected": 0}
    crash = {"success": False, "ending": "crash", "crash": "Traceback", "collisions": 0, "completed": []}
    outcomes = {"base": failure, "vls": crash, "ours": {**failure, "success": True, "ending": "success"}}
    results = {
        EpisodeKey(task.name, method, seed): outcome
        for task, seed in suite.deal(suite.tasks, range(3))
        for method, outcome in outcomes.items()
    }
    return report_rows(Episodes(suite, tuple(outcomes), results))["rows"]


def perception() -> Rows:
    """Nothing was found and nothing moved but one thing, badly."""
    motion = MotionScore((0.5,), (0.1,), (MotionKind.PUSHED,), (), (0.02,))
    return [*static_rows([]), *motion_rows(motion)]


def one_program(monkeypatch: pytest.MonkeyPatch) -> Rows:
    """Every program takes a second to judge, and there are 66."""
    points = drawn_keypoints(0)
    first = points.names[0]
    program = plan(PlanRequest(f"pick up the {first}", points), OfflineGrammar()).program.as_json()
    monkeypatch.setattr(verifier, "good_programs", lambda seed: [(program, points)])
    return verifier.verifier_rows(2, 0, lambda task, ok: None)


def latency(folder: Path) -> Rows:
    policy = load_policy(untrained_policy(folder / "tiny.safetensors", TINY))
    entrants = [Entrant(name, policy, from_noise(preset("ours"), 2, 1), seed=0) for name in (OURS, RELEASED)]
    observation = make_example_observation()
    for entrant in entrants:
        entrant.begin(program_of(1, observation.keypoints.names))
        entrant.tick(observation, counts=True)
    return method_rows(entrants, peak_gflop_s=50.0, seed=0)


def graph_latency() -> Rows:
    return graph_summary([GraphTick(0.0, 0.0, True, 3, 24, {"tick": 20.0}, 12.0, 0)], [], 0.1)["rows"]


def tracking() -> Rows:
    return [interval_row(2, [SequenceScore((0.001, 0.002), (0.001, 0.001), (), (0.02, 0.02))])]


@pytest.fixture
def builders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], Rows]]:
    """Benchmark -> rows of it, made by what makes its rows."""
    return {
        **{name: lambda name=name: success(name) for name in SUITES},
        "grasp": lambda: grasp_rows(1, 0),
        "perception": perception,
        "verifier": lambda: one_program(monkeypatch),
        "latency": lambda: latency(tmp_path),
        "graph-latency": graph_latency,
        "faults": lambda: [FaultRow("cut", "FAULT", "ROBOT_FAULT", 0.1, 1.0, 0.25, 0.0, 9, 0, True, 0.5).as_dict()],
        "control": lambda: quantile_rows("set_point_period", "ms", "busy", [10.0, 11.0]),
        "tracking": tracking,
        "gate-fuzz": lambda: fuzz_rows(4, 0, drawn_keypoints(0), lambda task, ok: None),
        "reward-cost": lambda: cost_rows(1, 0),
    }


def test_every_benchmark_has_a_contract() -> None:
    assert set(ROWS) == set(TAKES)


@pytest.mark.parametrize("bench", TAKES)
def test_rows_are_as_agreed(bench: str, builders: dict[str, Callable[[], Rows]]) -> None:
    report = {**measured(bench, {}), "rows": builders[bench]()}
    assert faults_of(json.loads(json.dumps(report))) == []


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.name)
def test_committed_results_are_as_agreed(path: Path) -> None:
    assert faults_of(json.loads(path.read_text(encoding="utf-8"))) == []


def test_what_breaks_the_contract_is_found() -> None:
    good = {**measured("verifier", {}), "rows": [{"metric": "caught", "value": 0.5, "unit": "1", "n": 2}]}
    assert faults_of(good) == []
    assert faults_of({**good, "rows": []}) == ["file: no rows"]
    assert faults_of({key: value for key, value in good.items() if key != "machine"}) == ["file: no machine"]
    row = good["rows"][0]
    for changed in ({**row, "value": float("nan")}, {**row, "n": "2"}, {"metric": "caught", "value": 1, "unit": "1"}):
        assert len(faults_of({**good, "rows": [changed]})) == 1
