"""After a stop that may be a collision: the hold moves to where the arm really is, so that it stops pushing.

A compliant arm presses in proportion to how far its set-point lies inside of what it leans on.  So the commanded state
brakes first, then waits until the arm rests, and is then led to the measured state.  That happens once: an arm that
rests below its set-point because of what it carries must not be followed down.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from vls_steering.core.types import RobotState
from vls_steering.safety.motion import Motion, MotionState
from vls_steering.safety.reference import Join
from vls_steering.safety.settings import ExecutorSettings

# In free air the arm is still on its way to its last set-point; against something it rests at once.
_SETTLED_WITHIN_S = 0.3
# The way back is smooth, and no harder than this at its hardest, so that all joints together spare the hand.
_ACCELERATION_RAD_S2 = 3.0
_SHORTEST_S = 0.2
_PEAK = 10.0 / math.sqrt(3.0)  # acceleration of a quintic from rest to rest over distance / duration^2
# What a check does not let through must not keep the executor from its hold.
_LATE_S = 0.5
# Nearer than this it is where the arm is: less than a newton of any arm that is compliant.
_ARRIVED_RAD = 5e-4


class Retreat:
    """One way back, from the stop that calls for it until `over`."""

    def __init__(self, settings: ExecutorSettings) -> None:
        self._settings = settings
        self._rests_since_s = math.inf  # the commanded state
        self._way: tuple[Join, MotionState] | None = None  # and the rest at its end
        self.over = False

    def step(self, motion: Motion, measured: RobotState | None, now_s: float) -> None:
        """Move `motion` by one period; `now_s` is when its new state is due."""
        if self._way is None:
            motion.brake()
            if motion.at_rest:
                self._choose(motion.state, measured, now_s)
            return
        join, rest = self._way
        end_s = join.start_s + join.duration_s
        missing = float(np.abs(rest.positions - motion.state.positions).max())
        if now_s > end_s and (missing < _ARRIVED_RAD or now_s > end_s + _LATE_S):
            motion.brake()
            self.over = motion.at_rest
        else:
            due_s = now_s + motion.lookahead_s
            motion.follow(join.at(due_s) if due_s < end_s else rest)

    def _choose(self, commanded: MotionState, measured: RobotState | None, now_s: float) -> None:
        """The measured state as soon as the arm rests; nothing to go back to when nobody knows where it is."""
        self._rests_since_s = min(self._rests_since_s, now_s)
        if measured is None or now_s - measured.stamp_s > self._settings.joint_state_timeout_s:
            self.over = True
            return
        moves = float(np.abs(measured.joint_velocities).max()) > self._settings.rest_velocity_rad_s
        if moves and now_s - self._rests_since_s < _SETTLED_WITHIN_S:
            return
        distance = float(np.abs(measured.joint_positions - commanded.positions).max())
        if distance < _ARRIVED_RAD:
            self.over = True
            return
        duration_s = max(_SHORTEST_S, math.sqrt(_PEAK * distance / _ACCELERATION_RAD_S2))
        rest = replace(commanded, positions=measured.joint_positions)
        self._way = (Join.between(commanded, now_s, rest, duration_s), rest)
