"""`vls record` beside a running graph, and `vls replay` of what it wrote."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

import rclpy
from nodes.graph import Graph
from std_msgs.msg import String

from vls_steering.core.errors import ConfigurationError, ExitCode
from vls_steering.msg import VlmStatus
from vls_steering.nodes import topics
from vls_steering.nodes.mcap_log import Logged, read_log
from vls_steering.nodes.record import RecordOptions
from vls_steering.nodes.record import record as record_graph
from vls_steering.nodes.replay import ReplayOptions, replay
from vls_steering.nodes.supervisor import node_environment

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros")]

SIMULATION = {"real_time_factor": 0.25, "seed": 3}
Record = Callable[..., "Recording"]


class Recording:
    """The command as a process."""

    def __init__(self, folder: Path, name: str, *arguments: str) -> None:
        self.path = folder / name
        self._process = subprocess.Popen(
            [sys.executable, "-m", "vls_steering.cli", "record", "--out", str(self.path), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**node_environment(folder), "PYTHONUNBUFFERED": "1"},
        )
        assert self._process.stdout is not None
        assert "recording to" in self._process.stdout.readline()

    def leave_room_for(self, size_bytes: int) -> None:
        """As on a disk that is full after so much."""
        resource.prlimit(self._process.pid, resource.RLIMIT_FSIZE, (size_bytes, size_bytes))

    @property
    def runs(self) -> bool:
        return self._process.poll() is None

    def end(self, *signals: int) -> tuple[int, str]:
        """Exit code and what it said."""
        for number in signals:
            self._process.send_signal(number)
        said, _ = self._process.communicate(timeout=30)
        return self._process.returncode, said

    def log(self) -> list[Logged]:
        return list(read_log(self.path))


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    made: list[Recording] = []

    def make(*arguments: str) -> Recording:
        made.append(Recording(tmp_path, f"{len(made)}.mcap", *arguments))
        return made[-1]

    yield make
    for one in made:
        if one.runs:
            one.end(signal.SIGKILL)


@pytest.fixture
def speak() -> Iterator[Callable[..., int]]:
    """Publish instructions at 50 Hz in the namespace `left` for some seconds, once somebody listens who is to.

    Returns how many so far.
    """
    node = rclpy.create_node("speaker", namespace="left")
    publisher = node.create_publisher(String, topics.INSTRUCTION.name, topics.INSTRUCTION.quality)
    spoken = 0

    def for_seconds(duration_s: float, heard: bool = True) -> int:
        nonlocal spoken
        give_up_s = time.monotonic() + 30.0
        while heard and not spoken and publisher.get_subscription_count() == 0:
            assert time.monotonic() < give_up_s, "nobody listens"
            time.sleep(0.02)
        end_s = time.monotonic() + duration_s
        while time.monotonic() < end_s:
            publisher.publish(String(data=f"{spoken} " + "".join(str(hash((spoken, i))) for i in range(50))))
            spoken += 1
            time.sleep(0.02)
        return spoken

    yield for_seconds
    node.destroy_node()


def test_ctrl_c_ends_it_with_a_count_however_often(record: Record, speak: Callable[..., int]) -> None:
    recording = record("--namespace", "left")
    spoken = speak(2.0)
    code, said = recording.end(signal.SIGINT, signal.SIGINT, signal.SIGTERM)
    assert code == ExitCode.SUCCESS, said
    log = recording.log()
    assert {logged.name for logged in log} == {"/left/instruction"}
    assert 0 < len(log) <= spoken
    (row,) = (line for line in said.splitlines() if "/left/instruction" in line)
    assert str(len(log)) in row
    assert any(45.0 < float(word) < 52.0 for word in row.split() if "." in word)


def test_what_is_heard_of_another_namespace_is_nothing(record: Record, speak: Callable[..., int]) -> None:
    recording = record("--namespace", "right", "--seconds", "1")
    speak(0.5, heard=False)
    code, said = recording.end()
    assert code == ExitCode.TASK_FAILED
    assert "nothing was heard" in said
    assert recording.log() == []


def test_killed_it_loses_a_chunk_of_messages_and_no_more(record: Record, speak: Callable[..., int]) -> None:
    recording = record("--namespace", "left")
    spoken = speak(3.0)
    assert recording.end(signal.SIGKILL)[0] == -signal.SIGKILL
    kept = [int(logged.message(topics.INSTRUCTION).data.split()[0]) for logged in recording.log()]
    assert kept == list(range(kept[0], kept[-1] + 1))
    assert spoken - 1 - kept[-1] < 80  # 64 kB of them, and what was under way


def test_a_full_disk_ends_it_with_an_error(record: Record, speak: Callable[..., int]) -> None:
    recording = record("--namespace", "left")
    speak(1.0)
    recording.leave_room_for(50_000)
    deadline_s = time.monotonic() + 60.0
    while recording.runs and time.monotonic() < deadline_s:
        speak(0.2)
    code, said = recording.end()
    assert code == ExitCode.INTERNAL_ERROR
    assert "takes no more" in said
    assert "Traceback" not in said
    kept = [int(logged.message(topics.INSTRUCTION).data.split()[0]) for logged in recording.log()]
    assert len(kept) > 10
    assert kept == list(range(kept[0], kept[-1] + 1))


@pytest.mark.parametrize(
    ("out", "namespace", "problem"),
    [
        ("/proc/log.mcap", "", "cannot write /proc/log.mcap"),
        ("old.mcap", "", "exists"),
        ("log.mcap", "no good", "is no namespace"),
    ],
)
def test_what_cannot_be_recorded_is_said_at_once(tmp_path: Path, out: str, namespace: str, problem: str) -> None:
    (tmp_path / "old.mcap").write_bytes(b"precious")
    with pytest.raises(ConfigurationError, match=problem):
        record_graph(RecordOptions(tmp_path / out, namespace))
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"precious"]


@pytest.mark.slow
def test_a_run_of_the_graph_replays_to_the_last_bit(tmp_path: Path, record: Record) -> None:
    """Two instructions, so that there is a rest and a new beginning between them."""
    graph = Graph(
        tmp_path, {n: {} for n in ("executor", "camera", "perception", "vlm", "policy")} | {"sim_bridge": SIMULATION}
    )
    try:
        recording = record("--images")
        graph.bring_up(("sim_bridge", "executor", "camera", "perception", "vlm", "policy"))
        graph.until(lambda: graph.trigger(topics.ARM_SERVICE).success, what="arming")
        for instruction in ("pick up the red cube", "pick up the blue cube"):
            accepted = len(graph.heard[topics.VLM_STATUS.name])
            graph.instruct(instruction)
            graph.until(lambda before=accepted: _accepted(graph, before), 60.0, "a program")
            before = _steered(graph)
            graph.until(lambda before=before: _steered(graph) > before + 15, within_s=120.0, what="steered ticks")
    finally:
        graph.close()
    code, said = recording.end(signal.SIGINT)
    assert code == ExitCode.SUCCESS, said
    counts = Counter(logged.name for logged in recording.log())
    assert counts["/steering/journal"] > 32
    assert {"/joint_states", "/keypoints", "/executor/set_point", "/reward_program", "/diagnostics"} <= set(counts)
    assert {"/camera/color/image_raw", "/camera/depth/image_rect_raw"} <= set(counts)
    words: list[str] = []
    assert replay(ReplayOptions(recording.path), words.append) is ExitCode.SUCCESS, words
    assert words[1].endswith(" 0 within 1e-06, 0 different")
    assert int(words[1].split()[0]) >= 30
    assert words[-1].endswith("0 contradict it")
    assert not words[-1].startswith("0 observations")


def _accepted(graph: Graph, before: int) -> bool:
    statuses = graph.heard[topics.VLM_STATUS.name]
    return len(statuses) > before and statuses[-1].state == VlmStatus.STATE_ACCEPTED


def _steered(graph: Graph) -> int:
    return sum(1 for status in graph.heard[topics.STEERING_STATUS.name] if status.nfe)
