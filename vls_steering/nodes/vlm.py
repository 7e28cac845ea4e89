"""The node that has reward programs written: a sentence and the keypoints in, one checked program out.

A new instruction withdraws the program in force before anything else: the arm holds while somebody thinks about what
to do next.  Back ends may take seconds, so each request has a thread of its own; an answer that comes after its
time-out or after a newer instruction is dropped, and one about a scene that has changed meanwhile is asked for again.

While a task runs, a model may be asked beside it which stage the picture shows.  That is advice: it is told and
logged, and moves nothing.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import Field
from sensor_msgs.msg import Image
from std_msgs.msg import String

from vls_steering.core.errors import Refusal
from vls_steering.core.types import Keypoints
from vls_steering.msg import Keypoints as KeypointsMessage
from vls_steering.msg import RewardProgram, SteeringStatus, VlmStatus
from vls_steering.nodes import topics
from vls_steering.nodes.base import NodeDefinition, RoomNode
from vls_steering.nodes.conversions import header, keypoints_of
from vls_steering.nodes.pictures import color_of
from vls_steering.nodes.run import run_node
from vls_steering.nodes.stage_watch import StageWatch, StageWatchSettings
from vls_steering.rewards import CompiledProgram
from vls_steering.vlm import PlanRequest, plan
from vls_steering.vlm.back_ends import BackEndSettings, open_back_end
from vls_steering.vlm.base import BackEndFailure, Planner
from vls_steering.vlm.plan import PlanSettings, Tell
from vls_steering.vlm.staleness import scene_change

POLL_S = 0.05
# Pictures come more rarely than keypoints; a model that looks at them waits this long for the first one.
PICTURE_PATIENCE_S = 3.0
STEERING_PATIENCE_S = 1.0  # the policy reports every tick, a tenth of this


class VlmNodeSettings(BackEndSettings):
    planning: PlanSettings = PlanSettings()
    advice: StageWatchSettings = StageWatchSettings()
    answer_timeout_s: float = Field(30.0, gt=0.0, le=600.0, description="longest wait for the back end")
    keypoints_timeout_s: float = Field(10.0, gt=0.0, le=600.0, description="longest wait for the first keypoints")
    min_updates: int = Field(5, ge=1, le=100, description="keypoint updates to see before the scene is trusted")
    scene_tolerance_m: float = Field(
        0.05, gt=0.0, le=1.0, description="an object that moved farther while its program was written makes it stale"
    )
    max_asked: int = Field(2, ge=1, le=10, description="times to ask about a scene that keeps changing")


@dataclass(frozen=True)
class Answer:
    """What a back end made of an instruction: a program, or the error that it raised."""

    number: int
    result: CompiledProgram | Exception


class VlmBody:
    """At most one instruction at a time; the newest wins."""

    def __init__(self, node: RoomNode, settings: VlmNodeSettings) -> None:
        self._node, self._settings = node, settings
        back_end = open_back_end(settings)
        self._planner = back_end.planner
        self._stage_watch = StageWatch(settings.advice, back_end.advisor)
        self._answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._number = 0  # of the newest request; answers to older ones are dropped
        self._programs = node.publisher(topics.REWARD_PROGRAM)
        self._statuses = node.publisher(topics.VLM_STATUS)

    def start(self) -> None:
        self._instruction = ""
        self._keypoints: Keypoints | None = None
        self._asked_about: Keypoints | None = None
        self._picture: Image | None = None
        self._updates = self._times_asked = 0
        self._waits_for_keypoints = self._waits_for_answer = False
        self._since_s = self._asked_s = time.monotonic()
        self._tell(VlmStatus.STATE_IDLE)
        self._node.subscribe(topics.KEYPOINTS, self._receive_keypoints, expected_hz=10.0)
        self._node.subscribe(topics.INSTRUCTION, self._receive_instruction)
        if self._settings.wants_picture:
            self._node.subscribe(topics.OVERLAY, self._receive_picture, silence_s=PICTURE_PATIENCE_S)
        if self._stage_watch.enabled:
            self._node.subscribe(topics.STEERING_STATUS, self._receive_steering, silence_s=STEERING_PATIENCE_S)
        self._node.every_monotonic(POLL_S, self._poll)

    def stop(self) -> None:
        """Nobody is left to change the program: withdraw it."""
        self._number += 1
        self._publish_program(None)

    def tear_down(self) -> None:
        pass

    # What comes in --------------------------------------------------------------------------------------------------

    def _receive_keypoints(self, message: KeypointsMessage) -> None:
        self._keypoints = keypoints_of(message)
        self._updates += 1

    def _receive_picture(self, message: Image) -> None:
        self._picture = message

    def _receive_instruction(self, message: String) -> None:
        self._number += 1
        self._instruction = message.data.strip()
        self._since_s = time.monotonic()
        self._times_asked = 0
        self._waits_for_answer = False
        self._waits_for_keypoints = bool(self._instruction)
        if self._instruction:  # an empty one ends a task, and its refusal is still worth reading
            self._node.complaints["alert"] = ""
        self._publish_program(None)
        self._tell(VlmStatus.STATE_WRITING if self._instruction else VlmStatus.STATE_IDLE)

    def _receive_steering(self, status: SteeringStatus) -> None:
        self._stage_watch.measured(status.program_sha256, status.stage, status.progress, time.monotonic())

    # From instruction to program ------------------------------------------------------------------------------------

    def _poll(self) -> None:
        now_s = time.monotonic()
        if self._waits_for_keypoints:
            self._try_to_ask(now_s - self._since_s)
        while not self._answers.empty():
            answer = self._answers.get()
            if answer.number == self._number and self._waits_for_answer:
                self._take(answer.result)
        if self._waits_for_answer and now_s - self._asked_s > self._settings.answer_timeout_s:
            self._number += 1  # whatever it still says is too late
            self._refuse(
                VlmStatus.STATE_FAILED, f"{self._planner.name} gave no answer within {now_s - self._asked_s:.0f} s"
            )
        self._advise(now_s)

    def _try_to_ask(self, waited_s: float) -> None:
        seen = self._keypoints is not None and self._updates >= self._settings.min_updates
        needs_picture = self._settings.wants_picture and self._picture is None
        if seen and (not needs_picture or waited_s > PICTURE_PATIENCE_S):
            self._waits_for_keypoints, self._waits_for_answer = False, True
            self._asked_s = time.monotonic()
            self._ask()
        elif not seen and waited_s > self._settings.keypoints_timeout_s:
            told = "none" if self._updates == 0 else f"only {self._updates} updates"
            reason = f"no view of the scene: {told} of the keypoints in {waited_s:.0f} s. Check camera and perception."
            self._refuse(VlmStatus.STATE_REFUSED, reason)

    def _ask(self) -> None:
        assert self._keypoints is not None
        self._asked_about = self._keypoints
        self._times_asked += 1
        picture = color_of(self._picture) if self._picture is not None else None
        request = PlanRequest(self._instruction, self._keypoints, picture)
        logger = self._node.get_logger()
        arguments = (self._planner, request, self._settings.planning, self._number, self._answers, logger.info)
        _in_background("planner", _write, *arguments)

    def _take(self, result: CompiledProgram | Exception) -> None:
        if isinstance(result, CompiledProgram):
            self._accept(result)
        elif isinstance(result, BackEndFailure):
            self._refuse(VlmStatus.STATE_FAILED, str(result))
        elif isinstance(result, Refusal):
            self._refuse(VlmStatus.STATE_REFUSED, str(result))
        else:
            self._refuse(VlmStatus.STATE_FAILED, f"{type(result).__name__}: {result}")

    def _accept(self, compiled: CompiledProgram) -> None:
        changed = self._change_since_asked(compiled)
        if changed and self._times_asked < self._settings.max_asked:
            self._number += 1
            self._node.get_logger().info(f"{changed} while its program was written: asking again")
            self._ask()
            return
        if changed:
            self._refuse(VlmStatus.STATE_REFUSED, f"{changed} while its program was written. Leave the scene alone.")
            return
        self._waits_for_answer = False
        self._publish_program(compiled)
        repairs = f" after {compiled.repairs} repairs" if compiled.repairs else ""
        told = f"written by {compiled.written_by}{repairs}"
        self._node.get_logger().info(f"{self._instruction!r}: {told}, {compiled.sha256[:12]}")
        self._node.complaints["alert"] = ""
        self._node.facts.update(program=f"{compiled.sha256[:12]} {told}")
        self._tell(VlmStatus.STATE_ACCEPTED, told, compiled.sha256)
        self._stage_watch.begin(compiled, time.monotonic())

    def _change_since_asked(self, compiled: CompiledProgram) -> str:
        assert self._asked_about is not None
        assert self._keypoints is not None
        names = frozenset().union(*(stage.objects for stage in compiled.stages))
        return scene_change(self._asked_about, self._keypoints, names, self._settings.scene_tolerance_m)

    def _refuse(self, state: int, message: str) -> None:
        """No program: the arm holds, and whoever watches is told why."""
        self._waits_for_keypoints = self._waits_for_answer = False
        self._node.get_logger().warning(f"{self._instruction!r}: {message}")
        self._node.complaints["alert"] = message
        self._tell(state, message)

    # Advice -----------------------------------------------------------------------------------------------------------

    def _advise(self, now_s: float) -> None:
        watch = self._stage_watch
        if self._keypoints is not None and watch.is_due(now_s):
            picture = color_of(self._picture) if self._picture is not None else None
            _in_background("advisor", watch.ask, self._keypoints, picture, now_s)
        for told in watch.heard(now_s):
            self._node.facts["advice"] = told
            self._node.get_logger().info(f"advice: {told}")

    # What goes out --------------------------------------------------------------------------------------------------

    def _publish_program(self, compiled: CompiledProgram | None) -> None:
        message = RewardProgram(header=header(self._node.now_s()))
        if compiled is not None:
            message.instruction, message.document = compiled.program.instruction, compiled.program.canonical
            message.sha256, message.written_by = compiled.sha256, compiled.written_by
        else:
            self._stage_watch.end()
        self._programs.publish(message)

    def _tell(self, state: int, message: str = "", program_sha256: str = "") -> None:
        status = VlmStatus(header=header(self._node.now_s()), state=state, back_end=self._planner.name)
        status.instruction, status.message, status.program_sha256 = self._instruction, message, program_sha256
        status.duration_s = time.monotonic() - self._since_s
        self._statuses.publish(status)


def _in_background(name: str, function: Callable[..., None], *arguments: Any) -> None:
    """A thread per question: one that hangs costs neither the node nor the next question."""
    threading.Thread(target=function, args=arguments, name=name, daemon=True).start()


def _write(
    planner: Planner,
    request: PlanRequest,
    settings: PlanSettings,
    number: int,
    answers: queue.SimpleQueue[Answer],
    tell: Tell,
) -> None:
    try:
        answers.put(Answer(number, plan(request, planner, settings, tell)))
    except Exception as error:  # noqa: BLE001 - whatever a back end raises is its answer
        answers.put(Answer(number, error))


NODE = NodeDefinition("vlm", VlmNodeSettings, VlmBody, niceness=5)


def main() -> int:
    return run_node(NODE)


if __name__ == "__main__":
    sys.exit(main())
