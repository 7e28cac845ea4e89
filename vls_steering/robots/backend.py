"""What the executor's node asks of an arm; one file per kind of arm fulfils it."""

from __future__ import annotations

from typing import Protocol

from vls_steering.core.types import RobotState, SetPoint


class RobotBackend(Protocol):
    """One arm with a gripper.  Calls come from one thread at a time."""

    def start(self) -> None:
        """Begin to measure; raises VlsError when the arm cannot be reached."""
        ...

    def state(self) -> RobotState | None:
        """The newest measurement, stamped on the clock of the control loop; None before the first."""
        ...

    def send(self, set_point: SetPoint) -> None:
        """Command one control period.  The caller has checked it against every limit."""
        ...

    def stop(self) -> None:
        """Release the arm; it stays where the last set-point put it."""
        ...
