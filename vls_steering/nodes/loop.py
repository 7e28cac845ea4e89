"""A periodic loop on a thread of its own, paced by a node's clock."""

from __future__ import annotations

import threading
from collections.abc import Callable

from vls_steering.nodes.base import RoomNode
from vls_steering.nodes.ros_clock import RosClock

JOIN_WITHIN_S = 5.0
# Stamps of simulated time come from sums of periods: a tick this early is the tick that was waited for.
EARLY_S = 1e-4


class PacedLoop:
    """Calls `step(now_s)` once a period of the ROS clock, never twice for one instant.

    A late call is not caught up with: the next one is due a period later.  When the clock stands still for `patience_s`
    of wall time, `stalled()` is called instead.  An exception in either ends the loop and fails the node.
    """

    def __init__(
        self,
        node: RoomNode,
        period_s: float,
        step: Callable[[float], None],
        stalled: Callable[[], None] = lambda: None,
        patience_s: float = 1.0,
    ) -> None:
        self._node = node
        self._period_s = period_s
        self._step, self._stalled = step, stalled
        self._clock = RosClock(node, patience_s)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"{node.get_name()} loop", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Return when the last step has."""
        self._ending.set()
        self._clock.close()
        if threading.current_thread() is not self._thread:
            self._thread.join(JOIN_WITHIN_S)
            if self._thread.is_alive():
                raise TimeoutError(f"a step of {self._thread.name} took longer than {JOIN_WITHIN_S:g} s")

    def _run(self) -> None:
        try:
            self._pace()
        except Exception as error:  # noqa: BLE001 - the border of the thread: the node must learn of it
            self._node.fail(error)

    def _pace(self) -> None:
        due_s = self._clock.now_s()
        while not self._ending.is_set():
            self._clock.sleep_until(due_s - EARLY_S)
            if self._ending.is_set():
                return
            now_s = self._clock.now_s()
            if now_s < due_s - self._period_s - EARLY_S:
                due_s = now_s  # the clock was set back: start over from there
            if now_s < due_s - EARLY_S:
                self._stalled()
                continue
            self._step(now_s)
            due_s = max(due_s + self._period_s, now_s + 0.5 * self._period_s)
