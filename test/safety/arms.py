"""Stand-ins for the executor's tests: an arm with linear kinematics, and chunks to send it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from vls_steering.core.arrays import FloatArray
from vls_steering.core.errors import VlsError
from vls_steering.core.types import DOWN_QUAT_XYZW, GRIPPER_OPEN_M, ActionChunk, RobotState, SetPoint
from vls_steering.safety import FR3_LIMITS, Executor, ExecutorSettings, Kinematics, PathCheck, TcpStates, Verdict

HOME_Q = np.array([0.0, -0.6, 0.0, -2.35, 0.0, 1.75, 0.785])
HOME_TCP = np.array([0.40, 0.0, 0.30])
# Metres of the TCP per radian of each joint, of the size a real arm has at home.
_JACOBIAN = np.array(
    [
        [0.00, 0.25, 0.00, 0.30, 0.00, 0.10, 0.0],
        [0.45, 0.00, 0.30, 0.00, 0.05, 0.00, 0.0],
        [0.00, -0.45, 0.00, 0.35, 0.00, 0.15, 0.0],
    ]
)
_INVERSE = np.linalg.pinv(_JACOBIAN)
FINE_S = 0.001  # the period at which an arm judges what it is sent
# It does not turn its hand; three rows across the others' stand for the angular part where a condition is computed.
_DOWN = np.diag([1.0, -1.0, -1.0])
_TWIST = np.concatenate([_JACOBIAN, 0.3 * np.linalg.svd(_JACOBIAN)[2][3:6]])


class LinearArm:
    """Kinematics that are linear in the joints: exact, instant, and as wrong far away as they are simple."""

    def tcp_pose(self, joint_positions: FloatArray, /) -> tuple[FloatArray, FloatArray]:
        return HOME_TCP + _JACOBIAN @ (joint_positions - HOME_Q), np.array(DOWN_QUAT_XYZW)

    def tcp_states(self, joint_positions: FloatArray, /) -> TcpStates:
        count = len(joint_positions)
        positions = HOME_TCP + (joint_positions - HOME_Q) @ _JACOBIAN.T
        return TcpStates(positions, np.tile(_DOWN, (count, 1, 1)), np.tile(_TWIST, (count, 1, 1)))

    def solve_path(self, positions: FloatArray, quats_xyzw: FloatArray, seeds: FloatArray, /) -> FloatArray:
        if (np.linalg.norm(positions, axis=1) > 0.85).any():
            raise VlsError("out of reach")
        return HOME_Q + (positions - HOME_TCP) @ _INVERSE.T


def state_at(
    stamp_s: float, q: FloatArray = HOME_Q, velocity: float | FloatArray = 0.0, holds: bool = False
) -> RobotState:
    tcp, quat = LinearArm().tcp_pose(q)
    return RobotState(stamp_s, q, np.zeros(7) + velocity, tcp, quat, 0.038 if holds else GRIPPER_OPEN_M, holds)


def chunk_along(path: Callable[[float], FloatArray], stamp_s: float, **changes: object) -> ActionChunk:
    """Sixteen steps of 0.1 s along `path`, a position for every time on the clock."""
    times = stamp_s + 0.1 * np.arange(1, 17)
    fields: dict[str, object] = {
        "stamp_s": stamp_s,
        "times_s": times,
        "positions": np.array([path(t) for t in times]),
        "quats_xyzw": np.tile(DOWN_QUAT_XYZW, (16, 1)),
        "gripper_widths_m": np.full(16, GRIPPER_OPEN_M),
    }
    return ActionChunk(**{**fields, **changes})  # type: ignore[arg-type]


def moving(speed_m_s: float, start_s: float = 0.0, axis: int = 1) -> Callable[[float], FloatArray]:
    """A straight line through home at `start_s`."""
    direction = np.eye(3)[axis]
    return lambda time_s: HOME_TCP + direction * speed_m_s * (time_s - start_s)


def still(time_s: float) -> FloatArray:
    return HOME_TCP


class PerfectArm:
    """Is always where it was sent."""

    def follow(self, q: FloatArray, sent: FloatArray, duration_s: float) -> FloatArray:
        return sent


class CompliantArm:
    """Comes after its set-points as a lag of first order, and rests `standing_error` beside them, as arms do.

    An `obstacle` is the interval of joint positions (2, 7) that it cannot leave, whatever it is sent.
    """

    def __init__(self, lag_s: float = 0.045, standing_error: float | FloatArray = 0.01) -> None:
        self.lag_s, self.standing_error = lag_s, np.zeros(7) + standing_error
        self.obstacle = np.array([np.full(7, -np.inf), np.full(7, np.inf)])

    def follow(self, q: FloatArray, sent: FloatArray, duration_s: float) -> FloatArray:
        share = 1.0 - np.exp(-duration_s / self.lag_s)
        return np.clip(q + share * (sent + self.standing_error - q), *self.obstacle)


class Cell:
    """An executor, an arm that does what it is told as well as it can, and a clock."""

    def __init__(
        self,
        start_s: float = 10.0,
        executor: Executor | None = None,
        arm: PerfectArm | CompliantArm | None = None,
        kinematics: Kinematics | None = None,
        checks: Sequence[PathCheck] = (),
        **settings: object,
    ) -> None:
        self.settings = ExecutorSettings(**settings)  # type: ignore[arg-type]
        self.kinematics = kinematics or LinearArm()
        self.executor = executor or Executor(FR3_LIMITS, self.settings, self.kinematics, extra_path_checks=checks)
        self.now_s = start_s
        self.body = arm or PerfectArm()
        self.q, self.velocity = HOME_Q, np.zeros(7)  # measured
        self.sent: list[FloatArray] = []
        self.moved: list[FloatArray] = []  # the commanded motion that leads through them, FINE_S apart
        self.stamps: list[float] = []
        self.grips: list[float] = []
        self.measures = True

    def arm(self) -> Verdict:
        return self.executor.arm(state_at(self.now_s, self.q, self.velocity), self.now_s)

    def submit(self, chunk: ActionChunk) -> Verdict:
        return self.executor.submit(chunk, self.now_s)

    def run(self, duration_s: float) -> None:
        for _ in range(round(duration_s / self.settings.control_period_s)):
            period_s = self.settings.control_period_s
            self.now_s += period_s
            set_point = self._step()
            self.sent.append(set_point.joint_positions)
            before, self.q = self.q, self.body.follow(self.q, set_point.joint_positions, period_s)
            if isinstance(self.body, CompliantArm):
                self.velocity = (self.q - before) / period_s
            self.stamps.append(self.now_s)
            self.grips.append(set_point.gripper_width_m)
            if self.measures:
                self.executor.observe(state_at(self.now_s, self.q, self.velocity))

    def _step(self) -> SetPoint:
        """A step of the executor, and what its motion does on the way there: its own trajectory, not a guess at it."""
        motion, period_s = self.executor._motion, self.settings.control_period_s
        stop = motion._stop
        assert stop is not None
        elapsed_s = stop._elapsed_s
        set_point = self.executor.step(self.now_s)
        times = FINE_S * np.arange(1, round(period_s / FINE_S) + 1)
        if motion._stop is not stop:
            begin_s = motion._output.time - period_s
            way = [np.array(motion._output.trajectory.at_time(begin_s + time_s)[0]) for time_s in times]
        elif stop._elapsed_s > elapsed_s:
            way = [np.array(stop._trajectory.at_time(elapsed_s + time_s)[0]) for time_s in times]
        else:
            way = [set_point.joint_positions] * len(times)
        assert not (np.abs(way[-1] - set_point.joint_positions) > 1e-9).any()
        self.moved += way
        return set_point

    @property
    def tcp(self) -> FloatArray:
        """(N, 3) m, of everything sent."""
        return np.array([self.kinematics.tcp_pose(q)[0] for q in self.sent])
