"""The executor's states, its reasons, and what resumes by itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from safety.arms import HOME_Q, HOME_TCP, Cell, CompliantArm, LinearArm, chunk_along, moving, state_at, still

from vls_steering.core.types import GRIPPER_OPEN_M
from vls_steering.safety import (
    FR3_LIMITS,
    Band,
    Executor,
    ExecutorSettings,
    ExecutorState,
    Finding,
    NotArmed,
    ReasonCode,
    violations,
)


def tracking_cell(speed_m_s: float = 0.2, **settings: object) -> Cell:
    """A cell whose arm is in the middle of a motion."""
    cell = Cell(**settings)  # type: ignore[arg-type]
    cell.arm()
    follow(cell, speed_m_s, 0.5)
    assert cell.executor.status().state is ExecutorState.TRACKING
    return cell


def follow(cell: Cell, speed_m_s: float, duration_s: float) -> None:
    start = cell.now_s
    for _ in range(round(duration_s / 0.1)):
        assert cell.submit(chunk_along(moving(speed_m_s, start), cell.now_s)).accepted
        cell.run(0.1)


def test_nothing_is_sent_before_arming() -> None:
    cell = Cell()
    assert cell.submit(chunk_along(still, cell.now_s)).reason is ReasonCode.NOT_ARMED
    with pytest.raises(NotArmed):
        cell.run(0.01)


def test_an_armed_arm_rests_where_it_is_and_waits_for_ever() -> None:
    cell = Cell()
    assert cell.arm().accepted
    cell.run(10.0)
    assert cell.executor.status().state is ExecutorState.READY
    assert np.ptp(cell.sent, axis=0) == pytest.approx(np.zeros(7))


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (state_at(9.0), ReasonCode.JOINT_STATES_SILENT),
        (state_at(11.0), ReasonCode.CLOCK_SKEW),
        (state_at(10.0, velocity=0.3), ReasonCode.NOT_AT_REST),
        (state_at(10.0, np.array(FR3_LIMITS.position_upper)), ReasonCode.JOINT_RANGE),
    ],
)
def test_arming_is_refused_with_the_reason(state, reason: ReasonCode) -> None:  # type: ignore[no-untyped-def]
    executor = Executor(FR3_LIMITS, ExecutorSettings(), LinearArm())
    assert executor.arm(state, 10.0).reason is reason
    assert executor.status().state is ExecutorState.UNARMED


def test_a_chunk_that_runs_out_ends_at_its_last_step_and_resumes_with_the_next() -> None:
    cell = Cell(chunk_timeout_s=5.0, policy_timeout_s=10.0)
    cell.arm()
    cell.submit(chunk_along(moving(0.1, cell.now_s), cell.now_s))
    cell.run(2.0)
    status = cell.executor.status()
    assert (status.state, status.reason, status.latched) == (ExecutorState.HOLDING, ReasonCode.CHUNK_ENDED, False)
    assert cell.tcp[-1] == pytest.approx(HOME_TCP + [0, 0.16, 0], abs=1e-3)
    assert cell.submit(chunk_along(lambda t: HOME_TCP + np.array([0, 0.16, 0]), cell.now_s)).accepted
    cell.run(0.1)
    assert cell.executor.status().state is ExecutorState.TRACKING
    assert cell.executor.status().gaps == 1


def test_a_slow_policy_pauses_the_arm_and_a_silent_one_latches_the_stop() -> None:
    cell = tracking_cell()
    cell.run(0.9)
    status = cell.executor.status()
    assert (status.state, status.reason, status.latched) == (ExecutorState.HOLDING, ReasonCode.CHUNK_TIMEOUT, False)
    cell.run(0.8)
    status = cell.executor.status()
    assert (status.state, status.reason, status.latched) == (ExecutorState.HOLDING, ReasonCode.POLICY_SILENT, True)
    verdict = cell.submit(chunk_along(lambda t: cell.tcp[-1], cell.now_s))
    assert verdict.reason is ReasonCode.HELD
    assert "POLICY_SILENT" in verdict.text
    assert cell.arm().accepted
    assert cell.submit(chunk_along(lambda t: cell.tcp[-1], cell.now_s)).accepted
    assert violations(cell.sent, 0.01, FR3_LIMITS) == ()


def test_a_stream_of_rejected_chunks_pauses_for_the_reason_of_the_rejection() -> None:
    cell = tracking_cell()
    for _ in range(10):
        cell.submit(chunk_along(lambda t: np.array([0.4, 0.0, -0.2]), cell.now_s))
        cell.run(0.1)
    status = cell.executor.status()
    assert (status.state, status.reason, status.latched) == (ExecutorState.HOLDING, ReasonCode.WORKSPACE, False)
    assert "z = -0.200" in status.reason_text
    assert status.rejected == 10


def test_the_end_of_a_task_is_no_fault() -> None:
    cell = tracking_cell()
    cell.executor.stop(ReasonCode.STOP_REQUESTED, cell.now_s, "task done")
    cell.run(5.0)
    status = cell.executor.status()
    assert (status.state, status.latched, status.reason_text) == (ExecutorState.READY, False, "task done")
    here = cell.tcp[-1]
    assert cell.submit(chunk_along(lambda t: here, cell.now_s)).accepted
    assert cell.executor.status().gaps == 0


def test_the_emergency_stop_latches_and_is_not_armed_away_while_pressed() -> None:
    cell = tracking_cell()
    cell.executor.set_emergency_stop(True, cell.now_s)
    assert cell.executor.status().state is ExecutorState.STOPPING
    cell.run(0.5)
    assert cell.executor.status().state is ExecutorState.FAULT
    assert cell.arm().reason is ReasonCode.EMERGENCY_STOP
    cell.executor.set_emergency_stop(False, cell.now_s)
    cell.run(0.1)
    assert cell.executor.status().reason is ReasonCode.EMERGENCY_STOP
    assert cell.arm().accepted


def test_the_first_latched_reason_stays() -> None:
    cell = tracking_cell()
    cell.executor.stop(ReasonCode.POLICY_SILENT, cell.now_s)
    cell.executor.stop(ReasonCode.INTERNAL, cell.now_s)
    cell.run(0.5)
    assert cell.executor.status().reason is ReasonCode.POLICY_SILENT


def test_joint_states_that_stop_stop_the_arm() -> None:
    cell = tracking_cell()
    cell.measures = False
    follow(cell, 0.0, 0.0)
    cell.run(0.5)
    status = cell.executor.status()
    assert (status.state, status.reason) == (ExecutorState.FAULT, ReasonCode.JOINT_STATES_SILENT)
    assert violations(cell.sent, 0.01, FR3_LIMITS) == ()


def test_an_arm_that_does_not_follow_stops() -> None:
    cell = tracking_cell()
    cell.measures = False
    cell.executor.observe(state_at(cell.now_s + 0.01, HOME_Q + 0.5))
    cell.run(0.01)
    assert cell.executor.status().reason is ReasonCode.TRACKING_ERROR


def watching_cell() -> Cell:
    """Under way with a camera that was in order until now."""
    cell = Cell(stream_timeouts_s={"camera": 0.2}, chunk_timeout_s=5.0, policy_timeout_s=5.0)
    cell.arm()
    cell.submit(chunk_along(moving(0.1, cell.now_s), cell.now_s))
    for _ in range(5):
        cell.run(0.1)
        cell.executor.beat("camera", cell.now_s)
    return cell


def test_a_stream_that_somebody_complains_about_stops_the_arm_with_the_complaint() -> None:
    cell = watching_cell()
    cell.executor.beat("camera", cell.now_s, "camera 'front': mean grey level 0.0")
    cell.run(0.2)
    assert cell.executor.status().state is ExecutorState.TRACKING
    cell.run(0.1)
    status = cell.executor.status()
    assert (status.state, status.reason, status.latched) == (ExecutorState.HOLDING, ReasonCode.STREAM_FAULTY, True)
    assert status.reason_text == "camera 'front': mean grey level 0.0"


def test_arming_over_a_complaint_moves_nothing_until_the_stream_is_in_order() -> None:
    cell = watching_cell()
    cell.executor.beat("camera", cell.now_s, "black")
    cell.run(0.4)
    assert cell.arm().accepted
    assert cell.submit(chunk_along(lambda t: cell.tcp[-1], cell.now_s)).reason is ReasonCode.STREAM_FAULTY
    cell.executor.beat("camera", cell.now_s)
    assert cell.submit(chunk_along(lambda t: cell.tcp[-1], cell.now_s)).accepted


def test_a_watched_stream_that_goes_silent_stops_the_arm_by_its_name() -> None:
    cell = tracking_cell(stream_timeouts_s={"camera": 0.8, "perception": 5.0})
    cell.run(0.4)
    status = cell.executor.status()
    assert (status.reason, status.latched) == (ReasonCode.STREAM_SILENT, True)
    assert "camera" in status.reason_text


def test_heartbeats_keep_the_arm_moving() -> None:
    cell = Cell(stream_timeouts_s={"camera": 0.15})
    cell.arm()
    for _ in range(10):
        cell.executor.beat("camera", cell.now_s)
        assert cell.submit(chunk_along(moving(0.0, cell.now_s), cell.now_s)).accepted
        cell.run(0.1)
    assert cell.executor.status().state is ExecutorState.TRACKING
    with pytest.raises(KeyError, match="lidar"):
        cell.executor.beat("lidar", cell.now_s)


def test_a_control_loop_that_stood_still_stops() -> None:
    cell = tracking_cell()
    cell.now_s += 1.0
    cell.executor.observe(state_at(cell.now_s, cell.q))
    cell.run(0.01)
    assert cell.executor.status().reason is ReasonCode.CONTROL_STALLED


def test_time_that_goes_back_stops() -> None:
    cell = tracking_cell()
    cell.now_s -= 1.0
    cell.run(0.01)
    assert cell.executor.status().reason is ReasonCode.CLOCK_SKEW


def test_a_chunk_that_is_too_fast_is_played_slower_and_counted() -> None:
    cell = Cell(chunk_timeout_s=5.0, policy_timeout_s=5.0, velocity_fraction=0.5)
    cell.arm()
    start = cell.now_s
    steps = start + 0.05 * np.arange(1, 17)
    swing = 0.2 * (1.0 - np.cos(np.pi * (steps - start) / 0.8))
    positions = HOME_TCP + np.outer(swing, [0.0, 1.0, 0.0])
    verdict = cell.submit(chunk_along(still, start, times_s=steps, positions=positions))
    assert verdict.band is Band.SCALE
    assert verdict.reason is ReasonCode.JOINT_VELOCITY
    assert verdict.scale < 0.95
    cell.run(1.5)
    assert cell.executor.status().scaled == 1
    assert cell.tcp[-1] == pytest.approx(positions[-1], abs=1e-3)
    arrived = next(t for t, p in zip(cell.stamps, cell.tcp, strict=True) if np.linalg.norm(p - positions[-1]) < 2e-3)
    assert arrived - start > 0.8
    assert violations(cell.sent, 0.01, FR3_LIMITS) == ()


def test_a_chunk_that_is_far_too_fast_is_rejected() -> None:
    cell = Cell()
    cell.arm()
    times = cell.now_s + 0.01 * np.arange(1, 17)
    verdict = cell.submit(chunk_along(moving(0.25, cell.now_s), cell.now_s, times_s=times))
    assert (verdict.band, verdict.reason) == (Band.REJECT, ReasonCode.STEP_SPEED)


def with_quats(tilt_rad: float, norm: float = 1.0) -> dict[str, object]:
    return {"quats_xyzw": np.tile(norm * np.array([math.cos(tilt_rad / 2), 0, math.sin(tilt_rad / 2), 0]), (16, 1))}


@pytest.mark.parametrize(
    ("stamp_s", "path", "changes", "reason"),
    [
        (9.0, still, {}, ReasonCode.STALE_CHUNK),
        (10.5, still, {}, ReasonCode.FUTURE_CHUNK),
        (10.0, still, {"times_s": 9.0 + 0.01 * np.arange(16)}, ReasonCode.BAD_STEP_TIMES),
        (10.0, still, {"times_s": 10.0 + 1.0 * np.arange(1, 17)}, ReasonCode.BAD_STEP_TIMES),
        (10.0, still, {"times_s": 10.0 + 0.7 + 0.1 * np.arange(16)}, ReasonCode.BAD_STEP_TIMES),
        (9.9, still, {"times_s": 9.9 + 0.4 + 0.55 * np.arange(16)}, ReasonCode.BAD_STEP_TIMES),
        (9.7, still, {"times_s": 9.7 + 0.01 * np.arange(1, 17)}, ReasonCode.CHUNK_EXPIRED),
        (10.0, lambda t: HOME_TCP + [0, 0, 1.0], {}, ReasonCode.WORKSPACE),
        (10.0, lambda t: HOME_TCP + [0, 0.2, 0], {}, ReasonCode.START_GAP),
        (10.0, still, with_quats(0.5), ReasonCode.TILT),
        (10.0, still, with_quats(0.0, norm=2.0), ReasonCode.BAD_ORIENTATION),
        (10.0, still, {"gripper_widths_m": np.full(16, 5.0)}, ReasonCode.BAD_GRIPPER_WIDTH),
    ],
)
def test_a_bad_chunk_is_rejected_with_its_reason(stamp_s, path, changes, reason) -> None:  # type: ignore[no-untyped-def]
    cell = Cell(start_s=10.0)
    cell.arm()
    verdict = cell.submit(chunk_along(path, stamp_s, **changes))
    assert (verdict.band, verdict.reason) == (Band.REJECT, reason)
    assert verdict.text


def test_duplicates_and_late_comers_are_told_apart() -> None:
    cell = Cell()
    cell.arm()
    assert cell.submit(chunk_along(still, 10.0)).accepted
    assert cell.submit(chunk_along(still, 10.0)).reason is ReasonCode.DUPLICATE_CHUNK
    assert cell.submit(chunk_along(still, 9.9)).reason is ReasonCode.OUT_OF_ORDER


def test_a_rejected_chunk_does_not_disturb_the_one_being_followed() -> None:
    alone, disturbed = tracking_cell(), tracking_cell()
    disturbed.submit(chunk_along(lambda t: np.array([0.4, 0.0, 2.0]), disturbed.now_s))
    alone.run(0.3)
    disturbed.run(0.3)
    assert disturbed.sent[-1] == pytest.approx(alone.sent[-1], abs=0)


def test_the_hand_closes_and_opens_with_hysteresis() -> None:
    cell = Cell(chunk_timeout_s=5.0, policy_timeout_s=5.0)
    cell.arm()
    widths = np.repeat([GRIPPER_OPEN_M, 0.04, 0.02, 0.04], 4)
    cell.submit(chunk_along(still, cell.now_s, gripper_widths_m=widths))
    cell.run(1.6)
    at_steps = cell.grips[5::10]
    assert at_steps == [GRIPPER_OPEN_M] * 8 + [0.0] * 8


def test_arming_keeps_the_grip_on_what_the_hand_holds() -> None:
    cell = Cell()
    cell.executor.arm(state_at(cell.now_s, holds=True), cell.now_s)
    cell.run(0.01)
    assert cell.grips == [0.0]


def test_more_checks_can_be_added_and_see_plans_and_stops() -> None:
    """The seam for keep-out and self-collision: a path check may veto a plan, and every stop before it is needed."""
    seen = []

    def keep_left(path) -> Finding | None:  # type: ignore[no-untyped-def]
        tcp = np.array([LinearArm().tcp_pose(q)[0] for q in path.positions])
        seen.append(len(tcp))
        return Finding(ReasonCode.WORKSPACE, "right of the line") if tcp[:, 1].min() < -0.05 else None

    executor = Executor(FR3_LIMITS, ExecutorSettings(), LinearArm(), extra_path_checks=(keep_left,))
    cell = Cell(executor=executor)
    cell.arm()
    assert cell.submit(chunk_along(moving(-0.1, cell.now_s), cell.now_s)).reason is ReasonCode.WORKSPACE
    assert cell.submit(chunk_along(moving(0.1, cell.now_s), cell.now_s)).accepted
    cell.run(0.3)
    assert len(seen) > 30


def stopped_compliant_cell(standing_error: float) -> Cell:
    """Stopped for good in the middle of a motion; the arm rests beside its last set-point."""
    cell = Cell(arm=CompliantArm(standing_error=standing_error))
    cell.arm()
    follow(cell, 0.2, 0.5)
    cell.executor.stop(ReasonCode.POLICY_SILENT, cell.now_s)
    cell.run(1.0)
    return cell


def test_arming_an_arm_that_follows_already_makes_no_step_of_its_standing_error() -> None:
    cell = stopped_compliant_cell(standing_error=0.01)
    assert cell.arm().accepted
    cell.run(0.3)
    assert cell.executor.status().state is ExecutorState.READY
    assert violations(cell.sent, 0.01, FR3_LIMITS) == ()


def test_an_arm_far_from_where_it_was_sent_is_not_armed_again_from_there() -> None:
    cell = stopped_compliant_cell(standing_error=0.06)
    refused = cell.arm()
    assert refused.reason is ReasonCode.TRACKING_ERROR
    assert "recover_and_arm" in refused.text
    assert cell.executor.begin_recovery(None, cell.now_s).accepted
    state = state_at(cell.now_s, cell.q)
    assert cell.executor.arm(state, cell.now_s, recovered=True).accepted
    cell.run(0.01)
    assert cell.sent[-1] == pytest.approx(state.joint_positions, abs=0), "from where it is, it does not follow any more"


def test_an_arm_that_has_let_go_is_taken_over_where_it_is() -> None:
    cell = stopped_compliant_cell(standing_error=0.01)
    state = state_at(cell.now_s, cell.q)
    assert cell.executor.arm(state, cell.now_s, engaged=False).accepted
    cell.run(0.01)
    assert cell.sent[-1] == pytest.approx(state.joint_positions, abs=0)
