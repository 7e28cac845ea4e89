"""What surrounds the pilot in one process: picture -> keypoints before it, chunk -> governor -> arm after it.

The world waits while anything thinks, so a slow method disturbs nothing but the time it takes.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from vls_steering.bench.episode import SETTLING_FRAMES
from vls_steering.bench.pace import TICK_S
from vls_steering.bench.score import goal_of
from vls_steering.core.errors import ConfigurationError
from vls_steering.core.types import ActionChunk, Keypoints, Observation
from vls_steering.perception import PerceptionPipeline, PerceptionSettings
from vls_steering.rewards import CompiledProgram
from vls_steering.robots.kinematics import ArmKinematics
from vls_steering.safety import FR3_LIMITS, Executor, ExecutorSettings
from vls_steering.sim.cameras import CameraRig
from vls_steering.sim.model import FRONT_CAMERA
from vls_steering.sim.scenes import draw_layout
from vls_steering.sim.world import World
from vls_steering.vlm import OfflineGrammar, PlanRequest, plan


@dataclass(frozen=True)
class Sight:
    """One observation and what it cost."""

    observation: Observation
    perception_ms: float  # PerceptionPipeline.update; rendering is not counted: a camera does it


@dataclass(frozen=True)
class Delivery:
    """What it cost to hand a chunk on."""

    message_ms: float  # building and validating an ActionChunk from its arrays; serialisation is the middleware's
    governor_ms: float  # Executor.submit


class Chain:
    """World, camera, perception and executor of one scene; close it to free the camera's OpenGL context."""

    def __init__(self, scene: str, instruction: str, seed: int) -> None:
        goal = goal_of(instruction)
        if goal is None:
            raise ConfigurationError(f"{instruction!r} names no single object to work on", "Say: pick up the red cube")
        self._scene, self._instruction, self._target = scene, instruction, goal.target
        self._seed = seed
        self._episodes = 0
        self._world = World(draw_layout(scene, seed, goal.target))
        self._rig = CameraRig(self._world, seed)
        self._kinematics = ArmKinematics()
        self._limits = ExecutorSettings()

    def begin(self) -> CompiledProgram:
        """Draw the next layout, arm, ground the instruction in what the camera sees."""
        layout = draw_layout(self._scene, self._seed + self._episodes, self._target)
        self._episodes += 1
        self._world.reset(layout)
        self._rig.reset(layout, layout.seed)
        self._perception = PerceptionPipeline(PerceptionSettings(), layout.seed)
        self._executor = Executor(FR3_LIMITS, self._limits, self._kinematics)
        self._executor.arm(self._world.robot_state(), self._world.stamp_s)
        for _ in range(SETTLING_FRAMES):
            keypoints, _ = self._perceive()
        return plan(PlanRequest(self._instruction, keypoints), OfflineGrammar())

    @property
    def over(self) -> bool:
        """The obstacle was touched or the executor has latched a stop: nothing more to learn here."""
        return self._world.obstacle_touches > 0 or self._executor.status().latched

    def look(self) -> Sight:
        keypoints, spent_ms = self._perceive()
        return Sight(Observation(self._world.robot_state(), keypoints), spent_ms)

    def act(self, chunk: ActionChunk) -> Delivery:
        """Hand the chunk to the executor and let the world go on for one tick."""
        began = time.perf_counter()
        message = ActionChunk(**vars(chunk))
        built = time.perf_counter()
        self._executor.submit(message, self._world.stamp_s)
        reviewed = time.perf_counter()
        period_s = self._limits.control_period_s
        for _ in range(round(TICK_S / period_s)):
            self._executor.observe(self._world.robot_state())
            self._world.apply(self._executor.step(self._world.stamp_s))
            self._world.step(period_s)
        return Delivery(1e3 * (built - began), 1e3 * (reviewed - built))

    def close(self) -> None:
        self._rig.close()

    def _perceive(self) -> tuple[Keypoints, float]:
        frame = self._rig.render(self._world.full_state(), FRONT_CAMERA)
        robot = self._world.robot_state()
        began = time.perf_counter()
        keypoints = self._perception.update([frame], robot)
        return keypoints, 1e3 * (time.perf_counter() - began)
