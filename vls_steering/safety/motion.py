"""The commanded motion: jerk-limited by ruckig, and never without a verified way to stop.

Invariant: the state held here always comes with a stop manoeuvre that was checked from end to end.  A new state is
taken only if its own stop passes the same checks; otherwise the arm moves one period along the old stop instead.
By induction no sequence of targets can lead to a state that the limits do not allow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ruckig import (
    ControlInterface,
    InputParameter,
    OutputParameter,
    Result,
    Ruckig,
    RuckigError,
    Synchronization,
    Trajectory,
)

from vls_steering.core.arrays import FloatArray
from vls_steering.safety.checks import Finding, JointPath, PathCheck
from vls_steering.safety.limits import DOF, ArmLimits
from vls_steering.safety.reasons import ReasonCode
from vls_steering.safety.settings import ExecutorSettings

# How far ahead the target lies, in periods and in seconds, whichever is more: ruckig needs some room to meet a moving
# target without chatter, and too much of it rounds the path off.  Measured on a 0.6 rad/s sine, error and jerk are
# smallest here: 1e-4 rad at 10 ms periods, 1e-5 rad at 1 ms.
_LOOKAHEAD_PERIODS = 3
_LOOKAHEAD_S = 0.01
_LONGEST_REACH_S = 0.5
# Within a period of 10 ms the jerk in use can raise an acceleration by as much as the limit, and lower it again.
_PERIOD_SAMPLES = np.array([0.0, 0.25, 0.5, 0.75])
_STOP_SAMPLES = np.array([0.0, 0.1, 0.2, 0.3, 0.45, 0.6, 0.75, 0.9, 1.0])
# Of the turns of the joints' accelerations within one such span the first is looked at: at the jerk that a hand may
# have, its acceleration changes there by a hundredth of its limit.
_TURNS_SPAN_S = 2e-5
_STOP_ATTEMPTS = 3
_GENTLER = 0.9  # than computed: the hardest sample may lie between those looked at
# ruckig refuses a velocity limit of zero; the verified stop enforces the true bound.
_LEAST_VELOCITY = 0.02


@dataclass(frozen=True)
class MotionState:
    """Joint positions rad, velocities rad/s, accelerations rad/s2; (7,) each."""

    positions: FloatArray
    velocities: FloatArray
    accelerations: FloatArray


class _Stop:
    """A stop manoeuvre and how much of it has been executed."""

    def __init__(self, trajectory: Trajectory) -> None:
        self._trajectory = trajectory
        self._elapsed_s = 0.0

    @property
    def over(self) -> bool:
        return bool(self._elapsed_s >= self._trajectory.duration)

    def advance(self, duration_s: float) -> MotionState:
        self._elapsed_s += duration_s
        return MotionState(*(np.array(row) for row in self._trajectory.at_time(self._elapsed_s)))

    def ahead(self, step_s: float) -> list[MotionState]:
        """What is left of it, `step_s` apart; the last state rests, at or within a step after the end."""
        count = max(1, math.ceil((self._trajectory.duration - self._elapsed_s) / step_s - 1e-9))
        times = self._elapsed_s + step_s * np.arange(1, count + 1)
        states = [MotionState(*(np.array(row) for row in self._trajectory.at_time(time_s))) for time_s in times]
        states[-1] = MotionState(states[-1].positions, np.zeros(DOF), np.zeros(DOF))
        return states

    def path_after(self, way: Trajectory, begin_s: float, end_s: float) -> JointPath:
        """The stretch of `way` that leads here, then the whole manoeuvre, as a few samples each, both ends included."""
        before = _moments(way, begin_s, end_s, _PERIOD_SAMPLES)
        times = _moments(self._trajectory, 0.0, self._trajectory.duration, _STOP_SAMPLES)
        rows = np.array([*map(way.at_time, before), *map(self._trajectory.at_time, times)])
        return JointPath(np.concatenate([before - end_s, times]), rows[:, 0], rows[:, 1], rows[:, 2])


def _moments(trajectory: Trajectory, begin_s: float, end_s: float, shares: FloatArray) -> FloatArray:
    """Times to look at from `begin_s` to `end_s`: `shares` of the way, and where a joint's acceleration turns.

    Between two turns every joint's acceleration is linear in time, so that the hand's has no maximum of its own there.
    """
    lengths = np.array([[profile.brake.duration, *profile.t] for profile in trajectory.profiles[0]])
    turns = np.sort(np.cumsum(lengths, axis=1).ravel())
    times = begin_s + shares * (end_s - begin_s)
    turns = turns[(turns > begin_s) & (turns < end_s)]
    _, first = np.unique(np.floor(turns / _TURNS_SPAN_S), return_index=True)
    return np.asarray(np.sort(np.concatenate([times, turns[first]])))


class Motion:
    """One arm's commanded state, advanced by exactly one control period per call."""

    def __init__(self, limits: ArmLimits, settings: ExecutorSettings, guards: Sequence[PathCheck]) -> None:
        self._limits = limits
        self._period_s = settings.control_period_s
        self._least_reach_s = max(_LOOKAHEAD_PERIODS * self._period_s, _LOOKAHEAD_S)
        self._reach_s = self._least_reach_s
        self._velocity_fraction = settings.velocity_fraction
        self._guards = tuple(guards)
        self._acceleration = settings.acceleration_fraction * limits.acceleration
        acceleration = list(self._acceleration)
        jerk = list(settings.jerk_fraction * limits.jerk)

        self._follower = Ruckig(DOF, self._period_s)
        self._follow = InputParameter(DOF)
        self._follow.max_acceleration = acceleration
        self._follow.max_jerk = jerk
        self._output = OutputParameter(DOF)

        self._stopper = Ruckig(DOF)
        self._halt = InputParameter(DOF)
        self._halt.control_interface = ControlInterface.Velocity
        # All joints stop together: the hand brakes along its path instead of swerving off it.
        self._halt.synchronization = Synchronization.Time
        self._halt.max_jerk = jerk
        self._halt.target_velocity = [0.0] * DOF
        self._halt.target_acceleration = [0.0] * DOF
        self.reset(0.5 * (limits.position_lower + limits.position_upper))

    @property
    def lookahead_s(self) -> float:
        """How far ahead of the new state the target of `follow` has to lie: longer while the arm catches up."""
        return self._reach_s - self._period_s

    @property
    def state(self) -> MotionState:
        return self._state

    @property
    def at_rest(self) -> bool:
        return not self._state.velocities.any() and not self._state.accelerations.any()

    def reset(self, positions: FloatArray) -> None:
        """Rest at `positions` (7,) rad."""
        self._reach_s = self._least_reach_s
        self._state = MotionState(np.array(positions, dtype=np.float64), np.zeros(DOF), np.zeros(DOF))
        self._stop = self._plan_stop(self._state)

    def follow(self, target: MotionState) -> bool:
        """Move one period towards `target`, due `lookahead_s` after the new state; False when it braked instead."""
        candidate = self._towards(target)
        stop = self._verified_stop(candidate) if candidate is not None else None
        if candidate is None or stop is None:
            self.brake()
            return False
        self._state, self._stop = candidate, stop
        return True

    def brake(self) -> None:
        """Move one period along the verified stop; stays at rest once there."""
        if self._stop is None or self._stop.over:
            self._state = MotionState(self._state.positions, np.zeros(DOF), np.zeros(DOF))
            return
        self._state = self._stop.advance(self._period_s)

    def stop_ahead(self, step_s: float) -> tuple[MotionState, ...]:
        """The state held here and the verified stop from it, `step_s` apart, to rest; one state when at rest."""
        if self._stop is None or self._stop.over:
            return (self._state,)
        return (self._state, *self._stop.ahead(step_s))

    def _verified_stop(self, candidate: MotionState) -> _Stop | None:
        """A stop from `candidate` that no guard objects to: as hard as the joints can, else as the hand needs it."""
        # A target that stays is met on the trajectory of an earlier call: this period lies somewhere in it.
        way, due_s = self._output.trajectory, self._output.time
        force = 1.0
        for _ in range(_STOP_ATTEMPTS):
            stop = self._plan_stop(candidate, force)
            if stop is None:
                return None
            finding = self._objection(stop.path_after(way, due_s - self._period_s, due_s))
            if finding is None:
                return stop
            if finding.reason is not ReasonCode.TCP_ACCELERATION:
                return None
            # Accelerations grow with the square of the pace.
            force *= _GENTLER * finding.stretch**-2
        return None

    def _objection(self, path: JointPath) -> Finding | None:
        return next((finding for guard in self._guards if (finding := guard(path)) is not None), None)

    def _towards(self, target: MotionState) -> MotionState | None:
        state = self._state
        if not (np.isfinite(target.positions).all() and np.isfinite(target.velocities).all()):
            return None
        lowest, highest = self._limits.velocity_bounds(state.positions)
        lowest = np.minimum(self._velocity_fraction * lowest, -_LEAST_VELOCITY)
        highest = np.maximum(self._velocity_fraction * highest, _LEAST_VELOCITY)
        self._follow.min_velocity, self._follow.max_velocity = list(lowest), list(highest)
        self._follow.current_position = list(state.positions)
        self._follow.current_velocity = list(state.velocities)
        self._follow.current_acceleration = list(state.accelerations)
        self._follow.target_position = list(target.positions)
        self._follow.target_velocity = list(np.clip(target.velocities, 0.99 * lowest, 0.99 * highest))
        self._follow.target_acceleration = [0.0] * DOF
        self._follow.minimum_duration = self._reach_s
        try:
            result = self._follower.update(self._follow, self._output)
        except RuckigError:
            # Rare numerical corner: braking for a period changes the state, and the next attempt succeeds.
            return None
        if result not in (Result.Working, Result.Finished):
            return None
        # A meeting that takes longer than asked for is put off to when it can be kept, and then counted down to:
        # chasing a target that is always just ahead would never catch it.
        meeting_s = self._output.trajectory.duration - self._output.time
        self._reach_s = min(max(meeting_s, self._least_reach_s), _LONGEST_REACH_S)
        rows = (self._output.new_position, self._output.new_velocity, self._output.new_acceleration)
        candidate = MotionState(*(np.array(row) for row in rows))
        return candidate if all(np.isfinite(row).all() for row in vars(candidate).values()) else None

    def _plan_stop(self, state: MotionState, force: float = 1.0) -> _Stop | None:
        self._halt.max_acceleration = list(force * self._acceleration)
        self._halt.current_position = list(state.positions)
        self._halt.current_velocity = list(state.velocities)
        self._halt.current_acceleration = list(state.accelerations)
        trajectory = Trajectory(DOF)
        try:
            result = self._stopper.calculate(self._halt, trajectory)
        except RuckigError:
            return None
        return _Stop(trajectory) if result in (Result.Working, Result.Finished) else None
