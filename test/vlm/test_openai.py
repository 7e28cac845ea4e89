"""The OpenAI-compatible back end against a real HTTP server on this host: what is sent, and how every failure ends."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("openai")

from vlm.scripted import BAD, GOOD, OUTLINE, REQUEST
from vlm.server import ChatServer, Handler, Misbehaviour, Serve, saying, servers

from vls_steering.core.errors import Refusal
from vls_steering.rewards import ProgramRejected
from vls_steering.vlm import OfflineGrammar, PlanRequest, plan
from vls_steering.vlm.base import BackEndFailure, Failure, Question
from vls_steering.vlm.chat import find_json
from vls_steering.vlm.openai import OpenAIPlanner, OpenAISettings
from vls_steering.vlm.plan import PlanSettings

ONE = PlanSettings(programs=1)


@pytest.fixture
def serve() -> Iterator[Serve]:
    with servers() as start:
        yield start


def planner(server: ChatServer, **settings: Any) -> OpenAIPlanner:
    return OpenAIPlanner(OpenAISettings(**{"base_url": server.url, "model": "m", **settings}))


class TestWhatIsSent:
    def test_language_scene_schema_and_picture(self, serve: Serve) -> None:
        server = serve(saying(json.dumps({**GOOD, "constraints": [], "refusal": ""})))
        image = np.zeros((4, 4, 3), np.uint8)
        image[1, 2] = (255, 0, 0)
        request = PlanRequest(REQUEST.instruction, REQUEST.keypoints, image)
        compiled = plan(request, planner(server, form="program"), ONE)
        assert compiled.written_by == "openai:m"
        (body,) = server.bodies
        assert body["response_format"]["json_schema"]["strict"] is True
        system, user = body["messages"]
        assert "clearance(body, object)" in system["content"]
        told = json.loads(user["content"][0]["text"])
        assert told["instruction"] == REQUEST.instruction
        assert [thing["number"] for thing in told["objects"]] == list(range(1, len(REQUEST.keypoints.points) + 1))
        encoded = user["content"][1]["image_url"]["url"].removeprefix("data:image/png;base64,")
        shown = cv2.imdecode(np.frombuffer(base64.b64decode(encoded), np.uint8), cv2.IMREAD_COLOR)
        assert shown[1, 2].tolist() == [0, 0, 255]  # OpenCV reads blue first

    def test_an_outline_is_asked_for_with_the_objects_as_the_only_choices(self, serve: Serve) -> None:
        server = serve(saying(json.dumps({**OUTLINE, "refusal": ""})))
        compiled = plan(REQUEST, planner(server, form="outline"), ONE)
        assert compiled.sha256 == plan(REQUEST, OfflineGrammar()).sha256
        schema = server.bodies[0]["response_format"]["json_schema"]["schema"]
        assert schema["properties"]["steps"]["items"]["properties"]["object"]["enum"] == ["", *REQUEST.keypoints.names]

    def test_where_no_outline_will_do_the_whole_language_is_asked_for(self, serve: Serve) -> None:
        no_outline = json.dumps({"constraints": [], "steps": [], "refusal": "the arm has no such skill"})
        server = serve(saying(no_outline, json.dumps({**BAD, "refusal": ""}), json.dumps(GOOD)))
        assert plan(REQUEST, planner(server), ONE).repairs == 1
        asked = ["skill" in body["messages"][0]["content"] for body in server.bodies]
        assert asked == [True, False, False]  # a repair has the form of what is repaired

    def test_a_server_without_schemas_is_asked_without(self, serve: Serve) -> None:
        def behave(body: dict[str, Any], n: int, handler: Handler) -> None:
            if "response_format" in body:
                handler.complete({"error": {"message": "no schema"}}, 400)
            else:
                handler.say(json.dumps(GOOD))

        server = serve(behave)
        plan(REQUEST, planner(server), ONE)
        assert ["response_format" in body for body in server.bodies] == [True, False]

    def test_the_first_answer_is_the_likeliest_and_later_ones_vary(self, serve: Serve) -> None:
        server = serve(saying(json.dumps(BAD), json.dumps(GOOD)))
        plan(REQUEST, planner(server, temperature=0.5), ONE)
        assert [(body["temperature"], body["seed"]) for body in server.bodies] == [(0.0, 0), (0.5, 1)]

    def test_the_checkers_findings_are_sent_for_repair(self, serve: Serve) -> None:
        server = serve(saying(json.dumps(BAD), json.dumps(GOOD)))
        assert plan(REQUEST, planner(server), ONE).repairs == 1
        assert "did you mean 'red cube'" in server.bodies[1]["messages"][-1]["content"]

    def test_a_question_is_answered_by_one_of_its_options(self, serve: Serve) -> None:
        server = serve(saying('{"answer": "2: lift"}', '{"answer": "3: fly"}'))
        question = Question("Which stage?", ("1: grasp", "2: lift"))
        advisor = planner(server)
        assert advisor.choose(question) == "2: lift"
        with pytest.raises(BackEndFailure, match="none of the options"):
            advisor.choose(question)


class TestWhatIsMadeOfAnswers:
    def test_prose_and_fences_around_the_json_are_stepped_over(self, serve: Serve) -> None:
        server = serve(saying(f"Sure {{here}}:\n```json\n{json.dumps(GOOD)}\n```\nEnjoy!"))
        assert plan(REQUEST, planner(server), ONE).repairs == 0

    def test_blank_optional_keys_are_left_out(self, serve: Serve) -> None:
        stages = [{**stage, "deadline": "", "requires": stage.get("requires", "")} for stage in GOOD["stages"]]
        server = serve(saying(json.dumps({**GOOD, "stages": stages})))
        assert plan(REQUEST, planner(server), ONE).program.stages[0].requires is None

    def test_a_refusal_of_the_model_is_a_refusal_in_one_line(self, serve: Serve) -> None:
        refusal = "there is no\nred cube\x1b[2J"
        server = serve(saying(json.dumps({"stages": [], "refusal": refusal})))
        with pytest.raises(Refusal) as caught:
            plan(REQUEST, planner(server))
        assert str(caught.value) == "there is no red cube [2J"

    def test_hostile_answers_are_only_ever_data(self, serve: Serve) -> None:
        attack = {**GOOD, "stages": [{**GOOD["stages"][0], "done": "__import__('os').system('true')"}]}
        server = serve(saying(json.dumps(attack)))
        with pytest.raises(ProgramRejected, match="only words of the language"):
            plan(REQUEST, planner(server))


def no_choices(body: dict[str, Any], n: int, handler: Handler) -> None:
    handler.complete({"choices": []})


def wrong_envelope(body: dict[str, Any], n: int, handler: Handler) -> None:
    handler.complete({"result": "ok"})


def wrong_types(body: dict[str, Any], n: int, handler: Handler) -> None:
    handler.complete({"choices": [{"message": {"content": {"stages": []}}}]})


def truncated_envelope(body: dict[str, Any], n: int, handler: Handler) -> None:
    handler.send(b'{"choices": [{"message": {"content": "{\\"stag')


def ends_early(body: dict[str, Any], n: int, handler: Handler) -> None:
    handler.send(b'{"choices": [', length=5000)


def truncated_answer(body: dict[str, Any], n: int, handler: Handler) -> None:
    handler.say(json.dumps(GOOD)[:200], finish="length")


def huge(body: dict[str, Any], n: int, handler: Handler) -> None:
    handler.send(b" " * 3_000_000)


def drips(body: dict[str, Any], n: int, handler: Handler) -> None:
    """A byte now and then: no single wait is long."""
    handler.send(b"{", length=100_000)
    while not handler.server.let_go.wait(0.05):
        handler.wfile.write(b" ")


def never_answers(body: dict[str, Any], n: int, handler: Handler) -> None:
    handler.server.let_go.wait(20)


def resets(body: dict[str, Any], n: int, handler: Handler) -> None:
    handler.reset()


def resets_midway(body: dict[str, Any], n: int, handler: Handler) -> None:
    handler.send(b'{"choices": [', length=5000)
    handler.wfile.flush()
    handler.reset()


def not_http(body: dict[str, Any], n: int, handler: Handler) -> None:
    handler.wfile.write(b"\x00\x01 what? \r\n\r\n")


def status(code: int) -> Misbehaviour:
    return lambda body, n, handler: handler.complete({"error": {"message": "broken"}}, code)


class TestMisbehaviour:
    """Each ends in a named reason, at once, and nothing of it is a traceback."""

    @pytest.mark.parametrize(
        ("behave", "failure"),
        [
            (status(500), Failure.HTTP_ERROR),
            (status(401), Failure.HTTP_ERROR),
            (status(429), Failure.HTTP_ERROR),
            (status(503), Failure.HTTP_ERROR),
            (never_answers, Failure.TIMED_OUT),
            (drips, Failure.TIMED_OUT),
            (huge, Failure.TOO_LONG),
            (no_choices, Failure.NO_CHOICE),
            (wrong_envelope, Failure.NOT_A_COMPLETION),
            (wrong_types, Failure.NOT_A_COMPLETION),
            (truncated_envelope, Failure.NOT_A_COMPLETION),
            (truncated_answer, Failure.CUT_OFF),
            (ends_early, Failure.BROKEN_OFF),
            (resets, Failure.BROKEN_OFF),
            (resets_midway, Failure.BROKEN_OFF),
            (not_http, Failure.BROKEN_OFF),
            (saying("I would rather talk about the weather."), Failure.NO_JSON),
            (saying(""), Failure.NO_JSON),
            (saying("{" * 5000), Failure.NO_JSON),
            (saying("[1, 2]"), Failure.NO_JSON),
        ],
        ids=lambda value: getattr(value, "__name__", getattr(value, "name", None)),
    )
    def test_every_failure_has_its_name(self, behave: Misbehaviour, failure: Failure, serve: Serve) -> None:
        with pytest.raises(BackEndFailure) as caught:
            plan(REQUEST, planner(serve(behave), timeout_s=1.0))
        assert caught.value.failure is failure
        assert "Traceback" not in str(caught.value)
        assert str(caught.value).startswith("openai:m ")

    @pytest.mark.parametrize(
        "document",
        [{}, {"stages": "none"}, {"stages": []}, {"stages": [1]}, {"steps": "none"}, {"steps": [{}]},
         {"constraints": [{"phrase": 7}], "stages": GOOD["stages"]}, {"steps": [{"skill": "fly"}]}],
        ids=str,
    )  # fmt: skip
    def test_json_of_the_wrong_shape_is_rejected_with_diagnostics(self, document: Any, serve: Serve) -> None:
        server = serve(saying(json.dumps(document)))
        with pytest.raises(ProgramRejected) as caught:
            plan(REQUEST, planner(server), ONE)
        assert caught.value.diagnostics
        assert len(server.bodies) == 2  # the same answer to the repair ends it

    def test_a_failing_server_is_not_asked_again_and_again(self, serve: Serve) -> None:
        server = serve(status(500))
        with pytest.raises(BackEndFailure):
            plan(REQUEST, planner(server))
        assert len(server.bodies) == 1

    def test_babble_is_asked_once_more(self, serve: Serve) -> None:
        server = serve(saying("Let me think.", json.dumps(GOOD)))
        assert plan(REQUEST, planner(server), ONE).repairs == 0
        assert len(server.bodies) == 2

    def test_a_server_that_has_gone(self) -> None:
        server = ChatServer(saying(""))
        url = server.url
        server.close()
        with pytest.raises(BackEndFailure) as caught:
            plan(REQUEST, OpenAIPlanner(OpenAISettings(base_url=url, timeout_s=2.0)))
        assert caught.value.failure is Failure.UNREACHABLE

    def test_no_thread_is_left_behind(self, serve: Serve) -> None:
        server = serve(resets)
        before = threading.active_count()
        with pytest.raises(BackEndFailure):
            plan(REQUEST, planner(server))
        assert threading.active_count() <= before + 1  # the server's own, of the connection


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1}', {"a": 1}),
        ('x {y} {"a": {"b": 2}} z', {"a": {"b": 2}}),
        ("none", None),
        ("{" * 5000, None),
        ("", None),
    ],
)
def test_json_is_found_in_any_text(text: str, found: dict[str, Any] | None) -> None:
    assert find_json(text) == found
