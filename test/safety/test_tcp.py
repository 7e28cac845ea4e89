"""Hand, elbow and singular postures, on the real arm's kinematics; and the oracle's view of the same."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from safety.arms import HOME_Q, Cell, chunk_along, state_at, still
from scipy.spatial.transform import Rotation

from vls_steering.core.arrays import FloatArray
from vls_steering.core.types import DOWN_QUAT_XYZW
from vls_steering.robots.kinematics import ArmKinematics
from vls_steering.safety import (
    FR3_LIMITS,
    PANDA_LIMITS,
    ArmLimits,
    Executor,
    ExecutorSettings,
    ExecutorState,
    JointChunk,
    ReasonCode,
    Verdict,
    tcp_violations,
)
from vls_steering.safety.checks import JointPath
from vls_steering.safety.tcp import TcpPath, tcp_path_check

ARM = ArmKinematics()
DOWN = np.array(DOWN_QUAT_XYZW)
SETTINGS = ExecutorSettings()


def at(x: float, y: float, z: float) -> FloatArray:
    return ARM.solve(np.array([x, y, z]), DOWN, HOME_Q)


def through(*rows: FloatArray, velocity: FloatArray | None = None, acceleration: FloatArray | None = None) -> JointPath:
    q = np.array(rows)
    zero = np.zeros_like(q)
    rates = [zero if rate is None else zero + rate for rate in (velocity, acceleration)]
    return JointPath(np.arange(len(q), dtype=float), q, *rates)


def found(path: JointPath, share: float = 1.0) -> ReasonCode | None:
    finding = tcp_path_check(ARM, FR3_LIMITS, SETTINGS, share)(path)
    return finding.reason if finding is not None else None


def test_the_hands_velocity_and_acceleration_are_those_of_its_path() -> None:
    """Against differences of the forward kinematics along q(t) = home + t v + t^2 a / 2."""
    rng = np.random.default_rng(3)
    v, a, dt = rng.normal(size=7), rng.normal(size=7), 1e-4
    places = [ARM.tcp_pose(HOME_Q + t * v + t**2 / 2 * a)[0] for t in (-dt, 0.0, dt)]
    tcp = TcpPath.of(through(HOME_Q, velocity=v, acceleration=a), ARM)
    assert tcp.velocities[0, :3] == pytest.approx((places[2] - places[0]) / (2 * dt), abs=1e-5)
    assert tcp.accelerations[0, :3] == pytest.approx((places[2] - 2 * places[1] + places[0]) / dt**2, abs=2e-3)


def leaning_to(condition: float) -> FloatArray:
    """A posture on the way from home towards the stretched arm, where the Jacobian has this condition number."""
    for reach in np.linspace(0.0, 1.0, 2000):
        q = HOME_Q + reach * np.array([0.0, 0.9, 0.0, 2.1, 0.0, -0.3, 0.0])
        if np.linalg.cond(ARM.tcp_states(q[None]).jacobians[0]) >= condition:
            return q
    raise AssertionError("no such posture")


def test_an_approach_to_a_singular_posture_is_slowed_down_and_then_refused() -> None:
    roomy = ExecutorSettings(workspace_lower_m=(-2.0, -2.0, -2.0), workspace_upper_m=(2.0, 2.0, 2.0), max_tilt_rad=1.6)
    check = tcp_path_check(ARM, FR3_LIMITS, roomy, 1.0)
    assert check(through(leaning_to(10.0), leaning_to(16.0))) is None
    slowed = check(through(leaning_to(10.0), leaning_to(20.0)))
    assert slowed is not None
    assert slowed.reason is ReasonCode.SINGULARITY
    assert slowed.stretch == pytest.approx((30 - 17) / (30 - 20), rel=0.02)
    refused = check(through(leaning_to(10.0), leaning_to(31.0)))
    assert refused is not None
    assert refused.stretch == np.inf
    assert check(through(leaning_to(31.0), leaning_to(12.0))) is None, "an arm may leave a singular posture"


@pytest.mark.parametrize(
    ("velocity", "acceleration", "reason"),
    [
        (np.array([0, 2.2, 0, -2.2, 0, 0, 0]), None, ReasonCode.TCP_SPEED),
        (np.array([0, 0, 0, 0, 0, 0, 2.7]), None, ReasonCode.TCP_SPEED),
        (np.array([0, 0, 1.6, 0, 0, 0, 0]), None, ReasonCode.ELBOW_SPEED),
        (None, np.array([9.5, 9.5, 9.5, -9.5, 0, 0, 0]), ReasonCode.TCP_ACCELERATION),
    ],
)
def test_hand_and_elbow_have_limits_of_their_own(
    velocity: FloatArray | None, acceleration: FloatArray | None, reason: ReasonCode
) -> None:
    assert found(through(at(0.6, 0.0, 0.3), velocity=velocity, acceleration=acceleration)) is reason


def test_the_oracle_sees_a_hand_that_is_too_fast_although_no_joint_is() -> None:
    t = np.arange(0.0, 0.15, 0.001)
    swing = HOME_Q + np.outer(0.5 * 9.9 * t**2, [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0])
    kinds = {v.quantity for v in tcp_violations(swing, 0.001, FR3_LIMITS, ARM.tcp_pose)}
    assert "tcp acceleration" in kinds
    assert tcp_violations(np.tile(HOME_Q, (10, 1)), 0.001, FR3_LIMITS, ARM.tcp_pose) == ()


def test_nothing_is_sent_while_the_arm_recovers() -> None:
    cell = Cell()
    cell.arm()
    cell.run(0.1)
    assert cell.executor.begin_recovery(None, cell.now_s).accepted
    assert cell.executor.status().state is ExecutorState.RECOVERING
    assert cell.submit(chunk_along(still, cell.now_s)).reason is ReasonCode.NOT_ARMED
    assert cell.executor.begin_recovery(None, cell.now_s).reason is ReasonCode.NOT_AT_REST
    cell.executor.fail_recovery("the user stop is pressed", cell.now_s)
    status = cell.executor.status()
    assert (status.state, status.reason) == (ExecutorState.UNARMED, ReasonCode.RECOVERY_FAILED)
    assert cell.arm().accepted
    assert cell.executor.status().reason is ReasonCode.NONE


def test_there_is_no_recovery_under_a_pressed_stop_or_in_motion() -> None:
    cell = Cell()
    cell.executor.set_emergency_stop(True, cell.now_s)
    assert cell.executor.begin_recovery(state_at(cell.now_s), cell.now_s).reason is ReasonCode.EMERGENCY_STOP
    cell.executor.set_emergency_stop(False, cell.now_s)
    cell.arm()
    cell.submit(chunk_along(still, cell.now_s))
    assert cell.executor.begin_recovery(state_at(cell.now_s), cell.now_s).reason is ReasonCode.NOT_AT_REST


@pytest.mark.parametrize(
    ("tilts", "objects"),
    [((0.0, 0.3), False), ((0.0, 0.5), True), ((0.0, 0.5, 0.0), True), ((0.6, 0.3), False), ((0.6, 0.7), True)],
)
def test_no_join_and_no_stop_tilts_the_hand_further_than_a_chunk_may(tilts: tuple[float, ...], objects: bool) -> None:
    hands = [(Rotation.from_euler("y", tilt) * Rotation.from_quat(DOWN)).as_quat() for tilt in tilts]
    rows = [ARM.solve(np.array([0.45, 0.0, 0.4]), hand, HOME_Q) for hand in hands]
    assert (found(through(*rows)) is ReasonCode.TILT) == objects


LEANING = np.array([0.0, 0.9, 0.0, 2.1, 0.0, -0.3, 0.0])  # from home towards the stretched arm


def lean_on(start: float, speed: float, duration_s: float) -> tuple[list[float], list[Verdict]]:
    """Condition numbers of what is sent when a policy asks, chunk by chunk, to stretch the arm a little more."""
    roomy = ExecutorSettings(workspace_lower_m=(-2.0, -2.0, -2.0), workspace_upper_m=(2.0, 2.0, 2.0), max_tilt_rad=1.6)
    executor = Executor(FR3_LIMITS, roomy, ARM)
    q, now_s = leaning_to(start), 0.0
    executor.arm(state_at(now_s, q), now_s)
    conditions, verdicts = [], []
    for _ in range(round(duration_s / 0.1)):
        ahead = 0.1 * np.arange(1, 5)
        chunk = JointChunk(now_s, now_s + ahead, q + speed * np.outer(ahead, LEANING), np.full(4, 0.08))
        verdicts.append(executor.submit(chunk, now_s))
        for _ in range(10):
            now_s += 0.01
            q = executor.step(now_s).joint_positions
            executor.observe(state_at(now_s, q))
        conditions.append(float(np.linalg.cond(ARM.tcp_states(q[None]).jacobians[0])))
    return conditions, verdicts


@pytest.mark.parametrize(("start", "speed"), [(28.8, 0.002), (27.0, 0.005), (20.0, 0.05)])
def test_no_stream_of_small_steps_creeps_past_the_condition_number_that_is_never_exceeded(
    start: float, speed: float
) -> None:
    conditions, verdicts = lean_on(start, speed, 8.0)
    assert max(conditions) <= SETTINGS.singularity_stop * 1.001
    assert verdicts[-1].reason is ReasonCode.SINGULARITY


def test_an_arm_that_stands_beyond_it_may_leave_but_not_go_further() -> None:
    conditions, verdicts = lean_on(35.0, 0.005, 2.0)
    assert max(conditions) <= np.linalg.cond(ARM.tcp_states(leaning_to(35.0)[None]).jacobians[0]) * 1.001
    assert {v.reason for v in verdicts} == {ReasonCode.SINGULARITY}
    conditions, verdicts = lean_on(35.0, -0.05, 3.0)
    assert conditions[-1] < 30.0
    assert all(v.accepted for v in verdicts)


@pytest.mark.parametrize("limits", [FR3_LIMITS, PANDA_LIMITS], ids=["fr3", "panda"])
def test_with_the_largest_share_of_the_joints_jerk_the_hand_keeps_its_own(limits: ArmLimits) -> None:
    """Every joint at once, in the worst combination of senses, in postures all over the range.

    What accelerations add while the hand turns is small: 2.5 rad/s of turning times 9 m/s2, or times 17 rad/s2, and
    the same again of velocities.
    """
    (most,) = (m.le for m in ExecutorSettings.model_fields["jerk_fraction"].metadata if hasattr(m, "le"))
    senses = np.array(list(itertools.product((-1.0, 1.0), repeat=7)))
    rng = np.random.default_rng(5)
    hand = limits.cartesian
    for q in rng.uniform(FR3_LIMITS.position_lower, FR3_LIMITS.position_upper, (1000, 7)):
        jerks = senses @ (most * limits.jerk * ARM.tcp_states(q[None]).jacobians[0]).T
        turning = 3 * hand.rotation.velocity
        for part, kind in ((jerks[:, :3], hand.translation), (jerks[:, 3:], hand.rotation)):
            assert np.linalg.norm(part, axis=1).max() + turning * kind.acceleration < kind.jerk
