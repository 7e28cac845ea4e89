"""Topics go into the log unread and come out of it as they were, for us and for others."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy")

from mcap.reader import make_reader
from rclpy.serialization import serialize_message

from vls_steering.bench.recording import RunFacts
from vls_steering.core.types import Keypoint, Keypoints
from vls_steering.msg import ActionChunk, RewardProgram, SafetyStatus, SetPoint, SteeringStatus
from vls_steering.nodes import topics
from vls_steering.nodes.conversions import header, keypoints_message
from vls_steering.nodes.demo_log import candidates_of, program_of, recording_of
from vls_steering.nodes.markers import steering_markers
from vls_steering.nodes.topic_log import Entry, write_mcap
from vls_steering.safety.reasons import ReasonCode
from vls_steering.sim.scenes import draw_layout

pytestmark = pytest.mark.ros

SHA = "ab" * 32
CUBE = Keypoints(2.0, (Keypoint("red cube", np.array([0.5, 0.1, 0.02]), np.full(3, 0.04)),))
FACTS = RunFacts("pick up the red cube", "ours", draw_layout("play", 0), 0, "running")
RESULT = SimpleNamespace(
    candidates=np.random.default_rng(0).normal(size=(4, 16, 3)),
    scores=np.array([1.0, 3.0, -np.inf, 2.0]),
    chosen=1,
    chunk=SimpleNamespace(stamp_s=2.1),
)


def entry(topic: topics.Topic, message: object, received_s: float = 1.0) -> Entry:
    return Entry(topic, round(1e9 * received_s), serialize_message(message))


def a_log() -> list[Entry]:
    status = SteeringStatus(header=header(2.1), program_sha256=SHA, stages=2, stage_name="reach", tick_ms=31.0)
    resting = SteeringStatus(header=header(1.9), reason="there is no reward program")
    safety = SafetyStatus(header=header(2.2), state_name="TRACKING", chunks_scaled=1)
    safety.last_reason_code = int(ReasonCode.CHUNK_TIMEOUT)
    return [
        entry(topics.REWARD_PROGRAM, RewardProgram(header=header(1.0))),
        entry(topics.REWARD_PROGRAM, RewardProgram(header=header(2.0), document="{}", sha256=SHA, written_by="me")),
        entry(topics.STEERING_STATUS, resting),
        entry(topics.STEERING_STATUS, status),
        entry(topics.STEERING_MARKERS, steering_markers(RESULT, CUBE, frozenset())),
        entry(topics.SAFETY_STATUS, SafetyStatus(header=header(1.0), state_name="READY")),
        entry(topics.SAFETY_STATUS, safety),
        entry(topics.KEYPOINTS, keypoints_message(CUBE)),
        entry(topics.SIM_STATE, topics.SIM_STATE.type(data=[1.5, 9.0])),
        entry(topics.SIM_STATE, topics.SIM_STATE.type(data=[2.1, 9.0])),
    ]


def test_particles_are_read_back_from_the_markers() -> None:
    candidates, shares, chosen = candidates_of(steering_markers(RESULT, CUBE, frozenset()))
    np.testing.assert_allclose(candidates, RESULT.candidates)
    np.testing.assert_allclose(shares, [0.0, 1.0, np.nan, 0.5], atol=1e-6)
    assert chosen == 1


def test_a_hold_has_no_particles() -> None:
    candidates, shares, chosen = candidates_of(None)
    assert (candidates.shape, shares.shape, chosen) == ((0, 0, 3), (0,), -1)


def test_the_recording_begins_with_the_program() -> None:
    recording = recording_of(a_log(), FACTS)
    assert program_of(a_log()).written_by == "me"
    np.testing.assert_array_equal(recording.state_stamps_s, [2.1])
    assert [report.state for report in recording.executor] == ["TRACKING"]
    assert recording.executor[0].last_reason == "chunk timeout"
    (tick,) = recording.ticks
    assert (tick.stage_name, tick.numbers["tick_ms"], tick.chosen, len(tick.candidates)) == ("reach", 31.0, 1, 4)
    assert recording.keypoints[0].names == ("red cube",)


def test_set_points_since_the_program_know_the_age_of_their_picture() -> None:
    tracking = SafetyStatus(header=header(1.95), state=SafetyStatus.STATE_TRACKING, chunk_age_s=0.05)
    log = [
        entry(topics.KEYPOINTS, keypoints_message(Keypoints(1.8))),
        entry(topics.ACTION_CHUNK, ActionChunk(header=header(1.9)), 1.1),
        entry(topics.STEERING_STATUS, SteeringStatus(header=header(1.9), tick_ms=31.0), 1.1),
        entry(topics.SAFETY_STATUS, tracking, 1.15),
        entry(topics.SET_POINT, SetPoint(header=header(1.96)), 1.16),
        entry(topics.REWARD_PROGRAM, RewardProgram(header=header(2.0), document="{}", sha256=SHA), 1.2),
        entry(topics.SET_POINT, SetPoint(header=header(2.01)), 1.21),
    ]
    np.testing.assert_allclose(recording_of(log, FACTS).camera_to_set_point_ms, [210.0])


def test_a_log_without_a_program_is_an_empty_run() -> None:
    recording = recording_of([], FACTS)
    assert recording.ticks == ()
    assert recording.duration_s == 0.0


def test_the_file_is_read_by_others(tmp_path: Path) -> None:
    """Decoded from the definitions inside the file, without our message classes."""
    decoder = pytest.importorskip("mcap_ros2.decoder").DecoderFactory()
    write_mcap(a_log(), tmp_path / "log.mcap")
    with (tmp_path / "log.mcap").open("rb") as stream:
        reader = make_reader(stream, decoder_factories=[decoder])
        decoded = [(channel.topic, message) for _, channel, _, message in reader.iter_decoded_messages()]
    assert len(decoded) == len(a_log())
    by_topic = dict(decoded)
    assert by_topic["/steering/status"].tick_ms == 31.0
    assert by_topic["/keypoints"].points[0].name == "red cube"
    assert by_topic["/steering/markers"].markers[1].points[3].x == pytest.approx(RESULT.candidates[1, 3, 0])
