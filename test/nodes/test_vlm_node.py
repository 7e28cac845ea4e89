"""The vlm node: a sentence becomes one checked program, or a refusal that says why."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

from nodes.stage import Stage
from std_msgs.msg import String

from vls_steering.core.types import Keypoint, Keypoints
from vls_steering.msg import VlmStatus
from vls_steering.nodes import topics
from vls_steering.nodes import vlm as vlm_node
from vls_steering.nodes.conversions import keypoints_message
from vls_steering.nodes.vlm import NODE
from vls_steering.rewards import parse_program
from vls_steering.vlm import OfflineGrammar, PlanAnswer, PlanRequest

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros")]

LISTENS = (topics.REWARD_PROGRAM, topics.VLM_STATUS)
CUBE = np.full(3, 0.038)


class Conversation(Stage):
    def __init__(self, **parameters: Any) -> None:
        super().__init__(NODE, LISTENS, **parameters)

    def show(self, *names: str, updates: int = 6) -> None:
        points = tuple(Keypoint(name, np.array([0.5, 0.1 * i, 0.02]), CUBE) for i, name in enumerate(names))
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
    monkeypatch.setattr(vlm_node, "open_planner", lambda settings: planner)
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
