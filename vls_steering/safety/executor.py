"""The executor: chunks in, one jerk-limited set-point per control period out, and a state that says why.

Pure: no clock, no thread, no middleware; times come in as arguments and one caller at a time uses it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vls_steering.core.errors import ExitCode, VlsError
from vls_steering.core.types import GRIPPER_OPEN_M, RobotState, SetPoint
from vls_steering.safety.checks import ChunkCheck, JointPath, PathCheck, Proposal, joint_range_check, stop_check
from vls_steering.safety.chunks import Chunk, SentHistory, posed
from vls_steering.safety.governor import Governor
from vls_steering.safety.kinematics import Kinematics
from vls_steering.safety.limits import ArmLimits
from vls_steering.safety.motion import Motion, MotionState
from vls_steering.safety.reasons import REASONS, ReasonCode, Severity
from vls_steering.safety.reference import Reference
from vls_steering.safety.retreat import Retreat
from vls_steering.safety.settings import ExecutorSettings
from vls_steering.safety.status import Band, ExecutorState, SafetyStatus, Verdict
from vls_steering.safety.tcp import tcp_path_check
from vls_steering.safety.watchdog import Watchdog

_MOVING = (ExecutorState.TRACKING, ExecutorState.STOPPING)
# Either may mean that the arm leans on something, or on somebody.
_MAY_PRESS = (ReasonCode.TRACKING_ERROR, ReasonCode.EMERGENCY_STOP)
_SILENT = (ExecutorState.UNARMED, ExecutorState.RECOVERING)  # nothing is sent
# Of the Cartesian limits: what is left is for samples between those looked at, and for catching up.
_JOIN_SHARE, _STOP_SHARE = 0.9, 0.97


class NotArmed(VlsError):
    """A set-point was asked for while there is nothing to command from."""

    exit_code = ExitCode.SAFETY_STOP


class Executor:
    """Follows chunks that pass every check and stops, within the limits, for every reason not to.

    `extra_chunk_checks` and `extra_path_checks` join the built-in ones; path checks see the planned joint motion and
    every stop manoeuvre before it may be needed.
    """

    def __init__(
        self,
        limits: ArmLimits,
        settings: ExecutorSettings,
        kinematics: Kinematics,
        extra_chunk_checks: Sequence[ChunkCheck] = (),
        extra_path_checks: Sequence[PathCheck] = (),
    ) -> None:
        self._settings = settings
        self._kinematics = kinematics
        plans, joins, stops = (
            (tcp_path_check(kinematics, limits, settings, share), *extra_path_checks)
            for share in (settings.plan_fraction, _JOIN_SHARE, _STOP_SHARE)
        )
        self._governor = Governor(limits, settings, kinematics, extra_chunk_checks, plans, joins)
        self._motion = Motion(limits, settings, (stop_check(limits, settings), *stops))
        self._history = SentHistory(settings.max_chunk_age_s, settings.control_period_s)
        self._in_range = joint_range_check(limits, settings.joint_margin_rad)
        self._streams = Watchdog(settings.stream_timeouts_s)
        self._state = ExecutorState.UNARMED
        self._reason, self._reason_text = ReasonCode.NONE, ""
        self._reference: Reference | None = None
        self._retreat: Retreat | None = None
        self._scale = 0.0
        self._measured: RobotState | None = None
        self._emergency = False
        self._interruption: Verdict | None = None  # why the recovery under way may not arm
        self._last_verdict: Verdict | None = None
        self._counts = dict.fromkeys(Band, 0)
        self._gaps = self._braked_steps = 0
        self._gripper_width_m = GRIPPER_OPEN_M
        self._now_s = self._last_stamp_s = self._heard_policy_s = self._accepted_s = -math.inf

    def arm(self, robot_state: RobotState, now_s: float, recovered: bool = False, engaged: bool = True) -> Verdict:
        """Take command at rest and clear what was latched.

        From the measured state; an arm that follows set-points already (`engaged`, and some are being sent) goes on
        from the commanded one, because no arm stands exactly where it was sent and the difference would be a step.
        `recovered`: it is the recovery that asks; nobody else may while it goes on.  A rejecting verdict leaves
        everything as it was.
        """
        self._measured = robot_state
        refusal = self.why_not_arm(robot_state, now_s, recovered, engaged)
        if refusal is not None:
            return refusal
        if not self._streams_to(engaged):
            self._motion.reset(robot_state.joint_positions)
        self._history.restart(now_s, self._motion.state.positions)
        # A closed hand keeps its grip; an empty one stays as wide as it is.
        self._gripper_width_m = 0.0 if robot_state.gripper_holds else robot_state.gripper_width_m
        self._reference = None
        self._now_s = self._heard_policy_s = now_s
        self._last_stamp_s = self._accepted_s = -math.inf
        self._streams.start(now_s)
        self._state, self._reason, self._reason_text = ExecutorState.READY, ReasonCode.NONE, ""
        return Verdict(Band.PASS)

    def observe(self, robot_state: RobotState) -> None:
        """The newest joint states; older ones than already seen are ignored."""
        if self._measured is None or robot_state.stamp_s >= self._measured.stamp_s:
            self._measured = robot_state

    def beat(self, stream: str, now_s: float, complaint: str = "") -> None:
        """A watched stream (a key of `stream_timeouts_s`) was in order at `now_s`.

        A `complaint` says what is wrong with it since; it becomes the reason when the stream's time-out passes.
        """
        self._streams.beat(stream, now_s, complaint)

    def refuse(self, text: str, now_s: float) -> Verdict:
        """Something arrived that is no chunk at all; counted as a rejected one."""
        self._heard_policy_s = now_s
        return self._note(_refused(ReasonCode.MALFORMED, text))

    def submit(self, chunk: Chunk, now_s: float) -> Verdict:
        """Review a chunk and follow it from now on when it is accepted; the previous one goes on when it is not."""
        self._heard_policy_s = now_s
        verdict, reference = self._review(chunk, now_s)
        self._note(verdict)
        if reference is not None:
            if self._reason is not ReasonCode.NONE and self._reason is not ReasonCode.STOP_REQUESTED:
                self._gaps += 1
            self._reference, self._scale = reference, verdict.scale
            self._last_stamp_s, self._accepted_s = chunk.stamp_s, now_s
            self._state, self._reason, self._reason_text = ExecutorState.TRACKING, ReasonCode.NONE, ""
        return verdict

    def step(self, now_s: float) -> SetPoint:
        """The set-point for now; call once every control period.  Raises NotArmed while nothing may be sent."""
        if self._state in _SILENT:
            raise NotArmed("the executor is not armed", "Call arm() with a fresh joint state and look at its verdict")
        self._watch(now_s)
        if self._state is ExecutorState.TRACKING:
            self._track(now_s)
        elif self._state is ExecutorState.STOPPING:
            self._come_to_rest(now_s)
        else:
            self._motion.brake()
        self._now_s = max(now_s, self._now_s)
        state = self._motion.state
        self._history.add(now_s, state.positions)
        return SetPoint(now_s, state.positions, state.velocities, self._gripper_width_m)

    def stop_ahead(self, step_s: float) -> tuple[MotionState, ...]:
        """From the last set-point to rest along the verified stop, `step_s` apart: what an arm is to do that hears no
        more.  One state when the set-point rests.
        """
        return self._motion.stop_ahead(step_s)

    def stop(self, reason: ReasonCode, now_s: float, text: str = "") -> None:
        """Stop within the limits from the next step on; whether it latches is a property of the reason."""
        self._halt(reason, text or REASONS[reason].meaning)

    def set_emergency_stop(self, engaged: bool, now_s: float) -> None:
        """The emergency stop's switch: stops and latches while engaged; releasing it does not arm."""
        self._emergency = engaged
        if engaged:
            self.stop(ReasonCode.EMERGENCY_STOP, now_s)

    def begin_recovery(self, robot_state: RobotState | None, now_s: float) -> Verdict:
        """Send nothing while the back end brings the arm back; refused while it moves or the stop is pressed."""
        if self._emergency:
            return _refused(ReasonCode.EMERGENCY_STOP, "the emergency stop is engaged")
        if self._state in _MOVING or self._state is ExecutorState.RECOVERING:
            return _refused(ReasonCode.NOT_AT_REST, f"the executor is {self._state.name.lower()}")
        if robot_state is not None:
            self.observe(robot_state)
        self._reference, self._interruption, self._state = None, None, ExecutorState.RECOVERING
        return Verdict(Band.PASS)

    def fail_recovery(self, text: str, now_s: float) -> None:
        """The recovery ended without arming: the arm is unarmed and what kept it from arming is the reason.

        Does nothing when no recovery is under way.
        """
        if self._state is not ExecutorState.RECOVERING:
            return
        if self._interruption is None:
            self._reason, self._reason_text = ReasonCode.RECOVERY_FAILED, text
        self._state = ExecutorState.UNARMED

    def disarm(self) -> None:
        """The back end has given command back: nothing is sent any more, and the reason stays."""
        self._reference, self._state = None, ExecutorState.UNARMED

    def status(self) -> SafetyStatus:
        """What an operator needs to know, as of the last step."""
        tracking = self._state is ExecutorState.TRACKING and self._reference is not None
        return SafetyStatus(
            stamp_s=self._now_s,
            state=self._state,
            reason=self._reason,
            reason_text=self._reason_text,
            latched=self._latched,
            passed=self._counts[Band.PASS],
            scaled=self._counts[Band.SCALE],
            rejected=self._counts[Band.REJECT],
            gaps=self._gaps,
            braked_steps=self._braked_steps,
            chunk_age_s=self._now_s - self._last_stamp_s,
            joint_state_age_s=math.inf if self._measured is None else self._now_s - self._measured.stamp_s,
            scale=self._scale if tracking else 0.0,
            last_verdict=self._last_verdict,
        )

    @property
    def _latched(self) -> bool:
        return self._reason is not ReasonCode.NONE and REASONS[self._reason].severity is not Severity.RESUMES

    def why_not_arm(
        self, robot_state: RobotState, now_s: float, recovered: bool = False, engaged: bool = True
    ) -> Verdict | None:
        """The refusal that `arm` would answer with, or None."""
        s = self._settings
        age = now_s - robot_state.stamp_s
        fastest = float(np.abs(robot_state.joint_velocities).max())
        path = JointPath(np.zeros(1), robot_state.joint_positions[None], np.zeros((1, 7)), np.zeros((1, 7)))
        out_of_range = self._in_range(path)
        if self._emergency:
            return _refused(ReasonCode.EMERGENCY_STOP, "the emergency stop is engaged")
        if self._state in _MOVING:
            return _refused(ReasonCode.NOT_AT_REST, "the arm is following a chunk or stopping")
        if self._state is ExecutorState.RECOVERING and not recovered:
            return _refused(ReasonCode.NOT_AT_REST, "the arm is being recovered; wait until that has ended")
        if self._state is ExecutorState.RECOVERING and self._interruption is not None:
            return self._interruption
        if age > s.joint_state_timeout_s:
            return _refused(ReasonCode.JOINT_STATES_SILENT, f"the joint state is {age:.3f} s old")
        if age < -s.max_clock_skew_s:
            return _refused(ReasonCode.CLOCK_SKEW, f"the joint state is {-age:.3f} s in the future")
        if fastest > s.rest_velocity_rad_s:
            return _refused(ReasonCode.NOT_AT_REST, f"a joint moves at {fastest:.3f} rad/s")
        if out_of_range is not None:
            return _refused(out_of_range.reason, out_of_range.text)
        joint, gap = self._gap(robot_state)
        if self._streams_to(engaged) and gap > s.max_standing_error_rad:
            where = f"joint {joint} stands {gap:.3f} rad from where it was sent, at most {s.max_standing_error_rad:g}"
            return _refused(ReasonCode.TRACKING_ERROR, f"{where}; let go of the arm and arm again, or recover_and_arm")
        return None

    def _streams_to(self, engaged: bool) -> bool:
        """Whether an arm follows the set-points of this state."""
        return engaged and self._state not in _SILENT

    def _gap(self, robot_state: RobotState) -> tuple[int, float]:
        """The joint, 1..7, that is farthest from where it was sent, and how far, rad."""
        gaps = np.abs(robot_state.joint_positions - self._motion.state.positions)
        joint = int(gaps.argmax())
        return joint + 1, float(gaps[joint])

    def _note(self, verdict: Verdict) -> Verdict:
        self._last_verdict = verdict
        self._counts[verdict.band] += 1
        return verdict

    def _review(self, chunk: Chunk, now_s: float) -> tuple[Verdict, Reference | None]:
        if self._state in _SILENT:
            return _refused(ReasonCode.NOT_ARMED, REASONS[ReasonCode.NOT_ARMED].meaning), None
        if self._latched:
            return _refused(ReasonCode.HELD, f"held for {self._reason.name}: {self._reason_text}"), None
        fault = self._stream_fault(now_s)
        if fault is not None:
            return _refused(*fault), None
        commanded = self._motion.state
        try:
            tcp, _ = self._kinematics.tcp_pose(commanded.positions)
            plan = posed(chunk, self._kinematics, self._history)
        except Exception as error:  # noqa: BLE001 - what breaks down on a chunk must stop the chunk, never the loop
            return _refused(ReasonCode.CHECK_FAILED, f"{type(error).__name__}: {error}"), None
        # The commanded state belongs to the last step, one period ago at most when the next step is still to come.
        since_s = max(self._now_s, now_s - self._settings.control_period_s)
        proposal = Proposal(plan.chunk, now_s, tcp, min(since_s, now_s), self._last_stamp_s, plan.joint_positions)
        return self._governor.review(proposal, commanded, self._reference)

    def _track(self, now_s: float) -> None:
        reference = self._reference
        if reference is None:
            raise RuntimeError("tracking without a reference")
        time_s = now_s + self._settings.lead_s
        try:
            followed = self._motion.follow(reference.at(time_s + self._motion.lookahead_s))
        except Exception as error:  # noqa: BLE001 - whatever breaks here must end in a stop, never in a dead loop
            self._motion.brake()
            self._halt(ReasonCode.INTERNAL, f"{type(error).__name__}: {error}")
            return
        self._braked_steps += not followed
        width = reference.gripper_width_m(time_s)
        # Between the two thresholds the hand keeps its last command.
        if width < self._settings.gripper_close_below_m:
            self._gripper_width_m = 0.0
        elif width > self._settings.gripper_open_above_m:
            self._gripper_width_m = GRIPPER_OPEN_M
        if time_s >= reference.end_s:
            self._halt(ReasonCode.CHUNK_ENDED, "the arm rests at the chunk's last step")

    def _come_to_rest(self, now_s: float) -> None:
        if self._retreat is None:
            self._motion.brake()
        else:
            self._retreat.step(self._motion, self._measured, now_s)
            self._retreat = None if self._retreat.over else self._retreat
        if self._retreat is None and self._motion.at_rest:
            self._state = self._rest_state()

    def _watch(self, now_s: float) -> None:
        """Stop for the most serious thing that is wrong now; at rest and idle nothing has to be alive."""
        s = self._settings
        if self._latched or self._state is ExecutorState.READY:
            return
        if now_s < self._now_s - s.max_clock_skew_s:
            self._halt(ReasonCode.CLOCK_SKEW, f"time went back by {self._now_s - now_s:.3f} s")
        elif now_s - self._now_s > s.control_stall_s:
            self._halt(ReasonCode.CONTROL_STALLED, f"{now_s - self._now_s:.3f} s between two control steps")
        elif (fault := self._stream_fault(now_s) or self._deviation()) is not None:
            self._halt(*fault)
        elif self._reason is ReasonCode.STOP_REQUESTED:
            return
        elif (silence := now_s - self._heard_policy_s) > s.policy_timeout_s:
            self._halt(ReasonCode.POLICY_SILENT, f"no chunk for {silence:.2f} s")
        elif self._state is ExecutorState.TRACKING and (wait := now_s - self._accepted_s) > s.chunk_timeout_s:
            self._halt(*self._why_no_chunk(wait))

    def _stream_fault(self, now_s: float) -> tuple[ReasonCode, str] | None:
        s = self._settings
        if self._measured is None:
            return ReasonCode.JOINT_STATES_SILENT, "no joint state was ever received"
        age = now_s - self._measured.stamp_s
        if age > s.joint_state_timeout_s:
            return ReasonCode.JOINT_STATES_SILENT, f"the last joint state is {age:.3f} s old"
        if age < -s.max_clock_skew_s:
            return ReasonCode.CLOCK_SKEW, f"the joint state is {-age:.3f} s in the future"
        stream = self._streams.expired(now_s)
        if stream is None:
            return None
        if complaint := self._streams.complaint(stream):
            return ReasonCode.STREAM_FAULTY, complaint
        return ReasonCode.STREAM_SILENT, f"{stream}: silent for {self._streams.silence_s(stream, now_s):.2f} s"

    def _deviation(self) -> tuple[ReasonCode, str] | None:
        if self._measured is None:
            return None
        joint, gap = self._gap(self._measured)
        if gap <= self._settings.max_deviation_rad:
            return None
        return ReasonCode.TRACKING_ERROR, f"joint {joint} is {gap:.3f} rad from its set-point"

    def _why_no_chunk(self, wait_s: float) -> tuple[ReasonCode, str]:
        """The true reason for a missing chunk: what the last one was rejected for, when it was."""
        last = self._last_verdict
        if last is not None and not last.accepted:
            return last.reason, f"no good chunk for {wait_s:.2f} s; the last one: {last.text}"
        return ReasonCode.CHUNK_TIMEOUT, f"no chunk for {wait_s:.2f} s"

    def _halt(self, reason: ReasonCode, text: str) -> None:
        """Begin to stop; the first reason stays unless a graver one comes.

        A latched one stays always, but the emergency stop outranks every other: whatever came first, a person pressed.
        """
        resumes = REASONS[reason].severity is Severity.RESUMES
        if self._state is ExecutorState.RECOVERING:
            if not resumes:
                self._interrupt_recovery(reason, text)
            return
        keeps = self._reason is not ReasonCode.NONE and resumes and reason is not ReasonCode.STOP_REQUESTED
        outranks = reason is ReasonCode.EMERGENCY_STOP and self._reason is not ReasonCode.EMERGENCY_STOP
        if (self._latched or keeps) and not outranks:
            return
        self._reason, self._reason_text, self._reference = reason, text, None
        if self._state is ExecutorState.UNARMED:
            return
        self._retreat = Retreat(self._settings) if reason in _MAY_PRESS else None
        rests = self._motion.at_rest and self._retreat is None
        self._state = self._rest_state() if rests else ExecutorState.STOPPING

    def _interrupt_recovery(self, reason: ReasonCode, text: str) -> None:
        """The back end's step is carried through, and the arm stays unarmed afterwards."""
        if self._interruption is None or reason is ReasonCode.EMERGENCY_STOP:
            self._interruption = _refused(reason, f"during the recovery: {text}")
            self._reason, self._reason_text = reason, text

    def _rest_state(self) -> ExecutorState:
        if REASONS[self._reason].severity is Severity.FAULT:
            return ExecutorState.FAULT
        return ExecutorState.READY if self._reason is ReasonCode.STOP_REQUESTED else ExecutorState.HOLDING


def _refused(reason: ReasonCode, text: str) -> Verdict:
    return Verdict(Band.REJECT, reason, text, 0.0)
