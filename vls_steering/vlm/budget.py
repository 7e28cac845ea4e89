"""A limit on how often a back end is asked: served models cost money, and a node may run for weeks."""

from __future__ import annotations

import threading

from vls_steering.vlm.base import Advisor, BackEndFailure, Failure, PlanAnswer, Planner, PlanRequest, Question


class Budget:
    """Answers that may still be asked for; shared by everybody who asks, from any thread."""

    def __init__(self, answers: int) -> None:
        self._left = answers
        self._lock = threading.Lock()

    @property
    def left(self) -> int:
        return self._left

    def spend(self, back_end: str) -> None:
        """Raises BackEndFailure when nothing is left."""
        with self._lock:
            if self._left <= 0:
                raise BackEndFailure(back_end, Failure.OVER_BUDGET, "", "Restart the node or raise max_answers")
            self._left -= 1


class MeteredPlanner:
    """A planner whose every answer is paid for."""

    def __init__(self, planner: Planner, budget: Budget) -> None:
        self._planner, self._budget = planner, budget

    @property
    def name(self) -> str:
        return self._planner.name

    @property
    def varies(self) -> bool:
        return self._planner.varies

    def write(self, request: PlanRequest) -> PlanAnswer:
        self._budget.spend(self.name)
        return self._planner.write(request)


class MeteredAdvisor:
    """An advisor whose every answer is paid for."""

    def __init__(self, advisor: Advisor, budget: Budget) -> None:
        self._advisor, self._budget = advisor, budget

    @property
    def name(self) -> str:
        return self._advisor.name

    def choose(self, question: Question) -> str:
        self._budget.spend(self.name)
        return self._advisor.choose(question)
