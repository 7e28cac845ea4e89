"""An arm that was stopped against something does not go on pushing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from safety.arms import HOME_Q, Cell, CompliantArm, LinearArm, chunk_along, moving, state_at

from vls_steering.core.arrays import FloatArray
from vls_steering.safety import (
    FR3_LIMITS,
    Executor,
    ExecutorSettings,
    ExecutorState,
    Finding,
    JointChunk,
    ReasonCode,
    violations,
)

BLOCKED_JOINT = 0
RUN_S = 2.0


def blocked_cell(executor: Executor | None = None, **settings: object) -> Cell:
    """Under way against something solid, which the first joint has just reached."""
    arm = CompliantArm(standing_error=0.0)
    cell = Cell(arm=arm, executor=executor, chunk_timeout_s=5.0, policy_timeout_s=5.0, **settings)  # type: ignore[arg-type]
    cell.arm()
    cell.submit(chunk_along(moving(0.25, cell.now_s), cell.now_s))
    cell.run(0.5)
    sense = np.sign(cell.q[BLOCKED_JOINT] - HOME_Q[BLOCKED_JOINT])
    arm.obstacle[(1 + int(sense)) // 2, BLOCKED_JOINT] = cell.q[BLOCKED_JOINT]
    return cell


def pressing(cell: Cell) -> float:
    """How far the commanded state has gone into the obstacle: a compliant arm's force is in proportion, rad."""
    return float(np.abs(cell.sent[-1] - cell.q).max())


def run_until(cell: Cell, condition: Callable[[], bool]) -> None:
    give_up_s = cell.now_s + RUN_S
    while not condition():
        assert cell.now_s < give_up_s
        cell.run(0.01)


def test_a_collision_is_noticed_within_a_seventh_of_a_radian_and_the_arm_stops_pushing() -> None:
    cell = blocked_cell()
    run_until(cell, lambda: cell.executor.status().reason is ReasonCode.TRACKING_ERROR)
    assert pressing(cell) < 0.15
    run_until(cell, lambda: cell.executor.status().state is ExecutorState.FAULT)
    assert pressing(cell) < 0.005
    cell.run(0.5)
    assert pressing(cell) < 0.005
    assert violations(cell.sent, 0.01, FR3_LIMITS) == ()


def test_lag_alone_is_not_taken_for_a_collision_however_fast_the_arm_moves() -> None:
    """The simulated arms lag 40 to 46 ms behind their set-points; the wrist turns at up to 2.4 rad/s."""
    cell = Cell(arm=CompliantArm(lag_s=0.046, standing_error=0.0))
    cell.arm()
    start_s, fastest = cell.now_s, 0.0
    swing = np.array([0.4, 0.0, 0.0, 0.0, 0.8, 0.0, 0.85])
    for _ in range(40):
        times = cell.now_s + 0.1 * np.arange(1, 17)
        ramp = np.minimum((times - start_s) / 1.5, 1.0)
        joints = HOME_Q + np.outer(ramp * np.sin(2.9 * (times - start_s)), swing)
        assert cell.executor.submit(JointChunk(cell.now_s, times, joints, np.full(16, 0.08)), cell.now_s).accepted
        cell.run(0.1)
        fastest = max(fastest, float(np.abs(cell.velocity).max()))
    assert fastest > 2.2
    assert cell.executor.status().state is ExecutorState.TRACKING


def test_the_emergency_stop_takes_the_pressure_off_what_the_arm_leans_on() -> None:
    cell = blocked_cell()
    run_until(cell, lambda: pressing(cell) > 0.06)
    cell.executor.set_emergency_stop(True, cell.now_s)
    run_until(cell, lambda: cell.executor.status().state is ExecutorState.FAULT)
    assert pressing(cell) < 0.005
    assert violations(cell.sent, 0.01, FR3_LIMITS) == ()


def test_pressing_it_on_an_arm_that_holds_against_something_takes_the_pressure_off_too() -> None:
    cell = blocked_cell()
    run_until(cell, lambda: pressing(cell) > 0.05)
    cell.executor.stop(ReasonCode.POLICY_SILENT, cell.now_s)
    cell.run(0.5)
    assert pressing(cell) > 0.05, "another stop holds where the arm was sent"
    cell.executor.set_emergency_stop(True, cell.now_s)
    run_until(cell, lambda: cell.executor.status().state is ExecutorState.FAULT)
    assert pressing(cell) < 0.005


def test_in_free_air_the_emergency_stop_does_not_move_the_arm_back() -> None:
    cell = Cell(arm=CompliantArm(standing_error=0.004), chunk_timeout_s=5.0, policy_timeout_s=5.0)
    cell.arm()
    cell.submit(chunk_along(moving(0.25, cell.now_s), cell.now_s))
    cell.run(0.6)
    cell.executor.set_emergency_stop(True, cell.now_s)
    cell.run(1.0)
    assert cell.executor.status().state is ExecutorState.FAULT
    along = cell.tcp[:, 1]
    assert along.max() - along[-1] < 0.005
    assert np.diff(cell.sent[-20:], axis=0) == pytest.approx(0.0, abs=1e-9)


def test_it_goes_back_once_and_does_not_sink_under_a_load() -> None:
    """An arm that always rests below where it is sent must not be followed down."""
    cell = Cell(arm=CompliantArm(standing_error=0.03))
    cell.arm()
    cell.run(0.5)
    before = cell.sent[-1]
    cell.executor.set_emergency_stop(True, cell.now_s)
    cell.run(3.0)
    assert np.abs(cell.sent[-1] - before).max() <= 0.031
    assert np.ptp(cell.sent[-100:], axis=0) == pytest.approx(np.zeros(7), abs=1e-9)


def test_nothing_moves_towards_a_measurement_that_is_old() -> None:
    cell = blocked_cell()
    run_until(cell, lambda: pressing(cell) > 0.05)
    cell.measures = False
    cell.now_s += 0.25
    cell.executor.set_emergency_stop(True, cell.now_s)
    cell.run(0.3)
    held = cell.sent[-1]
    cell.run(1.0)
    assert cell.executor.status().state is ExecutorState.FAULT
    assert cell.sent[-1] == pytest.approx(held, abs=1e-9)


def test_the_way_back_keeps_every_path_check() -> None:
    """Where the way to the measured state is not free, the arm holds what it can."""
    forbidden: list[FloatArray] = []

    def wall(path) -> Finding | None:  # type: ignore[no-untyped-def]
        if forbidden and (path.positions[:, BLOCKED_JOINT] > forbidden[0][BLOCKED_JOINT]).any():
            return Finding(ReasonCode.KEEP_OUT, "a wall")
        return None

    executor = Executor(FR3_LIMITS, ExecutorSettings(), LinearArm(), extra_path_checks=(wall,))
    cell = Cell(executor=executor)
    cell.arm()
    cell.run(0.1)
    forbidden.append(cell.q + 0.02)
    cell.measures = False
    pushed = state_at(cell.now_s, cell.q + 0.08)
    executor.observe(pushed)
    executor.set_emergency_stop(True, cell.now_s)
    for _ in range(300):
        executor.observe(state_at(cell.now_s, pushed.joint_positions))
        cell.run(0.01)
    assert executor.status().state is ExecutorState.FAULT
    assert max(q[BLOCKED_JOINT] for q in cell.sent) <= forbidden[0][BLOCKED_JOINT] + 1e-9
    assert violations(cell.sent, 0.01, FR3_LIMITS) == ()
