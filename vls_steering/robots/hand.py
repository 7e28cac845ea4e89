"""The Franka Hand beside the control loop: its commands block for a second, so they run on a thread of their own.

The newest wish wins: a width that was asked for and replaced before the hand was free is never commanded.  A stop
forgets it and goes past the command under way, on a connection of its own: franka-rs holds one back until then.
"""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import Field

from vls_steering.core.config import Settings
from vls_steering.core.errors import ShapeError
from vls_steering.core.types import GRIPPER_OPEN_M

CLOSED_M = 0.005  # fingers that meet hold nothing
RETRY_S = 0.05


class HandSettings(Settings):
    """How the hand opens and grips."""

    speed_m_s: float = Field(0.1, ge=0.01, le=0.2, description="Speed of both fingers together")
    force_n: float = Field(30.0, ge=5.0, le=70.0, description="Force of a grasp; the hand's continuous force is 70 N")


class Gripper(Protocol):
    """The commands of `franka.Gripper`; each blocks until the hand rests and raises when it cannot be carried out."""

    def grasp(
        self, width: float, speed: float, force: float, epsilon_inner: float, epsilon_outer: float, /
    ) -> bool: ...

    def move(self, width: float, speed: float, /) -> bool: ...

    def stop(self) -> bool: ...

    def read_once(self) -> Any: ...


@dataclass(frozen=True)
class HandState:
    width_m: float
    holds: bool


class Hand:
    """Follows the gripper width of the set-points; closes with force below half of the opening."""

    def __init__(self, gripper: Gripper, settings: HandSettings, brake: Gripper) -> None:
        """`brake` is the connection that stops go over."""
        self._gripper, self._settings, self._brake = gripper, settings, brake
        self._changed = threading.Condition()  # guards all of these
        self._wish: float | None = None
        self._done: float | None = None
        self._under_way: float | None = None  # the width that the hand is being moved to
        self._stopped, self._stops = False, 0
        self._ending = False
        self._refusal = ""  # of the last command; empty after one that was carried out
        self._blindness = ""  # why the hand cannot be read; empty while it can
        self.state: HandState | None = None
        self._threads = [
            threading.Thread(target=work, name=f"hand {work.__name__}", daemon=True)
            for work in (self._measure, self._command)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def failure(self) -> str:
        """What is wrong with the hand; empty while it obeys."""
        return self._refusal or self._blindness

    def wish(self, width_m: float) -> None:
        """The width that the hand is to have; returns at once.  Nothing is wished between `stop` and `resume`."""
        if width_m == self._wish:
            return
        with self._changed:
            if self._stopped:
                return
            if self._wish is None and self._has(width_m):
                self._done = width_m  # arming moves no finger
            self._wish = width_m
            self._changed.notify_all()

    def stop(self) -> None:
        """The fingers stay where they are, whatever was wished; what the hand holds it goes on holding.

        Returns at once.
        """
        with self._changed:
            self._stopped, self._wish, self._done = True, None, None
            self._stops += 1
            going_to_m, state = self._under_way, self.state
        holds = state is not None and state.holds
        # A stop ends the force of a grasp as well: one that has succeeded, or is about to say so, must not get it.
        if going_to_m is not None and not (holds and _closes(going_to_m)):
            threading.Thread(target=self._stop_fingers, name="hand stop", daemon=True).start()

    def resume(self) -> None:
        """Take wishes again."""
        with self._changed:
            self._stopped = False

    def close(self) -> None:
        """Stop commanding; a command under way is carried out by the hand itself."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(timeout=1.0)

    def _measure(self) -> None:
        while not self._ending:
            try:
                read = self._gripper.read_once()
                width_m = float(read.width)
                if not math.isfinite(width_m):
                    raise ShapeError(f"it reports a width of {width_m} m")
            except Exception as error:  # noqa: BLE001 - whatever the binding raises: the hand is not there
                self._blindness = f"the hand cannot be read: {error}"
                time.sleep(RETRY_S)
                continue
            self._blindness = ""
            self.state = HandState(width_m, bool(read.is_grasped))

    def _has(self, width_m: float) -> bool:
        state = self.state
        return state is not None and (abs(state.width_m - width_m) < CLOSED_M or (state.holds and _closes(width_m)))

    def _stop_fingers(self) -> None:
        try:
            self._brake.stop()
        except Exception as error:  # noqa: BLE001 - whatever the binding raises: the command was refused
            self._refusal = f"the hand refused to stop: {error}"

    def _command(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ending or self._wish != self._done)
                if self._ending:
                    return
                if self._wish is None:
                    self._done = None
                    continue
                wish, stops = self._wish, self._stops
                self._under_way = wish
            refusal = self._carry_out(wish)
            with self._changed:
                self._under_way = None
                # What was stopped was not refused, and not done.
                if stops == self._stops:
                    self._refusal, self._done = refusal, wish

    def _carry_out(self, width_m: float) -> str:
        """Why it failed; a grasp that found nothing is no failure of the hand."""
        closes = _closes(width_m)
        settings = self._settings
        try:
            if closes:
                # Anything between closed and open counts as held; the policy does not know the object's width.
                middle = GRIPPER_OPEN_M / 2
                self._gripper.grasp(middle, settings.speed_m_s, settings.force_n, middle - CLOSED_M, middle)
                return ""
            moved = self._gripper.move(min(width_m, GRIPPER_OPEN_M), settings.speed_m_s)
        except Exception as error:  # noqa: BLE001 - whatever the binding raises: the command was refused
            return f"the hand refused to {'grasp' if closes else 'open'}: {error}"
        return "" if moved else "the hand did not open"


def _closes(width_m: float) -> bool:
    return width_m < GRIPPER_OPEN_M / 2
