"""The commanded motion keeps the tables whatever it is asked to follow, because it always keeps a verified stop."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from ruckig import InputParameter, Ruckig, RuckigError, Trajectory
from safety.arms import HOME_Q, HOME_TCP, LinearArm

from vls_steering.core.arrays import FloatArray
from vls_steering.safety import FR3_LIMITS, ExecutorSettings, PathCheck, Violation, violations
from vls_steering.safety.checks import JointPath, stop_check
from vls_steering.safety.motion import Motion, MotionState
from vls_steering.safety.tcp import WORKSPACE_SLACK_M, tcp_path_check

AMBITIOUS = {"velocity_fraction": 0.9, "acceleration_fraction": 0.95, "joint_margin_rad": 0.02}
# More than the settings allow, for the hand's sake: here the joints alone are judged.
JERK_FRACTION = 0.95
LOWER, UPPER = FR3_LIMITS.soft_range(0.03)


def targets(seed: int, spread_rad: float, speed_rad_s: float, patience: int) -> list[MotionState]:
    """Targets that stay for `patience` periods each, many of them beyond the joint stops."""
    rng = np.random.default_rng(seed)
    found: list[MotionState] = []
    while len(found) < 300:
        goal = rng.uniform(LOWER - spread_rad, UPPER + spread_rad)
        found += [MotionState(goal, speed_rad_s * rng.normal(size=7), np.zeros(7))] * patience
    return found[:300]


def drive(
    stream: Sequence[MotionState], period_s: float, start: FloatArray, guarded: bool = True
) -> tuple[Motion, tuple[Violation, ...]]:
    chosen = ExecutorSettings(control_period_s=period_s, **AMBITIOUS)  # type: ignore[arg-type]
    chosen = chosen.model_copy(update={"jerk_fraction": JERK_FRACTION})
    guards: tuple[PathCheck, ...] = (stop_check(FR3_LIMITS, chosen),) if guarded else ()
    motion = Motion(FR3_LIMITS, chosen, guards)
    motion.reset(start)
    sent = [start]
    for target in stream:
        motion.follow(target)
        sent.append(motion.state.positions)
    while not motion.at_rest:
        motion.brake()
        sent.append(motion.state.positions)
    return motion, violations(sent, period_s, FR3_LIMITS)


@pytest.mark.parametrize("period_s", [0.01, 0.001])
@given(
    seed=st.integers(0, 2**16),
    spread=st.sampled_from([-0.5, 0.0, 0.5, 3.0]),
    speed=st.sampled_from([0.0, 0.5, 5.0]),
    patience=st.sampled_from([1, 5, 30, 300]),
    corner=st.lists(st.integers(0, 2), min_size=7, max_size=7),
)
# ruckig once gave up here for one period.
@example(seed=7021, spread=-0.5, speed=5.0, patience=300, corner=[1, 0, 1, 2, 2, 0, 0])
@settings(max_examples=30, deadline=None)
def test_no_target_breaks_a_limit(
    period_s: float, seed: int, spread: float, speed: float, patience: int, corner: list[int]
) -> None:
    start = np.choose(corner, [LOWER, HOME_Q, UPPER])
    _, found = drive(targets(seed, spread, speed, patience), period_s, start)
    assert found == ()


def test_without_the_guard_the_same_targets_do_break_limits() -> None:
    """The property above can fail: it is the verified stop that holds it."""
    stream = targets(1, 0.5, 0.0, 300)
    _, guarded = drive(stream, 0.01, HOME_Q)
    _, unguarded = drive(stream, 0.01, HOME_Q, guarded=False)
    assert guarded == ()
    assert "position" in {v.quantity for v in unguarded}


@pytest.mark.parametrize("period_s", [0.01, 0.001])
def test_a_target_that_is_not_a_number_brakes(period_s: float) -> None:
    broken = MotionState(np.full(7, np.nan), np.zeros(7), np.zeros(7))
    goal = MotionState(HOME_Q + 0.5, np.zeros(7), np.zeros(7))
    motion, found = drive([goal] * 40 + [broken] * 260, period_s, HOME_Q)
    assert found == ()
    assert np.isfinite(motion.state.positions).all()


class Quitter:
    """A ruckig that gives up."""

    def update(self, given: object, output: object) -> None:
        raise RuckigError("error in step 1")


def test_a_period_in_which_ruckig_gives_up_is_a_period_of_braking() -> None:
    chosen = ExecutorSettings()
    motion = Motion(FR3_LIMITS, chosen, (stop_check(FR3_LIMITS, chosen),))
    motion.reset(HOME_Q)
    goal = MotionState(HOME_Q + 0.5, np.zeros(7), np.zeros(7))
    for _ in range(20):
        assert motion.follow(goal)
    fast = motion.state.velocities[0]
    motion._follower = Quitter()
    for _ in range(5):
        assert not motion.follow(goal)
    assert 0 < motion.state.velocities[0] < fast


@pytest.mark.parametrize("period_s", [0.01, 0.001])
def test_it_arrives_at_a_target_at_rest_without_overshoot(period_s: float) -> None:
    chosen = ExecutorSettings(control_period_s=period_s)
    motion = Motion(FR3_LIMITS, chosen, (stop_check(FR3_LIMITS, chosen),))
    motion.reset(HOME_Q)
    goal = MotionState(HOME_Q + 0.3, np.zeros(7), np.zeros(7))
    path = []
    for _ in range(round(1.5 / period_s)):
        assert motion.follow(goal)
        path.append(motion.state.positions)
    assert motion.state.positions == pytest.approx(goal.positions, abs=1e-5)
    assert (np.array(path) <= goal.positions + 1e-4).all()


def tcp_path(*heights_m: float) -> JointPath:
    """A path through points above one another."""
    arm = LinearArm()
    rows = arm.solve_path(np.array([[*HOME_TCP[:2], z] for z in heights_m]), np.zeros((1, 4)), HOME_Q[None])
    return JointPath(np.arange(len(rows), dtype=float), rows, np.zeros_like(rows), np.zeros_like(rows))


@pytest.mark.parametrize(
    ("heights_m", "objects"),
    [((0.2, 0.1), False), ((0.2, -0.1), True), ((0.2, -0.1, 0.2), True), ((-0.1, 0.2), False), ((-0.1, -0.2), True)],
)
def test_a_path_that_leaves_the_workspace_is_objected_to_and_one_that_comes_back_is_not(
    heights_m: tuple[float, ...], objects: bool
) -> None:
    check = tcp_path_check(LinearArm(), FR3_LIMITS, ExecutorSettings(), 1.0)
    assert (check(tcp_path(*heights_m)) is not None) == objects


@pytest.mark.parametrize("guarded", [True, False])
def test_a_dive_through_the_table_ends_above_it_only_with_the_guard(guarded: bool) -> None:
    chosen = ExecutorSettings()
    guard = tcp_path_check(LinearArm(), FR3_LIMITS, chosen, 1.0)
    motion = Motion(FR3_LIMITS, chosen, (guard,) if guarded else ())
    motion.reset(HOME_Q)
    below = MotionState(tcp_path(-0.1).positions[0], np.zeros(7), np.zeros(7))
    heights = []
    for _ in range(150):
        motion.follow(below)
        heights.append(LinearArm().tcp_pose(motion.state.positions)[0][2])
    floor = chosen.workspace_lower_m[2] - WORKSPACE_SLACK_M
    assert (min(heights) >= floor - 1e-6) == guarded
    assert min(heights) < 0.03, "the guard does not keep the arm from working close to the table"


def test_no_turn_of_a_joints_acceleration_lies_between_the_samples_of_a_stop() -> None:
    """The stop of a slow arm is a short spike of acceleration, and the hand's own limit is met at its tip."""
    rng = np.random.default_rng(0)
    motion = Motion(FR3_LIMITS, ExecutorSettings(), ())
    period = InputParameter(7)
    period.current_position = period.target_position = list(HOME_Q)
    period.max_velocity, period.max_acceleration, period.max_jerk = [1.0] * 7, [9.0] * 7, [1000.0] * 7
    before = Trajectory(7)
    Ruckig(7).calculate(period, before)
    for _ in range(300):
        start = MotionState(HOME_Q, rng.uniform(-0.15, 0.15, 7), rng.uniform(-6.0, 6.0, 7))
        jacobian = rng.normal(size=(6, 7))
        stop = motion._plan_stop(start)
        assert stop is not None
        looked_at = stop.path_after(before, 0.0, 0.001).accelerations @ jacobian.T
        times = np.linspace(0.0, stop._trajectory.duration, 2000)
        really = np.array([stop._trajectory.at_time(t)[2] for t in times]) @ jacobian.T
        assert (np.abs(looked_at).max(axis=0) > 0.99 * np.abs(really).max(axis=0)).all()


@pytest.mark.parametrize("distance_rad", [1e-4, 0.05])
@pytest.mark.parametrize("period_s", [0.01, 0.001])
def test_what_a_guard_sees_begins_where_the_arm_is_and_leads_to_rest(period_s: float, distance_rad: float) -> None:
    """Also while a target that is near and stays is met, on a trajectory that was computed periods ago.

    The first joint alone moves: its velocity bound stays the same there, and a changed bound is a new computation.
    """
    seen: list[JointPath] = []
    motion = Motion(FR3_LIMITS, ExecutorSettings(control_period_s=period_s), (seen.append,))
    motion.reset(HOME_Q)
    goal = MotionState(HOME_Q + distance_rad * np.eye(7)[0], np.zeros(7), np.zeros(7))
    for _ in range(round(0.6 / period_s)):
        before = motion.state
        assert motion.follow(goal)
        path = seen.pop()
        now = int(np.flatnonzero(path.times_s == 0.0)[0])
        assert path.positions[0] == pytest.approx(before.positions, abs=1e-12)
        assert path.positions[now] == pytest.approx(motion.state.positions, abs=1e-12)
        assert path.velocities[-1] == pytest.approx(0.0, abs=1e-9)
    assert motion.state.positions == pytest.approx(goal.positions, abs=1e-5)
