"""A planner that answers from a list, and the requests and documents that the tests of this room share."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from rewards.table import keypoints

from vls_steering.vlm import OfflineGrammar, PlanAnswer, PlanRequest

REQUEST = PlanRequest("pick up the red cube", keypoints())


def written(instruction: str, *names: str) -> dict[str, Any]:
    """What the offline grammar writes: a program that a model might have written."""
    document = OfflineGrammar().write(PlanRequest(instruction, keypoints(*names))).document
    assert document is not None
    return document


GOOD = written(REQUEST.instruction)
BAD = deepcopy(GOOD)
BAD["stages"][1]["done"] = "grasped('red cub')"
OUTLINE: dict[str, Any] = {
    "constraints": [],
    "steps": [
        {
            "skill": "pick",
            "object": "red cube",
            "relation": "",
            "target": "",
            "second_target": "",
            "direction": "",
            "length_cm": 0,
        }
    ],
}
WRONG_OUTLINE = deepcopy(OUTLINE)
WRONG_OUTLINE["steps"][0]["object"] = "red cub"


class Scripted:
    """Answers from a list of documents, None for a refusal; an exception in it is raised."""

    name = "scripted"
    varies = True

    def __init__(self, *answers: dict[str, Any] | Exception | None) -> None:
        self._answers = list(answers)
        self.requests: list[PlanRequest] = []

    def write(self, request: PlanRequest) -> PlanAnswer:
        self.requests.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return PlanAnswer(answer, "cannot" if answer is None else "", self.name)
