"""A keep-out that no camera sees: the instruction's program with a region added to every stage."""

from __future__ import annotations

from typing import Any

from vls_steering.sim.layout import KeepOut
from vls_steering.vlm import PlanAnswer, Planner, PlanRequest

# As for every keep-out without a distance: the gate, and the room that is preferred where there is a choice.
GATE_MARGIN_M = 0.015
PREFERRED_MARGIN_M = 0.04
PHRASE = "stay out of the marked column"


class WithKeepOut:
    """Planner that draws a region on another planner's map."""

    def __init__(self, planner: Planner, region: KeepOut) -> None:
        self._planner = planner
        self._region = region
        self.name = f"{planner.name} and a marked region"

    @property
    def varies(self) -> bool:
        return self._planner.varies

    def write(self, request: PlanRequest) -> PlanAnswer:
        answer = self._planner.write(request)
        if answer.document is None:
            return answer
        stages = [self._guarded(stage) for stage in answer.document["stages"]]
        return PlanAnswer({**answer.document, "stages": stages}, "", self.name)

    def _guarded(self, stage: dict[str, Any]) -> dict[str, Any]:
        gate = {"term": self._outside(GATE_MARGIN_M), "phrase": PHRASE}
        room = {"term": self._outside(PREFERRED_MARGIN_M), "phrase": PHRASE}
        return {**stage, "reward": [*stage["reward"], room], "safety": [*stage.get("safety", []), gate]}

    def _outside(self, margin_m: float) -> str:
        x, y, radius = (_cm(value) for value in (self._region.x_m, self._region.y_m, self._region.radius_m + margin_m))
        return f"always(horizontal(ee, point({x}, {y}, 0 cm)) >= {radius})"


def _cm(metres: float) -> str:
    return f"{round(100 * metres, 2):g} cm"
