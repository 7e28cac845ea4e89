"""The Franka Hand beside the control loop: its commands block for a second, so they run on a thread of their own.

The newest wish wins: a width that was asked for and replaced before the hand was free is never commanded.
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

    def read_once(self) -> Any: ...


@dataclass(frozen=True)
class HandState:
    width_m: float
    holds: bool


class Hand:
    """Follows the gripper width of the set-points; closes with force below half of the opening."""

    def __init__(self, gripper: Gripper, settings: HandSettings) -> None:
        self._gripper, self._settings = gripper, settings
        self._changed = threading.Condition()
        self._wish: float | None = None
        self._done: float | None = None
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
        """The width that the hand is to have; returns at once."""
        if width_m == self._wish:
            return
        with self._changed:
            if self._wish is None and self.state is not None and abs(self.state.width_m - width_m) < CLOSED_M:
                self._done = width_m  # arming moves no finger
            self._wish = width_m
            self._changed.notify_all()

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

    def _command(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ending or self._wish != self._done)
                if self._ending:
                    return
                wish = self._wish
            if wish is None:
                continue
            self._refusal = self._carry_out(wish)
            self._done = wish

    def _carry_out(self, width_m: float) -> str:
        """Why it failed; a grasp that found nothing is no failure of the hand."""
        closes = width_m < GRIPPER_OPEN_M / 2
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
