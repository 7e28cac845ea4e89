"""Instruction to compiled program: several attempts, checked; the behaviour that most of them share; else a repair.

Nothing that fails any check moves the arm: after the last repair there is an explained refusal, and the arm holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import Field

from vls_steering.core.config import Settings
from vls_steering.core.errors import Refusal
from vls_steering.rewards import CompiledProgram, ProgramRejected, compile_program
from vls_steering.vlm.agreement import Agreement, agree
from vls_steering.vlm.answers import read_known, read_program
from vls_steering.vlm.base import BackEndFailure, Failure, PlanAnswer, Planner, PlanRequest

Tell = Callable[[str], None]


class PlanSettings(Settings):
    """How much thinking one instruction is worth."""

    programs: int = Field(3, ge=1, le=9, description="programs asked of a model that may write different ones")
    max_repairs: int = Field(2, ge=0, le=5, description="repairs of a rejected program")
    budget_s: float = Field(25.0, gt=0, le=600, description="no further answer is asked for after this time, s")


def silent(line: str) -> None:
    """For those who want no account of it."""


def plan(
    request: PlanRequest, planner: Planner, settings: PlanSettings | None = None, tell: Tell = silent
) -> CompiledProgram:
    """Have `planner` write programs for `request` and check them; the result says who wrote it.

    `tell` gets one line for every answer.  Raises Refusal with the planner's reason, BackEndFailure when there is no
    answer at all, or ProgramRejected with the diagnostics of the last attempt.
    """
    instruction = " ".join(request.instruction.split())
    return _Planning(replace(request, instruction=instruction), planner, settings or PlanSettings(), tell).run()


@dataclass
class _Planning:
    """The state of planning one instruction."""

    request: PlanRequest
    planner: Planner
    settings: PlanSettings
    tell: Tell
    accepted: list[CompiledProgram] = field(default_factory=list)
    documents: list[dict[str, Any]] = field(default_factory=list)  # that the accepted programs came from
    rejected: list[tuple[dict[str, Any], ProgramRejected]] = field(default_factory=list)
    turn: int = 0

    def __post_init__(self) -> None:
        self.give_up_s = time.monotonic() + self.settings.budget_s

    def run(self) -> CompiledProgram:
        self._sample()
        if not self.accepted:
            self._repair()
        if not self.accepted:
            raise self.rejected[-1][1]
        agreement = self._agreement()
        if len(self.accepted) > 1:
            self.tell(f"{agreement.size} of {len(self.accepted)} programs behave alike")
        return self.accepted[agreement.chosen]

    def _sample(self) -> None:
        """Up to `programs` first answers; fewer when enough of them agree, or time runs out."""
        wanted = self.settings.programs if self.planner.varies else 1
        for number in range(wanted):
            if number and time.monotonic() > self.give_up_s:
                self.tell(f"no time for a further program after {number}")
                return
            try:
                answer = self._ask(self.request)
            except BackEndFailure as failure:
                if not self.accepted and not self.rejected:
                    raise
                self.tell(str(failure))
                return
            if answer.document is None:
                if not self.accepted:
                    raise Refusal(answer.refusal or f"{answer.written_by} wrote no program")
                self.tell(f"answer {self.turn} refuses: {answer.refusal}")
                continue
            self._judge(answer, repairs=0)
            # A majority cannot be overtaken any more.
            if len(self.accepted) > 1 and 2 * self._agreement().size > wanted:
                return

    def _repair(self) -> None:
        """The rejected program with the fewest faults goes back with what the checker said."""
        document, rejection = min(self.rejected, key=lambda pair: len(pair[1].diagnostics))
        for repairs in range(1, self.settings.max_repairs + 1):
            request = replace(self.request, rejected=document, diagnostics=rejection.diagnostics)
            if time.monotonic() > self.give_up_s:
                self.tell("no time for a repair")
                return
            try:
                answer = self._ask(request)
            except BackEndFailure as failure:
                if failure.failure is not Failure.NOT_RECORDED:
                    raise
                return
            if answer.document is None:
                raise Refusal(answer.refusal or f"{answer.written_by} wrote no program")
            if answer.document == document:
                self.tell("told what is wrong, it wrote the same again")
                return
            if self._judge(answer, repairs):
                return
            document, rejection = self.rejected[-1]

    def _ask(self, request: PlanRequest) -> PlanAnswer:
        self.turn += 1
        return self.planner.write(replace(request, turn=self.turn - 1))

    def _judge(self, answer: PlanAnswer, repairs: int) -> bool:
        assert answer.document is not None
        if answer.document in self.documents:
            # What has been rehearsed is not rehearsed again.
            self.accepted.append(self.accepted[self.documents.index(answer.document)])
            self.documents.append(answer.document)
            self.tell(f"answer {self.turn} is one that was given before")
            return True
        read = read_program if self.planner.varies else read_known
        try:
            program = read(answer.document, self.request)
        except ProgramRejected as rejection:
            self.rejected.append((answer.document, rejection))
            self.tell(f"answer {self.turn} is rejected: {rejection.diagnostics[0]}")
            return False
        self.documents.append(answer.document)
        self.accepted.append(replace(compile_program(program), written_by=answer.written_by, repairs=repairs))
        self.tell(f"answer {self.turn} is accepted: {program.sha256[:12]}")
        return True

    def _agreement(self) -> Agreement:
        return agree(self.accepted, self.request.keypoints) if len(self.accepted) > 1 else Agreement(0, 1)
