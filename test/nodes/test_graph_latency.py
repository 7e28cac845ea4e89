"""`vls bench graph-latency`: which ticks count, how old their picture was, and how long the graph is kept busy."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from rclpy.serialization import serialize_message

from vls_steering.bench import latency
from vls_steering.core.errors import ConfigurationError
from vls_steering.core.types import Keypoints
from vls_steering.msg import SteeringStatus
from vls_steering.nodes import graph_latency, topics
from vls_steering.nodes.conversions import header, keypoints_message
from vls_steering.nodes.graph_latency import (
    INSTRUCTIONS,
    GraphLatencyOptions,
    instructions,
    run_graph_latency,
    set_point_times_s,
    steered_ticks,
)
from vls_steering.nodes.topic_log import Entry
from vls_steering.vlm import OfflineGrammar, PlanRequest, plan

pytestmark = pytest.mark.ros

SHA = "ab" * 32


def entry(topic: topics.Topic, received_s: float, message: object) -> Entry:
    return Entry(topic, round(1e9 * received_s), serialize_message(message))


def status(stamp_s: float, tick_ms: float = 40.0, **fields: object) -> SteeringStatus:
    values = {"program_sha256": SHA, "nfe": 4, "network_rows": 48, "warm": True, **fields}
    return SteeringStatus(header=header(stamp_s), tick_ms=tick_ms, **values)


def seen(stamp_s: float) -> object:
    return keypoints_message(Keypoints(stamp_s))


def test_only_ticks_in_which_the_sampler_ran_for_a_program_count() -> None:
    log = [
        entry(topics.KEYPOINTS, 10.0, seen(1.0)),
        entry(topics.STEERING_STATUS, 10.1, status(1.05, program_sha256="")),
        entry(topics.STEERING_STATUS, 10.2, status(1.15, nfe=0)),
        entry(topics.STEERING_STATUS, 10.3, status(1.25)),
    ]
    ticks = steered_ticks(log)
    assert [tick.stamp_s for tick in ticks] == [1.25]
    assert ticks[0].parts_ms["tick"] == 40.0
    assert {"encode", "denoise", "reward gradient", "select"} <= set(ticks[0].parts_ms)


def test_the_picture_is_the_newest_one_that_the_tick_can_have_seen() -> None:
    log = [
        entry(topics.KEYPOINTS, 10.00, seen(1.0)),
        entry(topics.KEYPOINTS, 10.28, seen(1.2)),  # while the tick ran
        entry(topics.STEERING_STATUS, 10.30, status(1.25)),
    ]
    # 250 ms old when the tick began, 40 ms more when the chunk went out.
    assert steered_ticks(log)[0].picture_age_ms == pytest.approx(290.0)


def test_set_points_are_told_by_when_they_arrived() -> None:
    log = [Entry(topics.SET_POINT, 10_000_000, b""), Entry(topics.KEYPOINTS, 15_000_000, b"")]
    assert set_point_times_s(log) == [0.01]


def test_the_graph_is_kept_busy_for_as_long_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter((100.0, 130.0, 161.0))
    monkeypatch.setattr(graph_latency.time, "monotonic", lambda: next(now))
    assert list(instructions(60.0)) == [*INSTRUCTIONS]


def test_the_instructions_follow_one_another() -> None:
    assert list(islice(instructions(1e9), 3)) == [INSTRUCTIONS[0], INSTRUCTIONS[1], INSTRUCTIONS[0]]


@pytest.mark.parametrize("instruction", INSTRUCTIONS)
def test_the_grammar_understands_them_in_the_scene(instruction: str) -> None:
    from vls_steering.sim.privileged import true_keypoints
    from vls_steering.sim.scenes import draw_layout
    from vls_steering.sim.world import World

    keypoints = true_keypoints(World(draw_layout(latency.SCENE, 7, "green cylinder")).truth())
    assert plan(PlanRequest(instruction, keypoints), OfflineGrammar()).stages


def test_an_output_that_cannot_be_written_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot write"):
        run_graph_latency(GraphLatencyOptions(Path("/proc/graph.json"), tmp_path / "any.safetensors"))


def test_a_policy_that_is_not_there_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no policy"):
        run_graph_latency(GraphLatencyOptions(tmp_path / "graph.json", tmp_path / "nowhere.safetensors"))
