"""The executed motion follows the chunks closely in place and in time, however often they are replanned."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from safety.arms import HOME_Q, HOME_TCP, Cell, chunk_along, state_at

from vls_steering.core.arrays import FloatArray
from vls_steering.core.types import DOWN_QUAT_XYZW, ActionChunk
from vls_steering.robots.kinematics import ArmKinematics
from vls_steering.safety import FR3_LIMITS, Executor, ExecutorSettings, violations

LATENCY_S = 0.05


def loop(time_s: float) -> FloatArray:
    """From rest at home into a figure at up to 0.35 m/s."""
    t = max(time_s - 10.0, 0.0)
    grown = 1.0 - np.exp(-((t / 0.5) ** 3))
    return HOME_TCP + grown * np.array([0.05 * np.sin(2 * t), 0.15 * np.sin(2 * t), -0.03 * np.sin(4 * t)])


def measured_lag_s(stamps: list[float], tcp: FloatArray, path: Callable[[float], FloatArray]) -> float:
    """The delay of `path` that explains `tcp` best."""
    delays = np.arange(-0.05, 0.15, 0.002)
    misses = [sum(((path(t - d) - p) ** 2).sum() for t, p in zip(stamps, tcp, strict=True)) for d in delays]
    return float(delays[int(np.argmin(misses))])


def replan(cell: Cell, duration_s: float, noise_m: float = 0.0, seed: int = 0) -> None:
    """A chunk every 0.1 s, planned from an observation that is LATENCY_S old when the chunk arrives."""
    rng = np.random.default_rng(seed)
    for _ in range(round(duration_s / 0.1)):
        chunk = chunk_along(loop, cell.now_s - LATENCY_S)
        shaken = chunk.positions + noise_m * (rng.normal(size=3) + 0.5 * rng.normal(size=(16, 3)))
        assert cell.submit(chunk_along(loop, cell.now_s - LATENCY_S, positions=shaken)).accepted
        cell.run(0.1)


@pytest.mark.parametrize("period_s", [0.01, 0.001])
def test_set_points_follow_replanned_chunks_without_lag(period_s: float) -> None:
    cell = Cell(control_period_s=period_s)
    cell.arm()
    replan(cell, 4.0)
    miss = np.linalg.norm(cell.tcp - [loop(t) for t in cell.stamps], axis=1)
    assert miss.max() < 1.5e-3
    every = round(0.01 / period_s)
    assert abs(measured_lag_s(cell.stamps[::every], cell.tcp[::every], loop)) <= 0.004
    assert cell.executor.status().braked_steps == 0


def test_replanning_with_noise_does_not_make_the_arm_stutter() -> None:
    """2 mm of disagreement between successive chunks: the joins stay smooth and well inside the limits."""
    cell = Cell()
    cell.arm()
    replan(cell, 4.0, noise_m=0.002)
    velocity = np.diff(cell.tcp, axis=0) / 0.01
    wanted = np.diff([loop(t) for t in cell.stamps], axis=0) / 0.01
    assert np.linalg.norm(velocity - wanted, axis=1).max() < 0.12
    assert violations(cell.sent, 0.01, FR3_LIMITS) == ()


def test_a_sudden_end_is_reached_without_overshoot() -> None:
    cell = Cell(chunk_timeout_s=3.0, policy_timeout_s=5.0)
    cell.arm()
    goal = HOME_TCP + np.array([0.0, 0.15, 0.0])
    start = cell.now_s
    cell.submit(chunk_along(lambda t: HOME_TCP + (goal - HOME_TCP) * min((t - start) / 0.8, 1.0), start))
    cell.run(2.5)
    assert cell.tcp[-1] == pytest.approx(goal, abs=1e-4)
    assert cell.tcp[:, 1].max() - goal[1] < 0.004


class CountingArm(ArmKinematics):
    """Counts what the slow solver is asked."""

    solved = 0

    def solve(self, position: FloatArray, quat_xyzw: FloatArray, seed: FloatArray) -> FloatArray:
        self.solved += 1
        return super().solve(position, quat_xyzw, seed)


def test_the_real_arm_follows_in_its_own_kinematics() -> None:
    kinematics = CountingArm()
    start_q = kinematics.solve(np.array([0.45, 0.0, 0.3]), np.array(DOWN_QUAT_XYZW), HOME_Q)
    home, _ = kinematics.tcp_pose(start_q)
    executor = Executor(FR3_LIMITS, ExecutorSettings(), kinematics)
    executor.arm(state_at(0.0, start_q), 0.0)

    def circle(time_s: float) -> FloatArray:
        angle = 1.5 * time_s * (1.0 - np.exp(-((time_s / 0.6) ** 3)))
        return home + np.array([0.06 * (1.0 - np.cos(angle)), 0.14 * np.sin(angle), -0.05 * np.sin(angle)])

    sent, misses, now_s = [], [], 0.0
    for _ in range(20):
        times = now_s + 0.1 * np.arange(1, 17)
        positions = np.array([circle(t) for t in times])
        chunk = ActionChunk(now_s, times, positions, np.tile(DOWN_QUAT_XYZW, (16, 1)), np.full(16, 0.08))
        asked = kinematics.solved
        assert executor.submit(chunk, now_s).accepted
        assert kinematics.solved == asked, "pose by pose, a review would take the loop more than its period"
        for _ in range(10):
            now_s += 0.01
            q = executor.step(now_s).joint_positions
            executor.observe(state_at(now_s, q))
            sent.append(q)
            misses.append(np.linalg.norm(kinematics.tcp_pose(q)[0] - circle(now_s)))
    assert max(misses) < 3e-3
    assert violations(sent, 0.01, FR3_LIMITS) == ()
