"""The policy node: silent without a program, a chunk or a reason for every tick with one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticStatus
from nodes.stage import Stage
from policies.untrained import untrained_policy

from vls_steering.core.types import ChunkSource, Keypoints, Observation
from vls_steering.msg import RewardProgram
from vls_steering.nodes import topics
from vls_steering.nodes.conversions import chunk_of, header, joint_state_message, keypoints_message, stamp_seconds
from vls_steering.nodes.parameters import as_parameters
from vls_steering.nodes.policy import NODE, PolicyNodeSettings, _overrun
from vls_steering.policies.base import make_example_observation
from vls_steering.policies.checkpoint import load_card
from vls_steering.steering import preset
from vls_steering.vlm import OfflineGrammar, PlanRequest, plan

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros")]

LISTENS = (topics.ACTION_CHUNK, topics.STEERING_STATUS, topics.STEERING_MARKERS)
SCENE: Observation = make_example_observation()


class Desk(Stage):
    """The example scene, told again at every instant."""

    def __init__(self, policy: Path, **parameters: Any) -> None:
        super().__init__(NODE, LISTENS, policy=str(policy), **parameters)

    def advance(self, duration_s: float, with_keypoints: bool = True, keypoints: Keypoints = SCENE.keypoints) -> None:
        for _ in range(round(duration_s / 0.1)):
            stamp_s = self.now_s + 0.1
            self.publish(topics.JOINT_STATES, joint_state_message(replace(SCENE.robot, stamp_s=stamp_s)))
            if with_keypoints:
                self.publish(topics.KEYPOINTS, keypoints_message(replace(keypoints, stamp_s=stamp_s)))
            self.spin(0.05)
            self.set_clock(stamp_s)
            self.until(lambda stamp_s=stamp_s: self._ticked(stamp_s), what=f"a tick at {stamp_s:.1f}")

    def _ticked(self, stamp_s: float) -> bool:
        status = self.newest(topics.STEERING_STATUS)
        return status is not None and stamp_seconds(status.header.stamp) > stamp_s - 1e-3

    def give(self, instruction: str, **changes: str) -> RewardProgram:
        compiled = plan(PlanRequest(instruction, SCENE.keypoints), OfflineGrammar())
        program = {"document": compiled.program.canonical, "sha256": compiled.sha256, **changes}
        message = RewardProgram(header=header(self.now_s), instruction=instruction, **program)
        self.send(message)
        return message

    def send(self, message: RewardProgram) -> None:
        self.publish(topics.REWARD_PROGRAM, message)
        self.spin(0.1)

    @property
    def chunks(self) -> list[Any]:
        return self.heard[topics.ACTION_CHUNK.name]

    @property
    def reason(self) -> str:
        return self.newest(topics.STEERING_STATUS).reason


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_policy(tmp_path_factory.mktemp("policy") / "untrained.safetensors")


@pytest.fixture
def desk(policy: Path) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(**parameters: Any) -> Desk:
        made.append(Desk(policy, **parameters))
        made[-1].bring_up()
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_without_a_program_nothing_is_asked_for(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.advance(0.3)
    assert one.chunks == []
    assert one.reason == "there is no reward program"


def test_with_a_program_every_tick_is_a_steered_chunk(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.advance(0.1)
    sha256 = one.give("pick up the red cube").sha256
    one.advance(0.3)
    chunks = [chunk_of(message) for message in one.chunks]
    assert len(chunks) == 3
    assert {chunk.program_sha256 for chunk in chunks} == {sha256}
    assert {chunk.source for chunk in chunks} == {ChunkSource.STEERED}
    assert np.diff([chunk.sequence for chunk in chunks]).tolist() == [1, 1]
    status = one.newest(topics.STEERING_STATUS)
    assert (status.program_sha256, status.sequence) == (sha256, chunks[-1].sequence)
    assert status.nfe > 0
    assert status.tick_ms > 0


def test_old_keypoints_are_a_reason_for_no_chunk(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.advance(0.1)
    one.give("pick up the red cube")
    one.advance(0.2)
    one.advance(0.8, with_keypoints=False)
    count = len(one.chunks)
    assert "keypoints of 0." in one.reason
    one.advance(0.1, with_keypoints=False)
    assert len(one.chunks) == count
    one.advance(0.1)
    assert len(one.chunks) == count + 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"age_s": 12.0, "visible": False}, "'red cube' was last seen 12.0 s ago"),
        ({"sigma_m": np.array([0.01, 0.08, 0.01])}, "'red cube' is known to 8 cm only"),
    ],
)
def test_a_stale_object_of_the_program_freezes_the_guidance(
    desk: Callable[..., Desk], changes: dict[str, Any], reason: str
) -> None:
    one = desk()
    one.advance(0.1)
    sha256 = one.give("pick up the red cube").sha256
    one.advance(0.2)
    one.advance(0.2, keypoints=_changed("red cube", **changes))
    assert reason in one.reason
    assert one.newest(topics.STEERING_STATUS).program_sha256 == sha256
    last = chunk_of(one.chunks[-1])
    assert last.source is ChunkSource.HOLD
    np.testing.assert_allclose(last.positions - last.positions[0], 0.0)
    one.advance(0.1)
    assert chunk_of(one.chunks[-1]).source is ChunkSource.STEERED


def test_ticks_at_rest_count_as_not_steered_and_end_what_was_planned(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.advance(0.1)
    one.give("pick up the red cube")
    one.advance(0.2)
    assert one.newest(topics.STEERING_STATUS).share_steered == 1.0
    one.advance(0.2, keypoints=_changed("red cube", age_s=12.0, visible=False))
    assert one.newest(topics.STEERING_STATUS).share_steered == pytest.approx(0.5)
    one.advance(0.1)
    status = one.newest(topics.STEERING_STATUS)
    assert (status.warm, status.frozen_steps) == (False, 0)


def test_a_tick_that_takes_too_long_names_the_part_that_did() -> None:
    spent = {"encode": 1.0, "denoise": 80.0, "guide": 20.0, "resample": 0.0, "select": 2.0, "total": 110.0}
    assert _overrun(spent) == "the tick took 110 ms, 80 of them to denoise"


def test_a_stale_object_that_the_program_does_not_name_freezes_nothing(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.advance(0.1)
    one.give("pick up the red cube")
    one.advance(0.2, keypoints=_changed("white plate", age_s=12.0))
    assert chunk_of(one.chunks[-1]).source is ChunkSource.STEERED


def test_once_it_has_moved_a_withdrawn_program_means_hold_still(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.advance(0.1)
    one.give("pick up the red cube")
    one.advance(0.2)
    one.send(RewardProgram())
    one.advance(0.2)
    last = chunk_of(one.chunks[-1])
    assert last.source is ChunkSource.HOLD
    np.testing.assert_allclose(last.positions - last.positions[0], 0.0)


def test_a_program_that_was_tampered_with_moves_nothing(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.advance(0.1)
    one.give("pick up the red cube", sha256="0" * 64)
    one.advance(0.1)
    assert "digest" in one.reason
    one.give("pick up the red cube", document='{"version": 1, "stages": "__import__"}')
    one.advance(0.1)
    assert "rejected" in one.reason
    assert one.chunks == []


def test_unsteered_it_needs_no_program(desk: Callable[..., Desk]) -> None:
    one = desk(unsteered=True)
    one.advance(0.2)
    assert chunk_of(one.chunks[-1]).source is ChunkSource.UNSTEERED
    assert one.chunks[-1].program_sha256 == ""


def test_the_markers_show_every_candidate(desk: Callable[..., Desk]) -> None:
    one = desk(steering__particles=5)
    one.advance(0.1)
    one.give("pick up the red cube")
    one.advance(0.2)
    markers = one.newest(topics.STEERING_MARKERS).markers
    assert len([marker for marker in markers if marker.ns == "candidates"]) == 5
    assert {marker.text for marker in markers if marker.ns == "names"} == set(SCENE.keypoints.names)


def test_a_preset_is_where_the_settings_start_from() -> None:
    settings = PolicyNodeSettings.model_validate({"preset": "base", "steering": {"start": {"scouts": 2}}})
    base = preset("base")
    assert settings.steering.start.scouts == 2
    assert settings.steering == base.model_copy(update={"start": base.start.model_copy(update={"scouts": 2})})
    assert PolicyNodeSettings().steering == preset("ours")


def test_a_calibration_says_how_many_candidates_there_are(
    desk: Callable[..., Desk], policy: Path, tmp_path: Path
) -> None:
    document = {
        "policy": "untrained",
        "policy_sha256": load_card(policy).sha256,
        "preset": "ours",
        "steering": {"particles": 3, "k_cap": 3, "select": {"temperature": 0.0}},
        "curve": [],
        "temperatures": [],
    }
    path = tmp_path / "calibration.yaml"
    path.write_text(yaml.safe_dump(document))
    one = desk(calibration=str(path))
    one.advance(0.1)
    one.give("pick up the red cube")
    one.advance(0.1)
    status = one.newest(topics.STEERING_STATUS)
    assert status.network_rows == 3 * status.nfe


def _changed(name: str, **changes: Any) -> Keypoints:
    """The example scene with one keypoint known otherwise."""
    points = SCENE.keypoints.points
    return replace(SCENE.keypoints, points=tuple(replace(p, **changes) if p.name == name else p for p in points))


def test_the_parameters_say_what_is_in_force() -> None:
    shown = {p.name: p.value for p in as_parameters(PolicyNodeSettings(preset="base"))}
    assert (shown["preset"], shown["steering.particles"]) == ("base", 1)


def test_its_line_in_the_diagnostics_warns_of_what_keeps_it_from_steering(desk: Callable[..., Desk]) -> None:
    one = desk()
    one.advance(0.2)
    idle = one.diagnose("steering")
    assert (idle.level, idle.message) == (DiagnosticStatus.OK, "there is no reward program")
    program = one.give("pick up the red cube", sha256="0" * 64)
    one.advance(0.2)
    refused = one.diagnose("steering")
    assert refused.level == DiagnosticStatus.WARN
    assert "digest" in refused.message
    assert program.instruction
    one.advance(0.8, with_keypoints=False)
    blind = one.diagnose("steering")
    assert blind.level == DiagnosticStatus.WARN
    assert "keypoints of" in blind.message


def test_its_deadline_misses_are_a_warning_once(desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch) -> None:
    one = desk()
    one.give("pick up the red cube")
    one.advance(0.2)
    one.diagnose("steering")
    monkeypatch.setattr(one.node.body, "_settings", one.node.settings.model_copy(update={"tick_period_s": 1e-6}))
    one.advance(0.1)
    line = one.diagnose("steering")
    assert line.level == DiagnosticStatus.WARN
    assert "1 deadlines missed since the last report" in line.message
