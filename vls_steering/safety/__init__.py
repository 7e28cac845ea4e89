"""Safety: chunks in, jerk-limited set-points out, and the reason for everything that is not followed.

`Executor` is the room's door.  More checks are further callables (`ChunkCheck`, `PathCheck`) handed to it.
Imports `core` alone.
"""

from vls_steering.safety.checks import ChunkCheck, Finding, JointPath, PathCheck, Proposal
from vls_steering.safety.chunks import Chunk, DeltaChunk, JointChunk
from vls_steering.safety.clearance import Clearance, clearance_check
from vls_steering.safety.executor import Executor, NotArmed
from vls_steering.safety.kinematics import Kinematics, TcpStates
from vls_steering.safety.limits import FR3_LIMITS, PANDA_LIMITS, ArmLimits, CartesianLimits
from vls_steering.safety.oracle import Violation, tcp_violations, violations
from vls_steering.safety.reasons import REASONS, ReasonCode, Severity
from vls_steering.safety.settings import ExecutorSettings
from vls_steering.safety.status import Band, ExecutorState, SafetyStatus, Verdict
from vls_steering.safety.watchdog import FloodGuard, Watchdog

__all__ = [
    "FR3_LIMITS",
    "PANDA_LIMITS",
    "REASONS",
    "ArmLimits",
    "Band",
    "CartesianLimits",
    "Chunk",
    "ChunkCheck",
    "Clearance",
    "DeltaChunk",
    "Executor",
    "ExecutorSettings",
    "ExecutorState",
    "Finding",
    "FloodGuard",
    "JointChunk",
    "JointPath",
    "Kinematics",
    "NotArmed",
    "PathCheck",
    "Proposal",
    "ReasonCode",
    "SafetyStatus",
    "Severity",
    "TcpStates",
    "Verdict",
    "Violation",
    "Watchdog",
    "clearance_check",
    "tcp_violations",
    "violations",
]
