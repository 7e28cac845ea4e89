"""The vlm node: a sentence becomes one checked program, or a refusal that says why."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticStatus
from nodes.stage import Stage
from rclpy.qos import qos_profile_sensor_data
from std_msgs.msg import String
from vlm.server import ChatServer, Serve, saying, servers

from vls_steering.core.types import Keypoint, Keypoints
from vls_steering.msg import SteeringStatus, VlmStatus
from vls_steering.nodes import topics
from vls_steering.nodes import vlm as vlm_node
from vls_steering.nodes.conversions import keypoints_message
from vls_steering.nodes.vlm import NODE
from vls_steering.rewards import parse_program
from vls_steering.vlm import OfflineGrammar, PlanAnswer, PlanRequest, plan
from vls_steering.vlm.back_ends import BackEnd
from vls_steering.vlm.base import Question
from vls_steering.vlm.replay import Replay

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros")]

LISTENS = (topics.REWARD_PROGRAM, topics.VLM_STATUS)
CUBE = np.full(3, 0.038)


class Conversation(Stage):
    def __init__(self, **parameters: Any) -> None:
        super().__init__(NODE, LISTENS, **parameters)

    def show(self, *names: str, updates: int = 6, shifted_m: float = 0.0) -> None:
        places = (np.array([0.5, 0.1 * i + shifted_m, 0.02]) for i in range(len(names)))
        points = tuple(Keypoint(name, place, CUBE) for name, place in zip(names, places, strict=True))
        seen = self.node.body._updates
        for number in range(updates):
            self.publish(topics.KEYPOINTS, keypoints_message(Keypoints(self.now_s, points)))
            self.until(lambda number=number: self.node.body._updates > seen + number)

    def say(self, text: str) -> None:
        self.publish(topics.INSTRUCTION, String(data=text))

    def until_state(self, state: int) -> VlmStatus:
        self.until(lambda: (now := self.newest(topics.VLM_STATUS)) and now.state == state, what=f"state {state}")
        return self.newest(topics.VLM_STATUS)


@pytest.fixture
def conversation() -> Iterator[Callable[..., Conversation]]:
    made: list[Conversation] = []

    def make(**parameters: Any) -> Conversation:
        made.append(Conversation(**parameters))
        made[-1].bring_up()
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_an_instruction_becomes_a_program_that_parses_and_has_its_digest(conversation) -> None:
    one = conversation()
    one.show("red cube", "white plate")
    one.say("pick up the red cube")
    status = one.until_state(VlmStatus.STATE_ACCEPTED)
    one.until(lambda: one.newest(topics.REWARD_PROGRAM).document)
    message = one.newest(topics.REWARD_PROGRAM)
    program = parse_program(message.document)
    assert program.sha256 == message.sha256 == status.program_sha256
    assert message.instruction == program.instruction == "pick up the red cube"
    assert message.written_by == "offline grammar"


def test_an_instruction_is_heard_once_from_a_publisher_of_any_quality(conversation) -> None:  # type: ignore[no-untyped-def]
    one = conversation()
    one.show("red cube", "blue cube")
    for number, quality in enumerate((10, qos_profile_sensor_data, topics.LATCHED), start=1):
        person = one.other.create_publisher(String, topics.INSTRUCTION.name, quality)
        one.until(person.get_subscription_count, what="a subscription of the instruction")
        one.spin(0.3)
        person.publish(String(data="pick up the red cube"))
        one.until(lambda number=number: one.node.body._number >= number, what="a request")
        one.spin(0.3)
        assert one.node.body._number == number
        one.other.destroy_publisher(person)


def test_what_is_not_understood_is_refused_and_no_program_stays(conversation) -> None:
    one = conversation()
    one.show("red cube")
    one.say("pick up the red cube")
    one.until_state(VlmStatus.STATE_ACCEPTED)
    one.say("juggle the unicorn")
    assert one.until_state(VlmStatus.STATE_REFUSED).message
    one.until(lambda: not one.newest(topics.REWARD_PROGRAM).document)


def test_a_new_instruction_withdraws_the_old_program_first(conversation) -> None:
    one = conversation()
    one.show("red cube", "blue cube")
    one.say("pick up the red cube")
    one.until_state(VlmStatus.STATE_ACCEPTED)
    one.heard.clear()
    one.say("pick up the blue cube")
    one.until(lambda: len(one.heard[topics.REWARD_PROGRAM.name]) == 2)
    withdrawn, written = one.heard[topics.REWARD_PROGRAM.name]
    assert withdrawn.document == withdrawn.sha256 == ""
    assert written.instruction == "pick up the blue cube"


def test_an_empty_instruction_means_stop(conversation) -> None:
    one = conversation()
    one.show("red cube")
    one.say("pick up the red cube")
    one.until_state(VlmStatus.STATE_ACCEPTED)
    one.say("")
    one.until_state(VlmStatus.STATE_IDLE)
    one.until(lambda: not one.newest(topics.REWARD_PROGRAM).document)


def test_an_instruction_waits_for_a_view_of_the_scene(conversation) -> None:
    one = conversation()
    one.say("pick up the red cube")
    one.until_state(VlmStatus.STATE_WRITING)
    one.show("red cube", updates=4)
    one.spin(0.3)
    assert one.newest(topics.VLM_STATUS).state == VlmStatus.STATE_WRITING
    one.show("red cube", updates=1)
    one.until_state(VlmStatus.STATE_ACCEPTED)


def test_a_scene_that_is_never_seen_is_a_reason_to_refuse(conversation) -> None:
    one = conversation(keypoints_timeout_s=0.3)
    one.say("pick up the red cube")
    assert "no view of the scene" in one.until_state(VlmStatus.STATE_REFUSED).message


class Slow:
    """A back end that answers when it is let go."""

    name = "slow"
    varies = False

    def __init__(self) -> None:
        self.go = threading.Event()
        self.asked: list[str] = []

    def write(self, request: PlanRequest) -> PlanAnswer:
        self.asked.append(request.instruction)
        if request.instruction.endswith("red cube"):
            self.go.wait(20)
        return OfflineGrammar().write(request)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Slow:
    planner = Slow()
    monkeypatch.setattr(vlm_node, "open_back_end", lambda settings: BackEnd(planner))
    return planner


def test_the_answer_to_an_older_instruction_is_dropped(conversation, slow: Slow) -> None:
    one = conversation()
    one.show("red cube", "blue cube")
    one.say("pick up the red cube")
    one.until(lambda: slow.asked)
    one.say("pick up the blue cube")
    one.until_state(VlmStatus.STATE_ACCEPTED)
    slow.go.set()
    one.spin(0.5)
    assert [m.instruction for m in one.heard[topics.REWARD_PROGRAM.name] if m.document] == ["pick up the blue cube"]


def test_a_back_end_that_does_not_answer_is_given_up(conversation, slow: Slow) -> None:
    one = conversation(answer_timeout_s=0.3)
    one.show("red cube")
    one.say("pick up the red cube")
    assert "gave no answer" in one.until_state(VlmStatus.STATE_FAILED).message
    slow.go.set()
    one.spin(0.5)
    assert one.newest(topics.VLM_STATUS).state == VlmStatus.STATE_FAILED


def test_a_back_end_that_breaks_is_told_and_survived(conversation, slow: Slow, monkeypatch) -> None:
    def explode(request: PlanRequest) -> PlanAnswer:
        raise ZeroDivisionError("no connection")

    monkeypatch.setattr(slow, "write", explode)
    one = conversation()
    one.show("red cube")
    one.say("pick up the red cube")
    assert "no connection" in one.until_state(VlmStatus.STATE_FAILED).message
    assert one.node.failure == ""


def test_when_it_goes_the_program_goes(conversation) -> None:
    one = conversation()
    one.show("red cube")
    one.say("pick up the red cube")
    one.until(lambda: (m := one.newest(topics.REWARD_PROGRAM)) and m.document)
    one.node.trigger_deactivate()
    one.until(lambda: not one.newest(topics.REWARD_PROGRAM).document)


def programs(one: Conversation) -> list[Any]:
    return [message for message in one.heard[topics.REWARD_PROGRAM.name] if message.document]


def test_an_answer_about_a_scene_that_has_changed_is_asked_for_again(conversation, slow: Slow) -> None:
    one = conversation()
    one.show("red cube")
    one.say("pick up the red cube")
    one.until(lambda: len(slow.asked) == 1)
    one.show("red cube", updates=1, shifted_m=0.12)
    slow.go.set()
    one.until_state(VlmStatus.STATE_ACCEPTED)
    assert len(slow.asked) == 2
    assert len(programs(one)) == 1


def test_a_scene_that_keeps_changing_is_a_reason_to_refuse(conversation, slow: Slow) -> None:
    one = conversation(max_asked=1)
    one.show("red cube")
    one.say("pick up the red cube")
    one.until(lambda: slow.asked)
    one.show("blue cube", updates=1)
    slow.go.set()
    assert "the red cube is no longer seen" in one.until_state(VlmStatus.STATE_REFUSED).message
    assert programs(one) == []


OUTLINE = {"constraints": [], "steps": [{"skill": "pick", "object": "red cube", "length_cm": 0}]}


@pytest.fixture
def serve() -> Iterator[Serve]:
    pytest.importorskip("openai")
    with servers() as start:
        yield start


def served(server: ChatServer, **more: Any) -> dict[str, Any]:
    return {"back_end": "openai", "openai.base_url": server.url, "openai.send_image": False, **more}


def test_a_served_model_writes_and_its_recording_replays_to_the_same_program(
    conversation, serve, tmp_path: Path
) -> None:
    recording = tmp_path / "answers.json"
    server = serve(saying(json.dumps(OUTLINE)))
    one = conversation(**served(server, record_file=str(recording)))
    one.show("red cube")
    one.say("pick up the red cube")
    status = one.until_state(VlmStatus.STATE_ACCEPTED)
    assert status.back_end == "openai:default"
    request = PlanRequest("pick up the red cube", one.node.body._keypoints)
    assert plan(request, Replay.from_file(recording)).sha256 == status.program_sha256


def test_a_refusal_is_a_warning_in_the_diagnostics_until_the_next_instruction(conversation) -> None:
    one = conversation()
    one.show("red cube")
    one.say("sing a song")
    message = one.until_state(VlmStatus.STATE_REFUSED).message
    one.say("")  # what the manager does when a task ends
    one.until_state(VlmStatus.STATE_IDLE)
    line = one.diagnose("lifecycle")
    assert line.level == DiagnosticStatus.WARN
    assert message in line.message
    one.say("pick up the red cube")
    one.until_state(VlmStatus.STATE_ACCEPTED)
    assert one.diagnose("lifecycle").level == DiagnosticStatus.OK


@pytest.mark.parametrize(
    ("behave", "state", "words"),
    [
        (lambda body, n, handler: handler.complete({}, 500), VlmStatus.STATE_FAILED, "HTTP 500"),
        (lambda body, n, handler: handler.reset(), VlmStatus.STATE_FAILED, "broke the connection off"),
        (lambda body, n, handler: handler.server.let_go.wait(20), VlmStatus.STATE_FAILED, "did not answer in time"),
        (saying("no idea"), VlmStatus.STATE_FAILED, "answered no JSON object"),
        (saying('{"steps": [{"skill": "fly"}]}'), VlmStatus.STATE_REFUSED, "unknown skill"),
        (saying('{"stages": [], "refusal": "too heavy"}'), VlmStatus.STATE_REFUSED, "too heavy"),
    ],
    ids=["500", "reset", "slow", "prose", "wrong schema", "refusal"],
)
def test_a_server_that_misbehaves_ends_in_a_named_reason_and_a_hold(conversation, serve, behave, state, words) -> None:
    one = conversation(**served(serve(behave), **{"openai.timeout_s": 0.5}))
    one.show("red cube")
    one.say("pick up the red cube")
    status = one.until_state(state)
    assert words in status.message
    assert "Traceback" not in status.message
    assert programs(one) == []
    assert one.node.complaints["alert"] == status.message
    assert one.node.failure == ""


def test_a_server_that_dies_leaves_the_program_in_force_and_refuses_the_next(conversation, serve) -> None:
    server = serve(saying(json.dumps(OUTLINE)))
    one = conversation(**served(server))
    one.show("red cube")
    one.say("pick up the red cube")
    one.until_state(VlmStatus.STATE_ACCEPTED)
    server.close()
    one.spin(0.3)
    assert one.newest(topics.REWARD_PROGRAM).document
    one.say("put the red cube down")
    assert "cannot be reached" in one.until_state(VlmStatus.STATE_FAILED).message
    assert not one.newest(topics.REWARD_PROGRAM).document


def test_the_budget_of_answers_is_kept(conversation, serve) -> None:
    server = serve(saying(json.dumps(OUTLINE)))
    one = conversation(**served(server, max_answers=1))
    one.show("red cube")
    one.say("pick up the red cube")
    one.until_state(VlmStatus.STATE_ACCEPTED)
    one.say("pick up the red cube, please")
    assert "used up its budget" in one.until_state(VlmStatus.STATE_FAILED).message
    assert len(server.bodies) == 1


class Watching(Slow):
    """Writes as the grammar does, and says that the picture shows the second stage."""

    def choose(self, question: Question) -> str:
        return question.options[1]


def test_advice_is_told_and_changes_nothing(conversation, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Watching()
    model.go.set()
    monkeypatch.setattr(vlm_node, "open_back_end", lambda settings: BackEnd(model, model))
    one = conversation(**{"advice.period_s": 0.2})
    one.show("red cube")
    one.say("pick up the red cube")
    status = one.until_state(VlmStatus.STATE_ACCEPTED)
    one.publish(topics.STEERING_STATUS, SteeringStatus(program_sha256=status.program_sha256, stage=0, progress=0.5))
    one.until(lambda: "shows 'grasp the red cube'" in one.node.facts.get("advice", ""))
    assert {message.sha256 for message in programs(one)} == {status.program_sha256}
    assert one.newest(topics.VLM_STATUS).state == VlmStatus.STATE_ACCEPTED
