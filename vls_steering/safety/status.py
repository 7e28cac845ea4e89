"""What the executor says about itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum

from vls_steering.safety.reasons import ReasonCode


class ExecutorState(IntEnum):
    """Numbers are part of the message interface."""

    UNARMED = 0  # nothing is sent
    READY = 1  # armed, at rest, waiting for a chunk
    TRACKING = 2  # following a chunk
    STOPPING = 3  # decelerating within the limits
    HOLDING = 4  # at rest after a stop; `latched` tells whether arming is needed
    FAULT = 5  # at rest, the arm, a clock or a person objected
    RECOVERING = 6  # the back end brings the arm back to where it can be armed; nothing is sent


class Band(Enum):
    PASS = "pass"
    SCALE = "scale"
    REJECT = "reject"


@dataclass(frozen=True)
class Verdict:
    """The answer to one chunk: pass, scale in time or reject, and why."""

    band: Band
    reason: ReasonCode = ReasonCode.NONE
    text: str = ""
    scale: float = 1.0  # share of the chunk's own pace it is played at: 1 as sent, 0 not at all

    @property
    def accepted(self) -> bool:
        return self.band is not Band.REJECT


@dataclass(frozen=True)
class SafetyStatus:
    """One line of the executor's diary; ages in seconds, infinite when there was never one."""

    stamp_s: float
    state: ExecutorState
    reason: ReasonCode
    reason_text: str
    latched: bool
    passed: int
    scaled: int
    rejected: int
    gaps: int  # stops because the next chunk was late, resumed without arming
    braked_steps: int  # control periods in which following would have left no verified stop
    chunk_age_s: float  # since the observation of the chunk being followed
    joint_state_age_s: float
    scale: float
    last_verdict: Verdict | None
