"""A formula that goes on beyond a chunk: what was measured since its stage began is remembered and progressed.

A chunk is a second or two; `eventually(p, before=8 s)` is judged over the executed past and the predicted chunk.  At
every tick what the past has settled drops out, and the rest steers (formula progression: Bacchus & Kabanza, "Planning
for temporally extended goals", 1998).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from vls_steering.core.types import Observation
from vls_steering.rewards.context import Context, Past
from vls_steering.rewards.rollout import Rollout, Scene

# Observations closer to one another than this add nothing to a formula about motions of a hand.
MIN_INTERVAL_S = 0.02
# What is remembered costs time at every tick: beyond this many samples every second one is dropped, but never the
# first, from which windows are counted, nor the latest.
MOST_SAMPLES = 256


class Recalling(Protocol):
    """A stage that can be told of its past."""

    def at_rest(self, scene: Scene) -> Context: ...

    def score(self, rollout: Rollout, scene: Scene, sharpness: float = ..., past: Past | None = ...) -> Tensor: ...

    def safety(self, rollout: Rollout, scene: Scene, past: Past | None = ...) -> Tensor: ...

    def safety_now(self, scene: Scene, past: Past | None = ...) -> float: ...

    def least_robustness(self, rollout: Rollout, scene: Scene, past: Past | None = ...) -> Tensor: ...


class StageMemory:
    """One stage with its measured past, from the observation at which it became current.

    One tick: `memory.observe(observation)`, then the memory is asked in place of the stage.
    """

    def __init__(self, stage: Recalling) -> None:
        self._stage = stage
        self._samples: list[tuple[float, Context]] = []
        self._past: Past | None = None

    def observe(self, observation: Observation) -> None:
        """Take one observation in; a clock that went back starts the stage over."""
        stamp = observation.stamp_s
        if self._samples and stamp < self._samples[-1][0]:
            self._samples = []
            self._past = None
        scene = Scene.from_observation(observation, dtype=torch.float64)
        if self._samples:
            last_stamp, last = self._samples[-1]
            if stamp - last_stamp < MIN_INTERVAL_S:
                return
            scene = replace(scene, velocity=(scene.tcp - last.scene.tcp) / (stamp - last_stamp))
        self._samples.append((stamp, self._stage.at_rest(scene)))
        if len(self._samples) > MOST_SAMPLES:
            self._samples = [*self._samples[:-1:2], self._samples[-1]]
        self._past = Past(tuple(c for _, c in self._samples), tuple(s - stamp for s, _ in self._samples))

    def past(self) -> Past | None:
        """The samples with their times from the latest one; None before the first observation."""
        return self._past

    def score(self, rollout: Rollout, scene: Scene) -> Tensor:
        """(K,) smooth score in the light of the past."""
        return self._stage.score(rollout, scene, past=self._past)

    def safety(self, rollout: Rollout, scene: Scene) -> Tensor:
        """(K,) m, exact robustness of the safety conditions as far as the chunk can still change it."""
        return self._stage.safety(rollout, scene, past=self._past)

    def least_robustness(self, rollout: Rollout, scene: Scene) -> Tensor:
        """(K,) exact robustness of the worst condition in the light of the past, in units of score."""
        return self._stage.least_robustness(rollout, scene, past=self._past)

    def safety_now(self, scene: Scene) -> float:
        """`safety` of standing still, m."""
        return self._stage.safety_now(scene, past=self._past)
