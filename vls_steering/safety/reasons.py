"""Reason codes: why a chunk was not passed as it was, or why the arm stands still."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from types import MappingProxyType


class ReasonCode(IntEnum):
    """Numbers are part of the message interface: never reuse one.  `REASONS` tells what each means."""

    NONE = 0
    # Found in a chunk (10-59).
    NOT_ARMED = 10
    HELD = 11
    STALE_CHUNK = 12
    FUTURE_CHUNK = 13
    DUPLICATE_CHUNK = 14
    OUT_OF_ORDER = 15
    CHUNK_EXPIRED = 16
    BAD_HORIZON = 17
    BAD_STEP_TIMES = 18
    NOT_FINITE = 19
    BAD_ORIENTATION = 20
    BAD_GRIPPER_WIDTH = 21
    START_GAP = 22
    WORKSPACE = 23
    TILT = 24
    STEP_SPEED = 25
    UNREACHABLE = 26
    JOINT_RANGE = 27
    JOINT_VELOCITY = 28
    JOINT_ACCELERATION = 29
    JOINT_JERK = 30
    CHECK_FAILED = 31
    MALFORMED = 32
    TCP_SPEED = 33
    TCP_ACCELERATION = 34
    ELBOW_SPEED = 35
    SINGULARITY = 36
    SELF_COLLISION = 37
    KEEP_OUT = 38
    # Stops that end by themselves with the next good chunk (60-69).
    CHUNK_ENDED = 60
    CHUNK_TIMEOUT = 61
    STOP_REQUESTED = 62
    # Stops that hold until somebody arms again (70-89).
    POLICY_SILENT = 70
    STREAM_SILENT = 71
    CONTROL_STALLED = 72
    SHUTDOWN = 73
    CHUNK_FLOOD = 74
    SECOND_PUBLISHER = 75
    GRIPPER_FAILED = 76
    STREAM_FAULTY = 77
    HELD_BY_OPERATOR = 78
    # Faults: the arm, a clock or a person; the cause must go before arming (90-).
    EMERGENCY_STOP = 90
    JOINT_STATES_SILENT = 91
    CLOCK_SKEW = 92
    TRACKING_ERROR = 93
    INTERNAL = 94
    NOT_AT_REST = 95
    ROBOT_FAULT = 96
    RECOVERY_FAILED = 97


class Severity(Enum):
    """What follows a stop for this reason."""

    RESUMES = "resumes with the next good chunk"
    LATCHES = "holds until armed again"
    FAULT = "fault: holds until armed again, refused while the cause lasts"


@dataclass(frozen=True)
class Reason:
    severity: Severity
    meaning: str
    cure: str


def _rejected(meaning: str, cure: str) -> Reason:
    return Reason(Severity.RESUMES, meaning, cure)


def _latched(meaning: str, cure: str) -> Reason:
    return Reason(Severity.LATCHES, meaning, cure)


def _fault(meaning: str, cure: str) -> Reason:
    return Reason(Severity.FAULT, meaning, cure)


_RECOVER = "remove the cause, then recover_and_arm"
_CLOCKS = "compare the clocks of the hosts (chrony) and use_sim_time of every node"
_PACE = "slow the policy down or raise the matching fraction"
_POSTURE = "choose another posture or path"
_REGENERATE = "the policy asks for what the arm must not do: look at the chunk, its units and its frame"

REASONS: Mapping[ReasonCode, Reason] = MappingProxyType(
    {
        ReasonCode.NONE: _rejected("nothing to report", "nothing"),
        ReasonCode.NOT_ARMED: _rejected("a chunk came before the executor was armed", "arm first"),
        ReasonCode.HELD: _rejected("a chunk came while a stop is latched", "remove the latched cause, then arm"),
        ReasonCode.STALE_CHUNK: _rejected("the chunk's observation is too old", "speed the policy up, check clocks"),
        ReasonCode.FUTURE_CHUNK: _rejected("the chunk is stamped in the future", _CLOCKS),
        ReasonCode.DUPLICATE_CHUNK: _rejected("the chunk's stamp was already accepted", "find who sends twice"),
        ReasonCode.OUT_OF_ORDER: _rejected("the chunk is older than one already accepted", "one policy per executor"),
        ReasonCode.CHUNK_EXPIRED: _rejected("all steps of the chunk lie in the past", "speed the policy up"),
        ReasonCode.BAD_HORIZON: _rejected("too many steps", "send at most max_horizon steps"),
        ReasonCode.BAD_STEP_TIMES: _rejected("steps start before their stamp, too late, or too far apart", _CLOCKS),
        ReasonCode.NOT_FINITE: _rejected("a number is not finite", _REGENERATE),
        ReasonCode.BAD_ORIENTATION: _rejected("a quaternion is not of unit length", "normalise the orientations"),
        ReasonCode.BAD_GRIPPER_WIDTH: _rejected("a gripper width is far outside the hand's range", _REGENERATE),
        ReasonCode.START_GAP: _rejected("the chunk does not start where the arm is", "replan from the measured state"),
        ReasonCode.WORKSPACE: _rejected("a step leaves the workspace box or goes below the table", _REGENERATE),
        ReasonCode.TILT: _rejected("the hand would tilt too far from straight down", _REGENERATE),
        ReasonCode.STEP_SPEED: _rejected("the TCP would move too fast between two steps", _PACE),
        ReasonCode.UNREACHABLE: _rejected("no joint position reaches a step", "keep the task inside the arm's reach"),
        ReasonCode.JOINT_RANGE: _rejected("a joint would come too close to its stop", _POSTURE),
        ReasonCode.JOINT_VELOCITY: _rejected("a joint would move too fast where it is", _PACE),
        ReasonCode.JOINT_ACCELERATION: _rejected("a joint would accelerate too hard", _PACE),
        ReasonCode.JOINT_JERK: _rejected("a joint's acceleration would change too fast", _PACE),
        ReasonCode.CHECK_FAILED: _rejected("a check or the kinematics broke down on this chunk", "report the text"),
        ReasonCode.MALFORMED: _rejected("lengths or numbers make no chunk of it", "look at what the policy node sends"),
        ReasonCode.TCP_SPEED: _rejected("the hand would move or turn too fast between two steps", _PACE),
        ReasonCode.TCP_ACCELERATION: _rejected("the hand would be accelerated too hard", _PACE),
        ReasonCode.ELBOW_SPEED: _rejected("the elbow would swing too fast", _PACE),
        ReasonCode.SINGULARITY: _rejected("the arm would come too close to a singular posture", _POSTURE),
        ReasonCode.SELF_COLLISION: _rejected("two parts of the arm would come too close to each other", _POSTURE),
        ReasonCode.KEEP_OUT: _rejected("the arm would come too close to the table or a keep-out box", _POSTURE),
        ReasonCode.CHUNK_ENDED: _rejected("the chunk ran out before the next one came", "replan more often"),
        ReasonCode.CHUNK_TIMEOUT: _rejected("no good chunk for chunk_timeout_s", "replan more often"),
        ReasonCode.STOP_REQUESTED: _rejected("the task ended", "send the next chunk"),
        ReasonCode.POLICY_SILENT: _latched("the policy sent nothing at all", "restart the policy node, then arm"),
        ReasonCode.STREAM_SILENT: _latched("a watched stream went silent (the text names it)", "restart it, then arm"),
        ReasonCode.CONTROL_STALLED: _latched(
            "the control loop itself stood still", "free a core for it, then recover_and_arm"
        ),
        ReasonCode.SHUTDOWN: _latched("the executor is being shut down", "start it again"),
        ReasonCode.CHUNK_FLOOD: _latched("chunks come faster than max_chunk_hz", "find who sends them, then arm"),
        ReasonCode.SECOND_PUBLISHER: _latched("a second node publishes chunks or set-points", "stop it, then arm"),
        ReasonCode.GRIPPER_FAILED: _latched(
            "the hand refused or failed a command", "home or free the hand, then recover_and_arm"
        ),
        ReasonCode.STREAM_FAULTY: _latched(
            "what a watched stream delivers cannot be used (the text says why)", "mend the camera, then arm"
        ),
        ReasonCode.HELD_BY_OPERATOR: _latched("somebody asked for a hold", "arm when the arm may move again"),
        ReasonCode.EMERGENCY_STOP: _fault("the emergency stop was pressed", "make the cell safe, release it, then arm"),
        ReasonCode.JOINT_STATES_SILENT: _fault(
            "no fresh joint states", "check the robot connection, then recover_and_arm"
        ),
        ReasonCode.CLOCK_SKEW: _fault("joint states come from the future, or time went back", _CLOCKS),
        ReasonCode.TRACKING_ERROR: _fault("the arm is far from where it was sent", "look for a collision, then arm"),
        ReasonCode.INTERNAL: _fault("the executor could not compute a set-point", "report the text, then arm"),
        ReasonCode.NOT_AT_REST: _fault("armed while the arm moves", "wait until it rests, then arm"),
        ReasonCode.ROBOT_FAULT: _fault("the arm itself stopped, or is gone (the text says why)", _RECOVER),
        ReasonCode.RECOVERY_FAILED: _fault("a step of the recovery failed (the text names it)", _RECOVER),
    }
)
