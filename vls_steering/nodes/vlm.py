"""The node that has reward programs written: a sentence and the keypoints in, one checked program out.

A new instruction withdraws the program in force before anything else: the arm holds while somebody thinks about what
to do next.  Back ends may take seconds, so each request has a thread of its own; an answer that comes after its
time-out, or after a newer instruction, is dropped.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field
from sensor_msgs.msg import Image
from std_msgs.msg import String

from vls_steering.core.config import Settings
from vls_steering.core.errors import ConfigurationError, Refusal
from vls_steering.core.types import Keypoints
from vls_steering.msg import Keypoints as KeypointsMessage
from vls_steering.msg import RewardProgram, VlmStatus
from vls_steering.nodes import topics
from vls_steering.nodes.base import NodeDefinition, RoomNode
from vls_steering.nodes.conversions import header, keypoints_of
from vls_steering.nodes.pictures import color_of
from vls_steering.nodes.run import run_node
from vls_steering.rewards import CompiledProgram
from vls_steering.vlm import OfflineGrammar, Planner, PlanRequest, plan
from vls_steering.vlm.openai import OpenAIPlanner, OpenAISettings
from vls_steering.vlm.replay import Replay

POLL_S = 0.05


class VlmNodeSettings(Settings):
    back_end: Literal["offline", "replay", "openai"] = Field("offline", description="what writes reward programs")
    replay_file: str = Field("", description="recorded answers of the replay back end, JSON")
    openai: OpenAISettings = OpenAISettings()
    answer_timeout_s: float = Field(30.0, gt=0.0, le=600.0, description="longest wait for the back end")
    keypoints_timeout_s: float = Field(10.0, gt=0.0, le=600.0, description="longest wait for the first keypoints")
    min_updates: int = Field(5, ge=1, le=100, description="keypoint updates to see before the scene is trusted")

    @property
    def wants_picture(self) -> bool:
        """Pictures are large: only a back end that looks at them is sent any."""
        return self.back_end == "openai" and self.openai.send_image


@dataclass(frozen=True)
class Answer:
    """What a back end made of an instruction: a program, or the error that it raised."""

    number: int
    result: CompiledProgram | Exception


class VlmBody:
    """At most one instruction at a time; the newest wins."""

    def __init__(self, node: RoomNode, settings: VlmNodeSettings) -> None:
        self._node, self._settings = node, settings
        self._planner = open_planner(settings)
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._number = 0  # of the newest instruction; answers to older ones are dropped
        self._programs = node.publisher(topics.REWARD_PROGRAM)
        self._statuses = node.publisher(topics.VLM_STATUS)

    def start(self) -> None:
        self._instruction = ""
        self._keypoints: Keypoints | None = None
        self._picture: Image | None = None
        self._updates = 0
        self._waits_for_keypoints = self._waits_for_answer = False
        self._since_s = time.monotonic()
        self._tell(VlmStatus.STATE_IDLE)
        self._node.subscribe(topics.KEYPOINTS, self._receive_keypoints, expected_hz=10.0)
        self._node.subscribe(topics.INSTRUCTION, self._receive_instruction)
        if self._settings.wants_picture:
            self._node.subscribe(topics.OVERLAY, self._receive_picture)
        self._node.every_monotonic(POLL_S, self._poll)

    def stop(self) -> None:
        """Nobody is left to change the program: withdraw it."""
        self._number += 1
        self._publish_program(None)

    def tear_down(self) -> None:
        pass

    def _receive_keypoints(self, message: KeypointsMessage) -> None:
        self._keypoints = keypoints_of(message)
        self._updates += 1

    def _receive_picture(self, message: Image) -> None:
        self._picture = message

    def _receive_instruction(self, message: String) -> None:
        self._number += 1
        self._instruction = message.data.strip()
        self._since_s = time.monotonic()
        self._waits_for_answer = False
        self._waits_for_keypoints = bool(self._instruction)
        self._publish_program(None)
        self._tell(VlmStatus.STATE_WRITING if self._instruction else VlmStatus.STATE_IDLE)

    def _poll(self) -> None:
        waited_s = time.monotonic() - self._since_s
        if self._waits_for_keypoints:
            self._try_to_ask(waited_s)
        while not self._answers.empty():
            answer = self._answers.get()
            if answer.number == self._number and self._waits_for_answer:
                self._take(answer.result)
        if self._waits_for_answer and waited_s > self._settings.answer_timeout_s:
            self._refuse(VlmStatus.STATE_FAILED, f"{self._planner.name} gave no answer within {waited_s:.0f} s")

    def _try_to_ask(self, waited_s: float) -> None:
        if self._keypoints is not None and self._updates >= self._settings.min_updates:
            self._waits_for_keypoints, self._waits_for_answer = False, True
            self._since_s = time.monotonic()
            picture = color_of(self._picture) if self._picture is not None else None
            request = PlanRequest(self._instruction, self._keypoints, picture)
            arguments = (self._planner, request, self._number, self._answers)
            threading.Thread(target=_write, args=arguments, name="planner", daemon=True).start()
        elif waited_s > self._settings.keypoints_timeout_s:
            seen = "none" if self._updates == 0 else f"only {self._updates} updates"
            reason = f"no view of the scene: {seen} of the keypoints in {waited_s:.0f} s. Check camera and perception."
            self._refuse(VlmStatus.STATE_REFUSED, reason)

    def _take(self, result: CompiledProgram | Exception) -> None:
        if isinstance(result, CompiledProgram):
            self._waits_for_answer = False
            self._publish_program(result)
            repairs = f" after {result.repairs} repairs" if result.repairs else ""
            self._tell(VlmStatus.STATE_ACCEPTED, f"written by {result.written_by}{repairs}", result.sha256)
        elif isinstance(result, Refusal):
            self._refuse(VlmStatus.STATE_REFUSED, str(result))
        else:
            self._refuse(VlmStatus.STATE_FAILED, f"{type(result).__name__}: {result}")

    def _refuse(self, state: int, message: str) -> None:
        self._waits_for_keypoints = self._waits_for_answer = False
        self._node.get_logger().warning(f"{self._instruction!r}: {message}")
        self._tell(state, message)

    def _publish_program(self, compiled: CompiledProgram | None) -> None:
        message = RewardProgram(header=header(self._node.now_s()))
        if compiled is not None:
            message.instruction, message.document = compiled.program.instruction, compiled.program.canonical
            message.sha256, message.written_by = compiled.sha256, compiled.written_by
        self._programs.publish(message)

    def _tell(self, state: int, message: str = "", program_sha256: str = "") -> None:
        status = VlmStatus(header=header(self._node.now_s()), state=state, back_end=self._planner.name)
        status.instruction, status.message, status.program_sha256 = self._instruction, message, program_sha256
        status.duration_s = time.monotonic() - self._since_s
        self._statuses.publish(status)


def _write(planner: Planner, request: PlanRequest, number: int, answers: queue.SimpleQueue[Answer]) -> None:
    try:
        answers.put(Answer(number, plan(request, planner)))
    except Exception as error:  # noqa: BLE001 - whatever a back end raises is its answer
        answers.put(Answer(number, error))


def open_planner(settings: VlmNodeSettings) -> Planner:
    """A further back end is one line here.  Raises ConfigurationError when it lacks what it needs."""
    if settings.back_end == "offline":
        return OfflineGrammar()
    if settings.back_end == "openai":
        return OpenAIPlanner(settings.openai)
    if not settings.replay_file:
        raise ConfigurationError("the replay back end has no recording", "Set the parameter replay_file")
    return Replay.from_file(Path(settings.replay_file))


NODE = NodeDefinition("vlm", VlmNodeSettings, VlmBody, niceness=10)


def main() -> int:
    return run_node(NODE)


if __name__ == "__main__":
    sys.exit(main())
