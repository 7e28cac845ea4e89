"""Write, check, repair; and the back ends behind the one interface, against a real HTTP server on this host."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rewards.table import keypoints

from vls_steering.core.errors import ConfigurationError, Refusal
from vls_steering.rewards import ProgramRejected
from vls_steering.rewards.words import VOCABULARY
from vls_steering.vlm import OfflineGrammar, PlanAnswer, PlanRequest, plan
from vls_steering.vlm.openai import OpenAIPlanner, OpenAISettings, find_json
from vls_steering.vlm.prompt import system_prompt
from vls_steering.vlm.replay import Replay

REQUEST = PlanRequest("pick up the red cube", keypoints())
GOOD = OfflineGrammar().write(REQUEST).document
assert GOOD is not None
BAD = {**GOOD, "stages": [{**GOOD["stages"][0], "done": "grasped('red cub')"}]}


class Scripted:
    """Answers from a list, and remembers what it was asked."""

    name = "scripted"

    def __init__(self, *documents: dict[str, Any] | None) -> None:
        self._documents = list(documents)
        self.requests: list[PlanRequest] = []

    def write(self, request: PlanRequest) -> PlanAnswer:
        self.requests.append(request)
        return PlanAnswer(self._documents.pop(0), "cannot", self.name)


class TestPlan:
    def test_a_good_program_needs_no_repair(self) -> None:
        compiled = plan(REQUEST, Scripted(GOOD))
        assert (compiled.written_by, compiled.repairs) == ("scripted", 0)
        assert compiled.program.instruction == REQUEST.instruction

    def test_a_rejected_program_is_sent_back_with_its_diagnostics(self) -> None:
        planner = Scripted(BAD, GOOD)
        assert plan(REQUEST, planner).repairs == 1
        repair = planner.requests[1]
        assert repair.rejected == BAD
        assert "did you mean 'red cube'" in str(repair.diagnostics[0])

    def test_it_gives_up_after_two_repairs(self) -> None:
        worse = [{**BAD, "instruction": f"attempt {i}"} for i in range(5)]
        planner = Scripted(*worse)
        with pytest.raises(ProgramRejected, match="red cub"):
            plan(REQUEST, planner)
        assert len(planner.requests) == 3

    def test_the_same_answer_twice_ends_it(self) -> None:
        planner = Scripted(BAD, BAD, GOOD)
        with pytest.raises(ProgramRejected):
            plan(REQUEST, planner)
        assert len(planner.requests) == 2

    def test_a_refusal_keeps_its_reason(self) -> None:
        with pytest.raises(Refusal, match="cannot"):
            plan(REQUEST, Scripted(None))

    def test_the_log_has_the_users_instruction_whatever_the_model_claims(self) -> None:
        compiled = plan(REQUEST, Scripted({**GOOD, "instruction": "push the cup off the table"}))
        assert compiled.program.instruction == REQUEST.instruction

    def test_line_breaks_in_the_instruction_are_blanks(self) -> None:
        compiled = plan(PlanRequest("pick up\n the red  cube\n", REQUEST.keypoints), OfflineGrammar())
        assert compiled.program.instruction == "pick up the red cube"


class TestReplay:
    def test_answers_come_back_in_their_order(self, tmp_path: Path) -> None:
        path = tmp_path / "answers.json"
        path.write_text(json.dumps({"Pick up  the red cube": [BAD, GOOD]}))
        compiled = plan(REQUEST, Replay.from_file(path))
        assert (compiled.written_by, compiled.repairs) == ("replay", 1)

    def test_an_unknown_instruction_is_refused(self) -> None:
        with pytest.raises(Refusal, match="was recorded"):
            plan(REQUEST, Replay({}))

    @pytest.mark.parametrize("text", ["", "[]", '{"a": 1}'])
    def test_a_malformed_recording_is_a_configuration_error(self, text: str, tmp_path: Path) -> None:
        path = tmp_path / "answers.json"
        path.write_text(text)
        with pytest.raises(ConfigurationError):
            Replay.from_file(path)


Reply = Callable[[dict[str, Any], int], tuple[int, str]]


class Server:
    """An OpenAI-compatible server that answers by a function of (request body, number of the request)."""

    def __init__(self, reply: Reply) -> None:
        self.bodies: list[dict[str, Any]] = []
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                bodies.append(body)
                status, content = reply(body, len(bodies))
                message = {"role": "assistant", "content": content}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                completion = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
                answer = json.dumps(completion if status == 200 else {"error": {"message": content}}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                """Tests are quiet."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[[Reply], Server]]:
    pytest.importorskip("openai")
    running: list[Server] = []

    def start(reply: Reply) -> Server:
        running.append(Server(reply))
        return running[-1]

    yield start
    for server in running:
        server.close()


def planner(server: Server, timeout_s: float = 20.0) -> OpenAIPlanner:
    return OpenAIPlanner(OpenAISettings(base_url=server.url, model="m", timeout_s=timeout_s))


class TestOpenAI:
    def test_a_schema_is_sent_and_the_answer_becomes_a_program(self, serve: Callable[[Reply], Server]) -> None:
        server = serve(lambda body, n: (200, json.dumps({**GOOD, "refusal": ""})))
        image = np.zeros((4, 4, 3), np.uint8)
        compiled = plan(PlanRequest(REQUEST.instruction, REQUEST.keypoints, image), planner(server))
        assert compiled.written_by == "openai:m"
        (body,) = server.bodies
        assert body["response_format"]["json_schema"]["strict"] is True
        system, user = body["messages"]
        assert "clearance(body, object)" in system["content"]
        assert json.loads(user["content"][0]["text"])["instruction"] == REQUEST.instruction
        assert user["content"][1]["image_url"]["url"].startswith("data:image/png;base64,")

    def test_prose_and_fences_around_the_json_are_stepped_over(self, serve: Callable[[Reply], Server]) -> None:
        server = serve(lambda body, n: (200, f"Sure {{here}}:\n```json\n{json.dumps(GOOD)}\n```\nEnjoy!"))
        assert plan(REQUEST, planner(server)).repairs == 0

    def test_a_server_without_schemas_is_asked_without(self, serve: Callable[[Reply], Server]) -> None:
        server = serve(lambda body, n: (400, "no schema") if "response_format" in body else (200, json.dumps(GOOD)))
        plan(REQUEST, planner(server))
        assert ["response_format" in body for body in server.bodies] == [True, False]

    def test_the_checkers_findings_are_sent_for_repair(self, serve: Callable[[Reply], Server]) -> None:
        server = serve(lambda body, n: (200, json.dumps(BAD if n == 1 else GOOD)))
        assert plan(REQUEST, planner(server)).repairs == 1
        assert "did you mean 'red cube'" in server.bodies[1]["messages"][-1]["content"]

    def test_blank_optional_keys_are_left_out(self, serve: Callable[[Reply], Server]) -> None:
        stage = {**GOOD["stages"][0], "requires": "", "deadline": "", "safety": []}
        stage["reward"] = [{"term": term, "phrase": ""} for term in stage["reward"]]
        server = serve(lambda body, n: (200, json.dumps({**GOOD, "stages": [stage]})))
        assert plan(REQUEST, planner(server)).program.stages[0].requires is None

    def test_a_refusal_of_the_model_is_a_refusal(self, serve: Callable[[Reply], Server]) -> None:
        server = serve(lambda body, n: (200, json.dumps({"stages": [], "refusal": "there is no red cube"})))
        with pytest.raises(Refusal, match="there is no red cube"):
            plan(REQUEST, planner(server))

    @pytest.mark.parametrize(("status", "words"), [(500, "HTTP 500"), (401, "HTTP 401"), (429, "HTTP 429")])
    def test_an_error_of_the_server_is_a_refusal(
        self, status: int, words: str, serve: Callable[[Reply], Server]
    ) -> None:
        server = serve(lambda body, n: (status, "broken"))
        with pytest.raises(Refusal, match=words):
            plan(REQUEST, planner(server))
        assert len(server.bodies) == 1

    def test_a_late_answer_is_a_refusal(self, serve: Callable[[Reply], Server]) -> None:
        def late(body: dict[str, Any], n: int) -> tuple[int, str]:
            time.sleep(1.5)
            return 200, json.dumps(GOOD)

        with pytest.raises(Refusal, match=r"within 0\.3 s"):
            plan(REQUEST, planner(serve(late), timeout_s=0.3))

    def test_no_server_is_a_refusal(self) -> None:
        pytest.importorskip("openai")
        with pytest.raises(Refusal, match="cannot be used"):
            plan(REQUEST, OpenAIPlanner(OpenAISettings(base_url="http://127.0.0.1:9/v1", timeout_s=2.0)))

    def test_babble_is_asked_once_more_and_then_refused(self, serve: Callable[[Reply], Server]) -> None:
        server = serve(lambda body, n: (200, "I would rather talk about the weather."))
        with pytest.raises(Refusal, match="no JSON object"):
            plan(REQUEST, planner(server))
        assert len(server.bodies) == 2

    def test_hostile_answers_are_only_ever_data(self, serve: Callable[[Reply], Server]) -> None:
        attack = {**GOOD, "stages": [{**GOOD["stages"][0], "done": "__import__('os').system('true')"}]}
        server = serve(lambda body, n: (200, json.dumps(attack)))
        with pytest.raises(ProgramRejected, match="only words of the language"):
            plan(REQUEST, planner(server))


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


def test_the_prompt_knows_every_word_of_the_language() -> None:
    prompt = system_prompt()
    assert "<<" not in prompt
    for word in VOCABULARY.words:
        assert f"`{word.signature}`" in prompt
