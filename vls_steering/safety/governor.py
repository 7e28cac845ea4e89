"""From a chunk to a motion the arm may follow, or to the reason why not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vls_steering.core.arrays import FloatArray
from vls_steering.core.errors import VlsError
from vls_steering.core.types import ActionChunk
from vls_steering.safety.checks import (
    ChunkCheck,
    Finding,
    JointPath,
    PathCheck,
    Proposal,
    chunk_checks,
    joint_range_check,
    planned_path_check,
    velocity_ratio,
)
from vls_steering.safety.kinematics import Kinematics
from vls_steering.safety.limits import ArmLimits
from vls_steering.safety.motion import MotionState
from vls_steering.safety.reasons import ReasonCode
from vls_steering.safety.reference import ChunkCurve, Join, Reference
from vls_steering.safety.settings import ExecutorSettings
from vls_steering.safety.status import Band, Verdict

# Durations tried for the join, in units of join_min_s: the shortest comfortable one wins.
_JOIN_FACTORS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)


class _Rejection(Exception):
    """Carries the finding that ends a review."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.text)
        self.finding = finding


class Governor:
    """Reviews chunks: built-in checks first, then the extra ones; chunk checks before any inverse kinematics.

    `plan_checks` see the smooth motion through a chunk's steps and may ask for a stretch in time; `join_checks` see the
    way onto it, which is as it is.
    """

    def __init__(
        self,
        limits: ArmLimits,
        settings: ExecutorSettings,
        kinematics: Kinematics,
        extra_chunk_checks: Sequence[ChunkCheck],
        plan_checks: Sequence[PathCheck],
        join_checks: Sequence[PathCheck],
    ) -> None:
        self._limits = limits
        self._settings = settings
        self._kinematics = kinematics
        self._chunk_checks = (*chunk_checks(settings), *extra_chunk_checks)
        self._plan_checks = (planned_path_check(limits, settings), *plan_checks)
        self._join_checks = (joint_range_check(limits, settings.joint_margin_rad), *join_checks)

    def review(
        self, proposal: Proposal, commanded: MotionState, followed: Reference | None
    ) -> tuple[Verdict, Reference | None]:
        """The verdict on a chunk, and the motion to follow when it is accepted.

        `followed`: what the arm does until then, near which the inverse kinematics looks first.
        """
        try:
            return self._review(proposal, commanded, followed)
        except _Rejection as rejection:
            return Verdict(Band.REJECT, rejection.finding.reason, rejection.finding.text, 0.0), None
        except Exception as error:  # noqa: BLE001 - a check that breaks must stop the chunk, never the control loop
            return Verdict(Band.REJECT, ReasonCode.CHECK_FAILED, f"{type(error).__name__}: {error}", 0.0), None

    def _review(
        self, proposal: Proposal, commanded: MotionState, followed: Reference | None
    ) -> tuple[Verdict, Reference]:
        chunk, now_s = proposal.chunk, proposal.now_s
        findings = [self._judge(check(proposal)) for check in self._chunk_checks]
        first = max(int(np.searchsorted(chunk.times_s, now_s, side="right")) - 1, 0)
        times, waypoints = self._waypoints(proposal, first, commanded, followed)
        natural = ChunkCurve(times, waypoints)
        findings += [self._judge(check(natural.path(now_s))) for check in self._plan_checks]

        worst = max((f for f in findings if f is not None), key=lambda f: f.stretch, default=None)
        stretch = 1.0 if worst is None else worst.stretch
        curve = natural if worst is None else ChunkCurve(now_s + stretch * (times - now_s), waypoints)
        reference = Reference(
            stamp_s=chunk.stamp_s,
            join=self._join(commanded, proposal.commanded_s, curve),
            curve=curve,
            step_times_s=now_s + stretch * (chunk.times_s - now_s),
            gripper_widths_m=chunk.gripper_widths_m,
        )
        if worst is None:
            return Verdict(Band.PASS), reference
        return Verdict(Band.SCALE, worst.reason, worst.text, 1.0 / stretch), reference

    def _judge(self, finding: Finding | None) -> Finding | None:
        """Raises _Rejection for what no admissible stretch cures."""
        if finding is not None and not finding.stretch <= self._settings.max_stretch:
            raise _Rejection(finding)
        return finding

    def _waypoints(
        self, proposal: Proposal, first: int, commanded: MotionState, followed: Reference | None
    ) -> tuple[FloatArray, FloatArray]:
        """Times (N,) and joint positions (N, 7) of the steps from `first` on, at least two of them."""
        chunk = proposal.chunk
        times = chunk.times_s[first:]
        if proposal.joint_positions is not None:
            solutions = proposal.joint_positions[first:]
        elif followed is not None:
            solutions = self._solve(chunk, first, followed.curve.positions(times))
        else:
            solutions = self._solve(chunk, first, np.tile(commanded.positions, (len(times), 1)))
        if len(solutions) > 1:
            return times, solutions
        # A single step left: be there when it is due, but give the join its time.
        due = max(float(times[0]), proposal.now_s + self._settings.join_min_s)
        return np.array([proposal.now_s, due]), np.array([solutions[0], solutions[0]])

    def _solve(self, chunk: ActionChunk, first: int, seeds: FloatArray) -> FloatArray:
        """Inverse kinematics of the steps from `first` on."""
        wanted = chunk.positions[first:]
        try:
            solutions = np.asarray(self._kinematics.solve_path(wanted, chunk.quats_xyzw[first:], seeds))
        except VlsError as error:
            raise _Rejection(Finding(ReasonCode.UNREACHABLE, f"from step {first} on, {error}")) from error
        if not np.isfinite(solutions).all():
            raise _Rejection(Finding(ReasonCode.NOT_FINITE, "the joint solution is not finite"))
        misses = np.linalg.norm(self._kinematics.tcp_states(solutions).positions - wanted, axis=1)
        worst = int(misses.argmax())
        if not misses[worst] <= self._settings.ik_tolerance_m:
            text = f"step {first + worst}: {misses[worst] * 1e3:.1f} mm off its pose"
            raise _Rejection(Finding(ReasonCode.UNREACHABLE, text))
        return solutions

    def _join(self, commanded: MotionState, start_s: float, curve: ChunkCurve) -> Join:
        """The shortest comfortable join onto the curve; the gentlest admissible one when none is comfortable."""
        soonest = max(self._settings.join_min_s, curve.start_s - start_s)
        gentlest, least, objection = None, np.inf, None
        for duration in (factor * soonest for factor in _JOIN_FACTORS):
            join = Join.between(commanded, start_s, curve.at(start_s + duration), duration)
            effort = self._effort(join.path())
            if effort < least:
                objection = next((found for check in self._join_checks if (found := check(join.path()))), None)
                if objection is None:
                    gentlest, least = join, effort
            if least <= self._settings.plan_fraction or start_s + duration > curve.end_s:
                break
        if gentlest is None and objection is not None:
            raise _Rejection(Finding(objection.reason, f"on the way to the chunk: {objection.text}"))
        if gentlest is None or least > 1.0:
            raise _Rejection(Finding(ReasonCode.START_GAP, "the chunk cannot be joined within the limits in use"))
        return gentlest

    def _effort(self, path: JointPath) -> float:
        """Velocity or acceleration over the limits in use, whichever is larger."""
        velocity = velocity_ratio(self._limits, path) / self._settings.velocity_fraction
        usable = self._settings.acceleration_fraction * self._limits.acceleration
        return max(velocity, float((np.abs(path.accelerations) / usable).max()))
