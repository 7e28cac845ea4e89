"""Instruction to compiled program: write, parse, check, at most two repairs, else an explained refusal."""

from __future__ import annotations

from dataclasses import replace

from vls_steering.core.errors import Refusal
from vls_steering.rewards import (
    CompiledProgram,
    Diagnostic,
    ProgramRejected,
    check_program,
    compile_program,
    parse_program,
)
from vls_steering.vlm.base import Planner, PlanRequest

MAX_REPAIRS = 2


def plan(request: PlanRequest, planner: Planner) -> CompiledProgram:
    """Have `planner` write a program for `request` and check it; the result says who wrote it.

    Raises Refusal with the planner's reason, or ProgramRejected with the diagnostics of the last attempt.
    """
    request = replace(request, instruction=" ".join(request.instruction.split()))
    diagnostics: tuple[Diagnostic, ...] = ()
    for repairs in range(MAX_REPAIRS + 1):
        answer = planner.write(request)
        if answer.document is None:
            raise Refusal(answer.refusal or f"{answer.written_by} wrote no program")
        try:
            # What was asked for is what the log must say, whatever the writer put there.
            program = parse_program({**answer.document, "instruction": request.instruction})
            diagnostics = check_program(program, request.keypoints)
        except ProgramRejected as rejection:
            diagnostics = rejection.diagnostics
        else:
            if not diagnostics:
                return replace(compile_program(program), written_by=answer.written_by, repairs=repairs)
        if answer.document == request.rejected:
            break  # told what is wrong, the planner wrote the same again: so it would a third time
        request = replace(request, rejected=answer.document, diagnostics=diagnostics)
    raise ProgramRejected(diagnostics)
