"""`vls replay`: a log is accepted when its chunks are made again from it, and only then."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

pytest.importorskip("rclpy")

from nodes.logs import Said, steered_run, write_log
from policies.untrained import TINY, untrained_policy

from vls_steering.cli import app
from vls_steering.core.errors import ConfigurationError, ExitCode
from vls_steering.msg import RewardProgram, SafetyStatus, SteeringStatus
from vls_steering.nodes import topics
from vls_steering.nodes.replay import ReplayOptions, replay

pytestmark = pytest.mark.ros


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_policy(tmp_path_factory.mktemp("policy") / "untrained.safetensors", TINY)


@pytest.fixture(scope="module")
def run(weights: Path) -> list[Said]:
    return steered_run(weights)


@pytest.fixture
def words() -> list[str]:
    return []


def nth(run: list[Said], topic: topics.Topic[Any], number: int) -> int:
    """Where in the run the message of that number of the topic is."""
    return [index for index, (of, _) in enumerate(run) if of is topic][number]


def without(run: list[Said], topic: topics.Topic[Any], number: int) -> list[Said]:
    index = nth(run, topic, number)
    return [*run[:index], *run[index + 1 :]]


def changed(run: list[Said], topic: topics.Topic[Any], number: int, **changes: Any) -> list[Said]:
    """The run with one message told otherwise."""
    index = nth(run, topic, number)
    _, message = run[index]
    other = copy.deepcopy(message)
    for name, value in changes.items():
        setattr(other, name, value)
    return [*run[:index], (topic, other), *run[index + 1 :]]


def moved(run: list[Said], number: int, by_m: float) -> list[Said]:
    """With one chunk that was sent otherwise."""
    poses = copy.deepcopy(run[nth(run, topics.ACTION_CHUNK, number)][1].poses)
    poses[2].position.y += by_m
    return changed(run, topics.ACTION_CHUNK, number, poses=poses)


def test_a_log_replays_to_the_last_bit(run: list[Said], tmp_path: Path, words: list[str]) -> None:
    log = write_log(tmp_path / "log.mcap", run)
    assert replay(ReplayOptions(log), words.append) is ExitCode.SUCCESS
    assert "4 chunks compared: 4 bit-identical, 0 within 1e-06, 0 different" in words
    assert "preset ours, seed 3" in words[0]


def test_a_chunk_that_differs_is_named_with_time_and_size(run: list[Said], tmp_path: Path, words: list[str]) -> None:
    log = write_log(tmp_path / "log.mcap", moved(moved(run, 1, by_m=0.01), 2, by_m=0.02))
    assert replay(ReplayOptions(log), words.append) is ExitCode.TASK_FAILED
    assert "4 chunks compared: 2 bit-identical, 0 within 1e-06, 2 different" in words
    assert "first difference: tick 6 (stamp 1000000000.103 s): positions (m) by 0.01" in words
    assert "largest difference: tick 7 (stamp 1000000000.206 s): positions (m) by 0.02" in words


def test_what_no_arm_could_show_is_counted_apart(run: list[Said], tmp_path: Path, words: list[str]) -> None:
    log = write_log(tmp_path / "log.mcap", moved(run, 1, by_m=1e-9))
    assert replay(ReplayOptions(log), words.append) is ExitCode.SUCCESS
    assert "4 chunks compared: 3 bit-identical, 1 within 1e-06, 0 different" in words


def test_another_kind_of_chunk_is_a_difference(run: list[Said], tmp_path: Path, words: list[str]) -> None:
    log = write_log(tmp_path / "log.mcap", changed(run, topics.ACTION_CHUNK, 0, source=2))
    assert replay(ReplayOptions(log), words.append) is ExitCode.TASK_FAILED
    assert any("source was 2, is 1" in line for line in words)


def test_chunks_that_were_not_recorded_are_counted(run: list[Said], tmp_path: Path, words: list[str]) -> None:
    log = write_log(tmp_path / "log.mcap", without(run, topics.ACTION_CHUNK, 1))
    assert replay(ReplayOptions(log), words.append) is ExitCode.SUCCESS
    assert any(line.startswith("1 ticks were made again whose chunk") for line in words)


def test_a_log_that_begins_too_late_says_so(run: list[Said], tmp_path: Path, words: list[str]) -> None:
    log = write_log(tmp_path / "log.mcap", without(run, topics.STEERING_JOURNAL, 0))
    assert replay(ReplayOptions(log), words.append) is ExitCode.TASK_FAILED
    assert any(line.startswith("4 ticks cannot be made again") for line in words)


def test_what_the_journal_says_was_seen_is_held_against_what_was_published(
    run: list[Said], tmp_path: Path, words: list[str]
) -> None:
    log = write_log(tmp_path / "log.mcap", run)
    replay(ReplayOptions(log), words.append)
    assert words[-1] == "4 observations are in the log as they were published, 0 are not in it, 0 contradict it"
    holey = without(without(run, topics.JOINT_STATES, 1), topics.KEYPOINTS, 2)
    assert replay(ReplayOptions(write_log(tmp_path / "holey.mcap", holey)), words.append) is ExitCode.SUCCESS
    assert words[-1].startswith("2 observations are in the log as they were published, 2 are not in it")


@pytest.mark.parametrize("topic", [topics.JOINT_STATES, topics.KEYPOINTS], ids=lambda topic: topic.name)
def test_a_journal_that_tells_of_something_else_is_no_proof(
    run: list[Said], tmp_path: Path, words: list[str], topic: topics.Topic[Any]
) -> None:
    other = copy.deepcopy(run[nth(run, topic, 1)][1])
    if topic is topics.KEYPOINTS:
        other.points[0].position.x += 1e-6
        told = changed(run, topic, 1, points=other.points)
    else:
        other.position[2] += 1e-6
        told = changed(run, topic, 1, position=other.position)
    assert replay(ReplayOptions(write_log(tmp_path / "log.mcap", told)), words.append) is ExitCode.TASK_FAILED
    assert words[-1].endswith("1 contradict it")


def test_the_policy_is_known_by_its_digest(run: list[Said], weights: Path, tmp_path: Path, words: list[str]) -> None:
    """Wherever it has gone; another one is refused."""
    gone = [
        (topic, type(message)(data=message.data.replace(str(weights), "/gone/away.safetensors")))
        if topic is topics.STEERING_JOURNAL
        else (topic, message)
        for topic, message in run
    ]
    log = write_log(tmp_path / "log.mcap", gone)
    with pytest.raises(ConfigurationError, match="--policy"):
        replay(ReplayOptions(log), words.append)
    assert replay(ReplayOptions(log, weights), words.append) is ExitCode.SUCCESS
    with pytest.raises(ConfigurationError, match="which is not"):
        replay(ReplayOptions(log, untrained_policy(tmp_path / "other.safetensors")), words.append)


def test_the_graph_is_chosen_by_its_namespace(run: list[Said], tmp_path: Path, words: list[str]) -> None:
    log = write_log(tmp_path / "log.mcap", run, namespace="/left")
    assert replay(ReplayOptions(log), words.append) is ExitCode.SUCCESS
    assert replay(ReplayOptions(log, namespace="left"), words.append) is ExitCode.SUCCESS
    with pytest.raises(ConfigurationError, match="It has: /left"):
        replay(ReplayOptions(log, namespace="right"), words.append)


def test_what_is_no_log_of_a_run_is_refused(tmp_path: Path) -> None:
    empty = write_log(tmp_path / "empty.mcap", [])
    with pytest.raises(ConfigurationError, match="no steering/journal"):
        replay(ReplayOptions(empty))
    with pytest.raises(ConfigurationError, match="cannot read"):
        replay(ReplayOptions(tmp_path / "absent.mcap"))
    (tmp_path / "text.mcap").write_text("certainly no log of anything")
    with pytest.raises(ConfigurationError, match="no MCAP log"):
        replay(ReplayOptions(tmp_path / "text.mcap"))


def test_a_log_can_be_told_in_lines(tmp_path: Path, words: list[str]) -> None:
    reaching = SteeringStatus(stage=0, stages=2, stage_name="reach")
    log = write_log(
        tmp_path / "log.mcap",
        [
            (topics.INSTRUCTION, topics.INSTRUCTION.type(data="pick up the red cube")),
            (topics.REWARD_PROGRAM, RewardProgram(document="{}", sha256="ab" * 32, written_by="offline")),
            (topics.STEERING_STATUS, reaching),
            (topics.STEERING_STATUS, reaching),
            (topics.STEERING_STATUS, SteeringStatus(stages=2, stage=1, stage_name="lift", reason="waits 0.1 s")),
            (topics.STEERING_STATUS, SteeringStatus(stages=2, stage=1, stage_name="lift", reason="waits 0.2 s")),
            (topics.SAFETY_STATUS, SafetyStatus(state_name="HOLDING", reason="chunk timeout")),
        ],
    )
    assert replay(ReplayOptions(log, show=True), words.append) is ExitCode.SUCCESS
    assert [line.split(maxsplit=2)[2] for line in words] == [
        'instruction "pick up the red cube"',
        "program     abababababab by offline",
        "stage       stage 1 of 2: reach",
        "stage       stage 2 of 2: lift",
        "steering    waits 0.1 s",
        "executor    holding: chunk timeout",
    ]


def test_the_command_returns_the_verdict(run: list[Said], tmp_path: Path) -> None:
    good = write_log(tmp_path / "good.mcap", run)
    bad = write_log(tmp_path / "bad.mcap", moved(run, 1, by_m=0.01))
    assert [CliRunner().invoke(app, ["replay", str(log)]).exit_code for log in (good, bad)] == [0, 4]
