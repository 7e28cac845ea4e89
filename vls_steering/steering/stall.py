"""Notices that the hand has come to rest where it should not."""

from __future__ import annotations

import numpy as np

from vls_steering.core.types import Observation
from vls_steering.steering.settings import StallSettings


class StallWatch:
    """True once the hand has stayed within `radius_m` for `after_s`, then again after as long again.

    Warm starts repeat what they did: a lineage that hovers, or whose chunks the executor refuses, would
    go on for ever.  Opening or closing the gripper counts as movement.
    """

    def __init__(self, settings: StallSettings) -> None:
        self._settings = settings
        self._rest: Observation | None = None

    def stalled(self, observation: Observation) -> bool:
        """Look at one observation."""
        if self._rest is None or self._moved(self._rest, observation):
            self._rest = observation
            return False
        if observation.stamp_s - self._rest.stamp_s < self._settings.after_s:
            return False
        self._rest = observation
        return True

    def _moved(self, before: Observation, now: Observation) -> bool:
        distance = float(np.linalg.norm(now.robot.tcp_position - before.robot.tcp_position))
        fingers = abs(now.robot.gripper_width_m - before.robot.gripper_width_m)
        return distance > self._settings.radius_m or fingers > self._settings.fingers_m or now.stamp_s < before.stamp_s
