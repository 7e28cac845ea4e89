"""While the arm is being recovered nothing else takes command of it, and whoever objects meanwhile is heard."""

from __future__ import annotations

import pytest
from safety.arms import Cell, chunk_along, moving, state_at, still

from vls_steering.safety import FR3_LIMITS, ExecutorState, ReasonCode, violations


def recovering_cell(latched: ReasonCode | None = None) -> Cell:
    cell = Cell()
    cell.arm()
    cell.run(0.1)
    if latched is not None:
        cell.executor.stop(latched, cell.now_s)
    assert cell.executor.begin_recovery(None, cell.now_s).accepted
    return cell


def arm_recovered(cell: Cell) -> ReasonCode:
    return cell.executor.arm(state_at(cell.now_s, cell.q), cell.now_s, recovered=True).reason


def test_only_the_recovery_itself_arms_while_the_arm_is_being_recovered() -> None:
    cell = recovering_cell(ReasonCode.ROBOT_FAULT)
    refused = cell.arm()
    assert refused.reason is ReasonCode.NOT_AT_REST
    assert "recover" in refused.text
    assert cell.executor.status().state is ExecutorState.RECOVERING
    assert arm_recovered(cell) is ReasonCode.NONE
    assert cell.executor.status().state is ExecutorState.READY


def test_a_recovery_that_fails_after_somebody_armed_never_cuts_a_moving_stream() -> None:
    cell = recovering_cell()
    assert arm_recovered(cell) is ReasonCode.NONE
    assert cell.submit(chunk_along(moving(0.2, cell.now_s), cell.now_s)).accepted
    cell.run(0.4)
    cell.executor.fail_recovery("recovered, not armed", cell.now_s)
    assert cell.executor.status().state is ExecutorState.TRACKING
    cell.run(0.1)
    assert violations(cell.sent, 0.01, FR3_LIMITS) == ()


@pytest.mark.parametrize("latched", [None, ReasonCode.ROBOT_FAULT], ids=["nothing latched", "a latched fault"])
@pytest.mark.parametrize("released", [False, True])
def test_a_recovery_during_which_the_emergency_stop_was_pressed_does_not_arm(
    latched: ReasonCode | None, released: bool
) -> None:
    cell = recovering_cell(latched)
    cell.executor.set_emergency_stop(True, cell.now_s)
    assert cell.executor.status().reason is ReasonCode.EMERGENCY_STOP
    if released:
        cell.executor.set_emergency_stop(False, cell.now_s)
    assert cell.executor.status().state is ExecutorState.RECOVERING
    assert cell.executor.begin_recovery(None, cell.now_s).reason in (
        ReasonCode.NOT_AT_REST,
        ReasonCode.EMERGENCY_STOP,
    ), "one recovery at a time"
    assert arm_recovered(cell) is ReasonCode.EMERGENCY_STOP
    cell.executor.fail_recovery("arm: refused", cell.now_s)
    status = cell.executor.status()
    assert (status.state, status.reason) == (ExecutorState.UNARMED, ReasonCode.EMERGENCY_STOP)
    cell.executor.set_emergency_stop(False, cell.now_s)
    assert cell.executor.begin_recovery(None, cell.now_s).accepted
    assert arm_recovered(cell) is ReasonCode.NONE


def test_a_stop_that_latches_during_a_recovery_keeps_it_from_arming_too() -> None:
    cell = recovering_cell(ReasonCode.ROBOT_FAULT)
    cell.executor.stop(ReasonCode.SECOND_PUBLISHER, cell.now_s)
    assert cell.executor.status().state is ExecutorState.RECOVERING
    assert arm_recovered(cell) is ReasonCode.SECOND_PUBLISHER


def test_the_emergency_stop_outranks_whatever_is_latched() -> None:
    cell = Cell()
    cell.arm()
    cell.submit(chunk_along(still, cell.now_s))
    cell.run(0.1)
    cell.executor.stop(ReasonCode.POLICY_SILENT, cell.now_s)
    cell.run(0.2)
    assert cell.executor.status().state is ExecutorState.HOLDING
    cell.executor.set_emergency_stop(True, cell.now_s)
    cell.executor.set_emergency_stop(False, cell.now_s)
    cell.run(0.1)
    status = cell.executor.status()
    assert (status.state, status.reason) == (ExecutorState.FAULT, ReasonCode.EMERGENCY_STOP)


def test_a_stop_before_the_first_arming_is_remembered_and_sends_nothing() -> None:
    cell = Cell()
    cell.executor.stop(ReasonCode.SECOND_PUBLISHER, cell.now_s)
    status = cell.executor.status()
    assert (status.state, status.reason) == (ExecutorState.UNARMED, ReasonCode.SECOND_PUBLISHER)
