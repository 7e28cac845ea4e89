"""The smooth joint motion a chunk stands for: its own curve, and a join from where the arm is.

The curve is the cubic spline (C2) through the chunk's joint waypoints at the chunk's own times, coming to rest at
the last one, for which it takes twice the last step's time: a constant deceleration.  The join is a quintic from the
commanded position, velocity and acceleration onto the curve.  The chunk's times are authoritative: the join aims at
where the curve will be, so whatever time was lost to latency is made up instead of being carried along as lag.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from vls_steering.core.arrays import FloatArray
from vls_steering.safety.checks import JointPath
from vls_steering.safety.motion import MotionState

# Coefficients of u^3, u^4, u^5 from the boundary conditions at u = 1 (rows: value, first, second derivative).
_QUINTIC = np.linalg.inv(np.array([[1.0, 1.0, 1.0], [3.0, 4.0, 5.0], [6.0, 12.0, 20.0]]))
_JOIN_SAMPLES = np.linspace(0.0, 1.0, 9)


class ChunkCurve:
    """Joint waypoints over time; before the first it is not defined, after the last it rests."""

    def __init__(self, times_s: FloatArray, waypoints: FloatArray) -> None:
        """`times_s` (N,) s strictly increasing, `waypoints` (N, 7) rad, N >= 2."""
        times = np.array(times_s)
        times[-1] += times[-1] - times[-2]
        self.start_s, self.end_s = float(times[0]), float(times[-1])
        self._knots_s = times
        self._last = waypoints[-1]
        self._spline = CubicSpline(times, waypoints, bc_type=((2, np.zeros(7)), (1, np.zeros(7))))
        self._velocity, self._acceleration = self._spline.derivative(1), self._spline.derivative(2)

    def at(self, time_s: float) -> MotionState:
        if time_s >= self.end_s:
            return MotionState(self._last, np.zeros(7), np.zeros(7))
        return MotionState(self._spline(time_s), self._velocity(time_s), self._acceleration(time_s))

    def positions(self, times_s: FloatArray) -> FloatArray:
        """(N, 7) rad at (N,) s: the first step's before it, the last one's after it."""
        return np.asarray(self._spline(np.clip(times_s, self._knots_s[0], self.end_s)))

    def path(self, from_s: float) -> JointPath:
        """Knots and midpoints from `from_s` on, where a cubic spline has its extremes or close to them."""
        times = np.sort(np.concatenate([self._knots_s, 0.5 * (self._knots_s[1:] + self._knots_s[:-1])]))
        first = max(int(np.searchsorted(times, from_s)) - 1, 0)
        times = times[first:]
        segments = np.clip(np.searchsorted(self._knots_s, times, side="right") - 1, 0, len(self._knots_s) - 2)
        jerks = 6.0 * self._spline.c[0][segments]
        return JointPath(times, self._spline(times), self._velocity(times), self._acceleration(times), jerks)


@dataclass(frozen=True)
class Join:
    """Quintic from one state at `start_s` to another at `start_s + duration_s`."""

    start_s: float
    duration_s: float
    coefficients: FloatArray  # (6, 7), ascending powers of the share of the duration

    @staticmethod
    def between(start: MotionState, start_s: float, end: MotionState, duration_s: float) -> Join:
        d, dd = duration_s, duration_s**2
        head = np.array([start.positions, d * start.velocities, 0.5 * dd * start.accelerations])
        missing = np.array(
            [
                end.positions - head.sum(axis=0),
                d * end.velocities - head[1] - 2.0 * head[2],
                dd * end.accelerations - 2.0 * head[2],
            ]
        )
        return Join(start_s, d, np.concatenate([head, _QUINTIC @ missing]))

    def at(self, time_s: float) -> MotionState:
        path = self._evaluate(np.array([(time_s - self.start_s) / self.duration_s]))
        return MotionState(path.positions[0], path.velocities[0], path.accelerations[0])

    def path(self) -> JointPath:
        return self._evaluate(_JOIN_SAMPLES)

    def _evaluate(self, u: FloatArray) -> JointPath:
        powers = np.arange(6)
        c, d = self.coefficients, self.duration_s
        basis = u[:, None] ** powers
        first = powers[1:] * basis[:, :5]
        second = powers[2:] * powers[1:5] * basis[:, :4]
        return JointPath(self.start_s + d * u, basis @ c, first @ c[1:] / d, second @ c[2:] / d**2)


@dataclass(frozen=True)
class Reference:
    """What the arm follows until the next chunk: a join, then the chunk's curve; gripper widths step by step."""

    stamp_s: float  # of the chunk's observation
    join: Join
    curve: ChunkCurve
    step_times_s: FloatArray  # (H,) s, stretched
    gripper_widths_m: FloatArray  # (H,)

    @property
    def end_s(self) -> float:
        return max(self.curve.end_s, self.join.start_s + self.join.duration_s)

    def at(self, time_s: float) -> MotionState:
        joined = time_s >= self.join.start_s + self.join.duration_s
        return self.curve.at(time_s) if joined else self.join.at(max(time_s, self.join.start_s))

    def gripper_width_m(self, time_s: float) -> float:
        """Width of the step that is under way at `time_s`."""
        step = int(np.searchsorted(self.step_times_s, time_s))
        return float(self.gripper_widths_m[min(step, len(self.gripper_widths_m) - 1)])
