"""One episode of the whole chain in one process, with the clock paused while the sampler thinks.

Cameras, perception, program, pilot, executor and world are the same objects that the nodes run; only the wires differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from vls_steering.core.errors import Refusal
from vls_steering.core.types import Keypoints, Observation, RobotState
from vls_steering.perception import PerceptionPipeline, PerceptionSettings
from vls_steering.policies import FrozenPolicy
from vls_steering.robots.kinematics import ArmKinematics
from vls_steering.safety import FR3_LIMITS, Executor, ExecutorSettings
from vls_steering.sim.cameras import CameraRig
from vls_steering.sim.layout import SceneLayout
from vls_steering.sim.model import FRONT_CAMERA, WRIST_CAMERA
from vls_steering.sim.privileged import true_keypoints
from vls_steering.sim.tasks import Skill, SkillScorer
from vls_steering.sim.world import World
from vls_steering.steering.pilot import Pilot
from vls_steering.steering.settings import SteeringSettings
from vls_steering.steering.telemetry import TickResult
from vls_steering.vlm import OfflineGrammar, PlanRequest, plan

TICK_S = 0.1
SETTLING_FRAMES = 4  # pictures before the instruction is grounded
WRIST_EVERY = 3  # the wrist camera adds to the front one at a third of its rate


@dataclass(frozen=True)
class EpisodeSpec:
    """What to run; `goal` is what the scorer looks for, any skill when it is None."""

    layout: SceneLayout
    instruction: str | None  # None: unsteered
    goal: Skill | None
    steering: SteeringSettings
    seed: int
    limit_s: float = 16.0
    privileged: bool = False  # keypoints from the simulator instead of the cameras


@dataclass(frozen=True)
class EpisodeResult:
    """What came of it; failures and refusals are results, not exceptions."""

    success: bool
    completed: tuple[str, ...]  # every skill completed, in order
    seconds: float  # simulated, until success or the end
    collisions: int  # 1 when the obstacle was touched
    refusal: str
    tick_ms: tuple[float, ...]
    network_rows: tuple[int, ...]
    share_steered: float
    passed: int
    scaled: int
    rejected: int
    stop_reason: str


@dataclass(frozen=True)
class TickView:
    """What an observer of an episode sees after each tick."""

    observation: Observation
    result: TickResult
    full_state: np.ndarray = field(repr=False)


class EpisodeRunner:
    """Owns one world, one set of cameras and one policy; runs episodes one after the other."""

    def __init__(self, policy: FrozenPolicy, layout: SceneLayout) -> None:
        self._policy = policy
        self._world = World(layout)
        self._kinematics = ArmKinematics()
        self._rig: CameraRig | None = None

    @property
    def world(self) -> World:
        """The world, for the oracle that draws layouts."""
        return self._world

    def run(self, spec: EpisodeSpec, watch: Callable[[TickView], None] | None = None) -> EpisodeResult:
        """Run to success, to an obstacle touch, to a latched stop or to the time limit."""
        world, scorer = self._world, SkillScorer(spec.layout)
        world.reset(spec.layout)
        eyes = self._eyes(spec)
        limits = ExecutorSettings()
        executor = Executor(FR3_LIMITS, limits, self._kinematics)
        executor.arm(world.robot_state(), world.stamp_s)
        pilot = Pilot(self._policy, spec.steering, spec.seed)
        record = _Record()
        keypoints = self._settle(eyes)
        if spec.instruction is not None:
            try:
                pilot.set_program(plan(PlanRequest(spec.instruction, keypoints), OfflineGrammar()))
            except Refusal as refusal:
                return record.result(success=False, refusal=str(refusal), world=world, executor=executor)
        success = False
        start_s = world.stamp_s
        while world.stamp_s - start_s < spec.limit_s and not success:
            robot = world.robot_state()
            observation = Observation(robot, eyes(robot))
            result = pilot.tick(observation)
            record.tick(result)
            executor.submit(result.chunk, world.stamp_s)
            if watch is not None:
                watch(TickView(observation, result, world.full_state()))
            self._advance(executor, limits.control_period_s)
            success = record.score(scorer.completed(world.truth()), spec.goal)
            if world.obstacle_touches or executor.status().latched:
                success = False
                break
        return record.result(success=success, refusal="", world=world, executor=executor, start_s=start_s)

    def close(self) -> None:
        """Free the cameras' OpenGL context."""
        if self._rig is not None:
            self._rig.close()

    def _settle(self, eyes: Callable[[RobotState], Keypoints]) -> Keypoints:
        for _ in range(SETTLING_FRAMES):
            keypoints = eyes(self._world.robot_state())
        return keypoints

    def _advance(self, executor: Executor, period_s: float) -> None:
        for _ in range(round(TICK_S / period_s)):
            executor.observe(self._world.robot_state())
            self._world.apply(executor.step(self._world.stamp_s))
            self._world.step(period_s)

    def _eyes(self, spec: EpisodeSpec) -> Callable[[RobotState], Keypoints]:
        if spec.privileged:
            return lambda _: true_keypoints(self._world.truth())
        if self._rig is None:
            self._rig = CameraRig(self._world, spec.seed)
        rig, pipeline = self._rig, PerceptionPipeline(PerceptionSettings(), spec.seed)
        rig.reset(spec.layout, spec.seed)
        looks = 0

        def look(robot: RobotState) -> Keypoints:
            nonlocal looks
            cameras = (FRONT_CAMERA, WRIST_CAMERA) if looks % WRIST_EVERY == 0 else (FRONT_CAMERA,)
            looks += 1
            state = self._world.full_state()
            return pipeline.update([rig.render(state, camera) for camera in cameras], robot)

        return look


class _Record:
    """Accumulates an episode's figures."""

    def __init__(self) -> None:
        self._tick_ms: list[float] = []
        self._rows: list[int] = []
        self._completed: list[str] = []
        self._share_steered = 0.0

    def tick(self, result: TickResult) -> None:
        self._tick_ms.append(result.telemetry.durations_ms["total"])
        self._rows.append(result.telemetry.network_rows)
        self._share_steered = result.telemetry.share_steered

    def score(self, completed: frozenset[Skill], goal: Skill | None) -> bool:
        for skill in sorted(completed, key=str):
            if str(skill) not in self._completed:
                self._completed.append(str(skill))
        return bool(completed) if goal is None else goal in completed

    def result(
        self, success: bool, refusal: str, world: World, executor: Executor, start_s: float = 0.0
    ) -> EpisodeResult:
        status = executor.status()
        return EpisodeResult(
            success=success,
            completed=tuple(self._completed),
            seconds=world.stamp_s - start_s,
            collisions=int(world.obstacle_touches > 0),
            refusal=refusal,
            tick_ms=tuple(self._tick_ms),
            network_rows=tuple(self._rows),
            share_steered=self._share_steered,
            passed=status.passed,
            scaled=status.scaled,
            rejected=status.rejected,
            stop_reason=status.reason_text if status.latched else "",
        )
