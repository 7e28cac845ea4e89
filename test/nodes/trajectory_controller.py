"""joint_trajectory_controller's interpolation, for whoever sends to one: splines from its own desired state on.

As ros2_controllers documents it for `interpolate_from_desired_state: true`: quintic between points that carry
positions, velocities and accelerations; behind the last point its position and its velocity are what the arm is told
for ever.
"""

from __future__ import annotations

from typing import Any

import numpy as np

State = tuple[np.ndarray, np.ndarray, np.ndarray]  # positions rad, velocities rad/s, accelerations rad/s2


class TrajectoryController:
    """Times are of any one clock."""

    def __init__(self, positions: np.ndarray) -> None:
        rest = np.zeros_like(positions)
        self._knots: list[tuple[float, State]] = [(0.0, (positions, rest, rest))]

    def take(self, now_s: float, trajectory: Any) -> None:
        """A trajectory_msgs/JointTrajectory without a stamp arrives: it replaces what was followed."""
        knots = [(now_s, self.at(now_s))]
        for point in trajectory.points:
            due_s = now_s + point.time_from_start.sec + 1e-9 * point.time_from_start.nanosec
            assert due_s > knots[-1][0], "the controller refuses times that do not increase"
            rows = (np.array(row) for row in (point.positions, point.velocities, point.accelerations))
            knots.append((due_s, tuple(rows)))  # type: ignore[arg-type]
        self._knots = knots

    def at(self, time_s: float) -> State:
        """What the arm is told at `time_s`."""
        for (from_s, before), (to_s, after) in zip(self._knots, self._knots[1:], strict=False):
            if time_s < to_s:
                return _quintic(before, after, to_s - from_s, time_s - from_s)
        return self._knots[-1][1]


def _quintic(before: State, after: State, duration_s: float, time_s: float) -> State:
    d = duration_s
    edge = np.array([[1, d, d**2], [0, 1, 2 * d], [0, 0, 2]])
    far = np.array([[d**3, d**4, d**5], [3 * d**2, 4 * d**3, 5 * d**4], [6 * d, 12 * d**2, 20 * d**3]])
    near = np.array([before[0], before[1], before[2] / 2])
    c = np.concatenate([near, np.linalg.solve(far, np.array(after) - edge @ near)])
    t = time_s ** np.arange(6)
    velocity = np.arange(1, 6) @ (t[:5, None] * c[1:])
    acceleration = (np.arange(2, 6) * np.arange(1, 5)) @ (t[:4, None] * c[2:])
    return t @ c, velocity, acceleration
