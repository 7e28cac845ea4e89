"""What the sampler acts upon: the world under the executor, with the scorer looking on."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np

from vls_steering.core.types import ActionChunk
from vls_steering.safety import Executor
from vls_steering.sim.tasks import Skill, SkillScorer
from vls_steering.sim.world import SceneTruth, World

SCORED_EVERY_S = 0.1  # the scorer's predicates need at least this rate


class Plant:
    """Goes on in simulated time whether or not anybody thinks; `over` when there is nothing more to wait for."""

    def __init__(self, world: World, executor: Executor, goal: Skill | None, control_period_s: float) -> None:
        self._world = world
        self._executor = executor
        self._goal = goal
        self._period_s = control_period_s
        self._scorer = SkillScorer(world.layout)
        self._start_s = self._scored_s = world.stamp_s
        self.completed: dict[str, float] = {}  # skill -> s from the start
        self.interventions: Counter[str] = Counter()  # reason -> chunks scaled or rejected for it
        self.reached = False
        self.closest_m = math.inf  # of the fingertips to the goal's object
        self.truth: SceneTruth = world.truth()

    @property
    def elapsed_s(self) -> float:
        return self._world.stamp_s - self._start_s

    @property
    def success(self) -> bool:
        """The goal was reached and nothing forbidden happened on the way."""
        return self.reached and not self.truth.violated

    @property
    def over(self) -> bool:
        """Success, a touch of what was to be kept clear of, or a stop that somebody has to release."""
        return self.reached or self.truth.violated or self._executor.status().latched

    def submit(self, chunk: ActionChunk) -> None:
        """Hand a chunk to the executor now, however old it is."""
        verdict = self._executor.submit(chunk, self._world.stamp_s)
        if verdict.reason:
            self.interventions[verdict.reason.name] += 1

    def advance(self, until_s: float) -> None:
        """Run the control loop up to `until_s` from the start, or until it is over."""
        while self.elapsed_s < until_s - 0.5 * self._period_s and not self.over:
            self._executor.observe(self._world.robot_state())
            self._world.apply(self._executor.step(self._world.stamp_s))
            self._world.step(self._period_s)
            if self._world.stamp_s - self._scored_s > SCORED_EVERY_S - 0.5 * self._period_s:
                self._score()

    def _score(self) -> None:
        self._scored_s = self._world.stamp_s
        self.truth = self._world.truth()
        for skill in sorted(self._scorer.completed(self.truth), key=str):
            self.completed.setdefault(str(skill), self.elapsed_s)
        self.reached = bool(self.completed) if self._goal is None else str(self._goal) in self.completed
        if self._goal is not None:
            distance = np.linalg.norm(self.truth.positions[self._goal.target] - self.truth.robot.tcp_position)
            self.closest_m = min(self.closest_m, float(distance))
