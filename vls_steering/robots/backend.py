"""What the executor's node asks of an arm; one file per kind of arm fulfils it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from vls_steering.core.types import RobotState, SetPoint
from vls_steering.safety.motion import MotionState
from vls_steering.safety.reasons import ReasonCode


@dataclass(frozen=True)
class Objection:
    """What the arm itself, or its hand, refuses to go on with."""

    reason: ReasonCode
    text: str


@dataclass(frozen=True)
class RecoveryStep:
    """One step back to an arm that can be armed; `run` may take seconds and raises VlsError when it fails."""

    name: str
    run: Callable[[], None]


# The way from a set-point to rest, checked like the set-point: called with the time between two states, it gives that
# of the set-point first and one at rest last.
StopAhead = Callable[[float], Sequence[MotionState]]


class RobotBackend(Protocol):
    """One arm with a gripper.  `state`, `send` and `objection` return at once; one thread at a time calls them."""

    @property
    def command_topics(self) -> Sequence[str]:
        """Topics by which this back end moves the arm itself: whoever else publishes one moves it, too."""
        ...

    def start(self) -> None:
        """Begin to measure; raises VlsError when the arm cannot be reached."""
        ...

    def state(self) -> RobotState | None:
        """The newest measurement, stamped on the clock of the control loop; None before the first."""
        ...

    def engage(self) -> None:
        """Take command of the resting arm, where it is; does nothing when it has it.  Raises VlsError."""
        ...

    def send(self, set_point: SetPoint, stop_ahead: StopAhead) -> bool:
        """Command one control period, checked against every limit by the caller; whether it really was sent.

        An arm whose controller would go on at the last velocity when set-points stop coming is sent `stop_ahead` too.
        """
        ...

    def stop_hand(self) -> None:
        """The fingers stay where they are, whatever was wished, until the arm is engaged again; what is held stays
        held.  Returns at once.
        """
        ...

    def objection(self) -> Objection | None:
        """Why the arm no longer does what it is told, until it is engaged again; None while it does."""
        ...

    def recovery(self) -> Sequence[RecoveryStep]:
        """The steps that clear what the arm objects to, in order.  Called from a thread of their own."""
        ...

    def stop(self) -> None:
        """Release the arm; it stays where the last set-point put it."""
        ...
