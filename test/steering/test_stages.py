"""Stages: dwell before going on, hysteresis, back to the grasp when it is lost, never back for a hiccup."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from steering.worlds import Wish, observe

from vls_steering.core.errors import StreamFault
from vls_steering.core.types import Observation
from vls_steering.steering.settings import StageSettings, StrengthSettings
from vls_steering.steering.stages import StageMachine, StageStatus
from vls_steering.steering.strength import strength_share

SETTINGS = StageSettings(leave=0.6, dwell_s=0.15, lost_dwell_s=0.3)


def stages(count: int = 3) -> list[Wish]:
    return [Wish(torch.zeros(3), name=f"stage {index}") for index in range(count)]


def run(machine: StageMachine, start_s: float, duration_s: float) -> StageStatus:
    """Ticks of 0.1 s from `start_s`, both ends included."""
    status = machine.update(observe(start_s))
    for tick in range(1, round(duration_s / 0.1) + 1):
        status = machine.update(observe(start_s + 0.1 * tick))
    return status


def test_done_must_last() -> None:
    first, *rest = stages()
    machine = StageMachine([first, *rest], SETTINGS)
    first.measured_done, first.measured_progress = True, 1.0
    assert run(machine, 0.0, 0.1).index == 0
    status = machine.update(observe(0.2))
    assert (status.index, status.turned, status.event) == (1, True, "reached: stage 0")


def test_a_flicker_above_the_lower_threshold_does_not_restart_the_dwell() -> None:
    first, *rest = stages()
    machine = StageMachine([first, *rest], SETTINGS)
    for tick, (done, progress) in enumerate([(True, 1.0), (False, 0.7), (True, 1.0)]):
        first.measured_done, first.measured_progress = done, progress
        status = machine.update(observe(0.1 * tick))
    assert status.index == 1


def test_a_flicker_below_it_does() -> None:
    first, *rest = stages()
    machine = StageMachine([first, *rest], SETTINGS)
    for tick, (done, progress) in enumerate([(True, 1.0), (False, 0.3), (True, 1.0)]):
        first.measured_done, first.measured_progress = done, progress
        status = machine.update(observe(0.1 * tick))
    assert status.index == 0


def at_stage_two() -> tuple[StageMachine, list[Wish]]:
    wishes = stages()
    machine = StageMachine(wishes, SETTINGS)
    wishes[0].measured_done = wishes[1].measured_done = True
    status = run(machine, 0.0, 0.5)
    assert status.index == 2
    wishes[0].measured_done = wishes[1].measured_done = False
    return machine, wishes


def test_a_lost_grasp_goes_back_to_the_stage_that_makes_it() -> None:
    machine, wishes = at_stage_two()
    wishes[1].measured_ready = wishes[2].measured_ready = False
    assert run(machine, 1.0, 0.2).index == 2
    status = machine.update(observe(1.3))
    assert (status.index, status.turned, status.event) == (0, True, "lost: back to stage 0")


def test_it_goes_back_no_further_than_needed() -> None:
    machine, wishes = at_stage_two()
    wishes[2].measured_ready = False
    assert run(machine, 1.0, 0.4).index == 1


def test_a_moment_of_doubt_does_not_go_back() -> None:
    machine, wishes = at_stage_two()
    for tick in range(10):
        wishes[2].measured_ready = tick % 2 == 1
        assert machine.update(observe(1.0 + 0.1 * tick)).index == 2


class _Blind(Wish):
    """Its object is not among the keypoints."""

    def progress(self, observation: Observation) -> float:
        raise StreamFault("the program needs 'red cube'")


def test_a_missing_keypoint_changes_nothing() -> None:
    machine = StageMachine([_Blind(torch.zeros(3)), *stages(1)], SETTINGS)
    status = run(machine, 0.0, 1.0)
    assert (status.index, status.turned, status.finished) == (0, False, False)


def test_finished_is_final() -> None:
    (only,) = stages(1)
    machine = StageMachine([only], SETTINGS)
    only.measured_done = True
    assert run(machine, 0.0, 0.2).finished
    only.measured_done, only.measured_progress, only.measured_ready = False, 0.0, False
    assert run(machine, 1.0, 1.0).finished


def test_strength_fades_with_measured_progress_but_not_to_nothing_and_comes_back() -> None:
    settings = StrengthSettings(slope=25.0, midpoint=0.8, floor=0.2)
    shares = [strength_share(progress, settings) for progress in (0.0, 0.5, 0.8, 1.0, 0.5)]
    assert shares[0] == pytest.approx(1.0, abs=1e-6)
    assert shares[2] == pytest.approx(0.5)
    assert shares[3] == 0.2
    assert shares[4] == shares[1] > 0.99


def test_a_stage_that_takes_too_long_says_so_once_and_stays() -> None:
    wishes = stages(2)
    wishes[0].deadline_s = 0.35
    machine = StageMachine(wishes, SETTINGS)
    statuses = [machine.update(observe(5.0 + 0.1 * tick)) for tick in range(6)]
    assert [status.overdue for status in statuses] == [False] * 4 + [True] * 2
    assert [status.event for status in statuses if status.event] == ["out of time: stage 0 may take 0.35 s"]
    assert statuses[-1].index == 0


def test_the_time_of_a_stage_counts_from_its_own_beginning() -> None:
    wishes = stages(2)
    wishes[0].deadline_s, wishes[1].deadline_s = 0.1, 0.35
    machine = StageMachine(wishes, SETTINGS)
    run(machine, 0.0, 1.0)
    wishes[0].measured_done = True
    status = run(machine, 1.1, 0.2)
    assert (status.index, status.overdue) == (1, False)
    assert not run(machine, 1.4, 0.2).overdue
    assert run(machine, 1.7, 0.1).overdue


class _Remembers(Wish):
    """A stage whose past matters; its memory is known by the stage's name."""

    def memory(self) -> Wish:  # type: ignore[override]
        return replace(self)

    def observe(self, observation: Observation) -> None: ...


class _OutOfSight(_Remembers):
    """Its object cannot be seen, whatever is asked."""

    def progress(self, observation: Observation) -> float:
        raise StreamFault("the program needs 'red cube'")

    def ready(self, observation: Observation) -> bool:
        raise StreamFault("the program needs 'red cube'")


def test_a_way_back_that_cannot_be_seen_is_not_gone_half() -> None:
    """The stage before the lost one has an object out of sight: nothing changes, judge and index stay together."""
    first, last = _Remembers(torch.zeros(3), name="first"), _Remembers(torch.zeros(3), name="last")
    middle = _Remembers(torch.zeros(3), name="middle")
    machine = StageMachine([first, middle, last], SETTINGS)
    first.measured_done = middle.measured_done = True
    assert run(machine, 0.0, 0.5).index == 2
    first.measured_done = middle.measured_done = last.measured_ready = False
    middle.__class__ = _OutOfSight
    status = run(machine, 1.0, 1.0)
    assert (status.index, status.event) == (2, "")
    assert machine.judge.name == machine.stage.name == "last"  # type: ignore[attr-defined]


def test_a_stage_whose_object_is_out_of_sight_is_current_all_the_same() -> None:
    first, second = _Remembers(torch.zeros(3), name="first"), _OutOfSight(torch.zeros(3), name="second")
    machine = StageMachine([first, second], SETTINGS)
    first.measured_done, first.measured_progress = True, 1.0
    status = run(machine, 0.0, 0.2)
    assert (status.index, status.turned, status.event) == (1, True, "reached: first")
    assert status.progress == 0.0
    assert machine.judge.name == "second"  # type: ignore[attr-defined]
