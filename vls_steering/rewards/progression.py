"""A formula that goes on beyond a chunk: what was measured since its stage began is remembered and progressed.

A chunk is a second or two; `eventually(p, before=8 s)` is judged over the executed past and the predicted chunk.  At
every tick what the past has settled drops out, and the rest steers (formula progression: Bacchus & Kabanza, "Planning
for temporally extended goals", 1998).
"""

from __future__ import annotations

from dataclasses import replace

import torch

from vls_steering.core.types import Observation
from vls_steering.rewards.compile import CompiledStage
from vls_steering.rewards.context import Context, Past
from vls_steering.rewards.rollout import Scene

# Observations closer to one another than this add nothing to a formula about motions of a hand.
MIN_INTERVAL_S = 0.02


class StageMemory:
    """The measured past of one stage, from the observation at which it became current.

    One tick: `memory.observe(observation)`, then `stage.score(rollout, scene, past=memory.past())`.
    """

    def __init__(self, stage: CompiledStage) -> None:
        self._stage = stage
        self._samples: list[tuple[float, Context]] = []

    def observe(self, observation: Observation) -> None:
        """Take one observation in; a clock that went back starts the stage over."""
        stamp = observation.stamp_s
        if self._samples and stamp < self._samples[-1][0]:
            self._samples = []
        scene = Scene.from_observation(observation, dtype=torch.float64)
        if self._samples:
            last_stamp, last = self._samples[-1]
            if stamp - last_stamp < MIN_INTERVAL_S:
                return
            scene = replace(scene, velocity=(scene.tcp - last.scene.tcp) / (stamp - last_stamp))
        self._samples.append((stamp, self._stage.at_rest(scene)))

    def past(self) -> Past | None:
        """The samples with their times from the latest one; None before the first observation."""
        if not self._samples:
            return None
        now = self._samples[-1][0]
        return Past(tuple(c for _, c in self._samples), tuple(stamp - now for stamp, _ in self._samples))
