"""Write, check, agree, repair: what of a model's answers becomes a program."""

from __future__ import annotations

from copy import deepcopy

import pytest
from vlm.scripted import BAD, GOOD, OUTLINE, REQUEST, WRONG_OUTLINE, Scripted, written

from vls_steering.core.errors import Refusal
from vls_steering.rewards import ProgramRejected
from vls_steering.vlm import OfflineGrammar, PlanRequest, plan
from vls_steering.vlm.base import BackEndFailure, Failure
from vls_steering.vlm.plan import PlanSettings

ONE = PlanSettings(programs=1)


def named(document: dict[str, object], name: str) -> dict[str, object]:
    changed = deepcopy(document)
    changed["stages"][0]["name"] = name  # type: ignore[index]
    return changed


class TestOneProgram:
    def test_a_good_program_needs_no_repair(self) -> None:
        compiled = plan(REQUEST, Scripted(GOOD), ONE)
        assert (compiled.written_by, compiled.repairs) == ("scripted", 0)
        assert compiled.program.instruction == REQUEST.instruction

    def test_an_outline_becomes_the_program_that_the_grammar_writes(self) -> None:
        assert plan(REQUEST, Scripted(OUTLINE), ONE).sha256 == plan(REQUEST, OfflineGrammar()).sha256

    def test_a_refusal_keeps_its_reason(self) -> None:
        with pytest.raises(Refusal, match="cannot"):
            plan(REQUEST, Scripted(None))

    def test_the_log_has_the_users_instruction_whatever_the_model_claims(self) -> None:
        compiled = plan(REQUEST, Scripted({**OUTLINE, "instruction": "push the cup off the table"}), ONE)
        assert compiled.program.instruction == REQUEST.instruction

    def test_line_breaks_in_the_instruction_are_blanks(self) -> None:
        compiled = plan(PlanRequest("pick up\n the red  cube\n", REQUEST.keypoints), OfflineGrammar())
        assert compiled.program.instruction == "pick up the red cube"

    def test_what_the_model_prefers_is_rehearsed(self) -> None:
        away = deepcopy(GOOD)
        away["stages"][1]["reward"] = ["maximize(dist(ee, kp('red cube')))"]
        with pytest.raises(ProgramRejected, match="stages"):
            plan(REQUEST, Scripted(away, away), ONE)


class TestRepair:
    def test_a_rejected_program_goes_back_with_its_diagnostics(self) -> None:
        planner = Scripted(BAD, GOOD)
        assert plan(REQUEST, planner, ONE).repairs == 1
        repair = planner.requests[1]
        assert repair.rejected == BAD
        assert "did you mean 'red cube'" in str(repair.diagnostics[0])

    def test_a_rejected_outline_too(self) -> None:
        planner = Scripted(WRONG_OUTLINE, OUTLINE)
        assert plan(REQUEST, planner, ONE).repairs == 1
        assert str(planner.requests[1].diagnostics[0]).startswith("steps[0].object: no such object in the scene")

    def test_it_gives_up_after_two_repairs(self) -> None:
        planner = Scripted(*(named(BAD, f"attempt {i}") for i in range(5)))
        with pytest.raises(ProgramRejected, match="red cub"):
            plan(REQUEST, planner, ONE)
        assert len(planner.requests) == 3

    def test_the_same_answer_twice_ends_it(self) -> None:
        planner = Scripted(BAD, BAD, GOOD)
        with pytest.raises(ProgramRejected):
            plan(REQUEST, planner, ONE)
        assert len(planner.requests) == 2

    def test_the_program_with_the_fewest_faults_is_repaired(self) -> None:
        worse = deepcopy(BAD)
        worse["stages"][2]["done"] = "grasped('red cub')"
        planner = Scripted(worse, BAD, worse, OUTLINE)
        assert plan(REQUEST, planner).repairs == 1
        assert planner.requests[-1].rejected == BAD

    def test_there_is_none_when_one_program_was_accepted(self) -> None:
        assert plan(REQUEST, Scripted(BAD, OUTLINE, BAD)).repairs == 0


class TestSeveral:
    def test_the_majority_of_behaviours_wins_over_the_first_answer(self) -> None:
        planner = Scripted(written_like_push(), GOOD, named(GOOD, "above the cube"))
        lines: list[str] = []
        compiled = plan(PUSH_OR_PICK, planner, tell=lines.append)
        assert len(planner.requests) == 3
        assert [stage.name for stage in compiled.stages][-1] == "lift the red cube"
        assert lines[-1] == "2 of 3 programs behave alike"

    def test_it_stops_asking_when_the_majority_is_sure(self) -> None:
        planner = Scripted(GOOD, named(GOOD, "other words"), GOOD)
        plan(REQUEST, planner)
        assert [request.turn for request in planner.requests] == [0, 1]

    def test_a_writer_that_does_not_vary_is_asked_once(self) -> None:
        planner = Scripted(GOOD)
        planner.varies = False
        plan(REQUEST, planner)
        assert len(planner.requests) == 1

    def test_a_server_that_dies_later_costs_only_the_further_programs(self) -> None:
        gone = BackEndFailure("scripted", Failure.UNREACHABLE)
        lines: list[str] = []
        assert plan(REQUEST, Scripted(GOOD, gone), tell=lines.append).repairs == 0
        assert lines[-1] == "scripted cannot be reached"

    def test_a_server_that_is_dead_from_the_start_is_the_reason(self) -> None:
        with pytest.raises(BackEndFailure) as caught:
            plan(REQUEST, Scripted(BackEndFailure("scripted", Failure.UNREACHABLE)))
        assert caught.value.failure is Failure.UNREACHABLE

    def test_nothing_further_is_asked_when_the_time_is_spent(self) -> None:
        planner = Scripted(GOOD, GOOD, GOOD)
        plan(REQUEST, planner, PlanSettings(budget_s=1e-9))
        assert len(planner.requests) == 1

    def test_a_late_rejection_is_not_repaired(self) -> None:
        planner = Scripted(BAD, GOOD)
        with pytest.raises(ProgramRejected):
            plan(REQUEST, planner, PlanSettings(programs=1, budget_s=1e-9))
        assert len(planner.requests) == 1


# The verifier's own reading of the verb is not the subject here: the sentence speaks of the object and of no deed.
PUSH_OR_PICK = PlanRequest("the red cube please", REQUEST.keypoints)


def written_like_push() -> dict[str, object]:
    return {**written("push the red cube forward"), "instruction": PUSH_OR_PICK.instruction}
