"""A node's ROS clock behind core.clocks.Clock, for loops that own a thread."""

from __future__ import annotations

import threading
import time

from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.node import Node

NANOSECONDS = 1e9


class RosClock:
    """Simulated time when the node uses it, the host's otherwise: the clock that all stamps are of.

    Simulated time can stand still.  `sleep_until` therefore gives up after `patience_s` of wall time; that the stamp
    was not reached then shows in `now_s`.  /clock is received by the node's own thread, so only other threads may
    sleep here.
    """

    def __init__(self, node: Node, patience_s: float) -> None:
        self._clock = node.get_clock()
        self._simulated = bool(node.get_parameter("use_sim_time").value)
        self._patience_s = patience_s
        self._moved = threading.Condition()
        self._woken = False
        # Told by the clock itself: a second subscription to /clock would cost another 100 callbacks a second.
        any_jump = JumpThreshold(
            min_forward=Duration(nanoseconds=1), min_backward=Duration(nanoseconds=-1), on_clock_change=True
        )
        self._handle = self._clock.create_jump_callback(any_jump, post_callback=self._jumped)

    def now_s(self) -> float:
        return float(self._clock.now().nanoseconds / NANOSECONDS)

    def sleep_until(self, stamp_s: float) -> None:
        """Return at `stamp_s`, after `patience_s` of wall time without it, or when woken."""
        give_up_s = time.monotonic() + self._patience_s
        with self._moved:
            while (early_s := stamp_s - self.now_s()) > 0 and not self._woken:
                left_s = give_up_s - time.monotonic()
                if left_s <= 0:
                    return
                self._moved.wait(left_s if self._simulated else min(early_s, left_s))

    def wake(self) -> None:
        """End every present and future sleep: the loop is to look whether it should stop."""
        with self._moved:
            self._woken = True
            self._moved.notify_all()

    def close(self) -> None:
        self.wake()
        self._handle.unregister()

    def _jumped(self, _jump: object) -> None:
        with self._moved:
            self._moved.notify_all()
