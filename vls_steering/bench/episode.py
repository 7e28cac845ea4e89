"""One episode of the whole chain in one process.

Cameras, perception, program, pilot, executor and world are the same objects that the nodes run; only the wires differ.

Times are processor times of the one thread that computes: what else this machine is doing, another worker's episode for
one, must not decide who succeeds.  `vls bench latency` measures by the wall clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from vls_steering.bench.clock import Clock, PausedClock
from vls_steering.bench.keep_out import WithKeepOut
from vls_steering.bench.outcome import EpisodeLog, EpisodeResult, refused
from vls_steering.bench.pace import Pace, Streaming
from vls_steering.bench.plant import Plant
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
from vls_steering.sim.tasks import Skill
from vls_steering.sim.world import World
from vls_steering.steering.pilot import Pilot
from vls_steering.steering.settings import SteeringSettings
from vls_steering.steering.splice import LatencyEstimate
from vls_steering.steering.telemetry import TickResult
from vls_steering.vlm import OfflineGrammar, Planner, PlanRequest, plan

SETTLING_FRAMES = 4  # pictures before the instruction is grounded
WRIST_EVERY = 3  # the wrist camera adds to the front one at a third of its rate
_REST_POLL_S = 0.05
_PAUSED, _STREAMING = PausedClock(), Streaming()


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
    clock: Clock = _PAUSED
    pace: Pace = _STREAMING


@dataclass(frozen=True)
class TickView:
    """What an observer of an episode sees after each tick."""

    observation: Observation
    result: TickResult
    full_state: np.ndarray = field(repr=False)


@dataclass(frozen=True)
class Look:
    """Keypoints, and how long the perception needed for them."""

    keypoints: Keypoints
    computing_s: float


class EpisodeRunner:
    """Owns one world, one set of cameras and one policy; runs episodes one after the other."""

    def __init__(self, policy: FrozenPolicy, layout: SceneLayout) -> None:
        self._policy = policy
        self._world = World(layout)
        self._kinematics = ArmKinematics()
        self._rig: CameraRig | None = None
        self._warmed: dict[SteeringSettings, float] = {}  # s that a tick from noise takes

    @property
    def world(self) -> World:
        """The world, for the oracle that draws layouts."""
        return self._world

    def run(self, spec: EpisodeSpec, watch: Callable[[TickView], None] | None = None) -> EpisodeResult:
        """Run to success, to a touch of what is to be kept clear of, to a latched stop or to the time limit."""
        world = self._world
        world.reset(spec.layout)
        eyes = self._eyes(spec)
        keypoints = self._settle(eyes)
        pilot = Pilot(self._policy, spec.steering, spec.seed)
        if spec.instruction is not None:
            try:
                pilot.set_program(plan(PlanRequest(spec.instruction, keypoints), _planner(spec.layout)))
            except Refusal as refusal:
                return refused(str(refusal))
        latency = LatencyEstimate()
        latency.add(spec.clock.delay_s(self._warm_up(pilot, spec, Observation(world.robot_state(), keypoints))))
        limits = _limits(spec.pace)
        executor = Executor(FR3_LIMITS, limits, self._kinematics)
        executor.arm(world.robot_state(), world.stamp_s)
        plant = Plant(world, executor, spec.goal, limits.control_period_s)
        log = EpisodeLog()
        while plant.elapsed_s < spec.limit_s and not plant.over:
            begun_s = plant.elapsed_s
            robot = world.robot_state()
            look = eyes(robot)
            observation = Observation(robot, look.keypoints)
            state = world.full_state() if watch is not None else np.zeros(0)
            started_s = time.thread_time()
            result = pilot.tick(observation, latency.p95_s)
            tick_s = time.thread_time() - started_s
            delay_s = spec.clock.delay_s(look.computing_s + tick_s)
            latency.add(delay_s)
            plant.advance(begun_s + delay_s)
            chunk = spec.pace.executed(result.chunk)
            pilot.commit(chunk)
            plant.submit(chunk)
            log.tick(result, tick_s, delay_s, begun_s)
            if watch is not None:
                watch(TickView(observation, result, state))
            plant.advance(spec.pace.next_look_s(begun_s, delay_s))
            while not (spec.pace.may_look(executor.status().state) or plant.over):
                plant.advance(plant.elapsed_s + _REST_POLL_S)
        return log.result(plant, executor.status(), spec.goal)

    def close(self) -> None:
        """Free the cameras' OpenGL context."""
        if self._rig is not None:
            self._rig.close()

    def _settle(self, eyes: Callable[[RobotState], Look]) -> Keypoints:
        for _ in range(SETTLING_FRAMES):
            keypoints = eyes(self._world.robot_state()).keypoints
        return keypoints

    def _warm_up(self, pilot: Pilot, spec: EpisodeSpec, observation: Observation) -> float:
        """Seconds that a tick from noise takes; measured once, after one that loads and allocates.

        A robot's policy node does the same before it is activated.
        """
        if spec.steering not in self._warmed:
            for _ in range(2):
                started_s = time.thread_time()
                pilot.tick(observation)
                self._warmed[spec.steering] = time.thread_time() - started_s
                pilot.reset()
        return self._warmed[spec.steering]

    def _eyes(self, spec: EpisodeSpec) -> Callable[[RobotState], Look]:
        if spec.privileged:
            return lambda _: Look(true_keypoints(self._world.truth()), 0.0)
        if self._rig is None:
            self._rig = CameraRig(self._world, spec.seed)
        rig, pipeline = self._rig, PerceptionPipeline(PerceptionSettings(), spec.seed)
        rig.reset(spec.layout, spec.seed)
        looks = 0

        def look(robot: RobotState) -> Look:
            nonlocal looks
            cameras = (FRONT_CAMERA, WRIST_CAMERA) if looks % WRIST_EVERY == 0 else (FRONT_CAMERA,)
            looks += 1
            state = self._world.full_state()
            frames = [rig.render(state, camera) for camera in cameras]
            started_s = time.thread_time()
            keypoints = pipeline.update(frames, robot)
            return Look(keypoints, time.thread_time() - started_s)

        return look


def _limits(pace: Pace) -> ExecutorSettings:
    """The executor as it ships; one that trusts a chunk to its end for a method that plans once in half a chunk."""
    shipped = ExecutorSettings()
    if pace.patience_s < shipped.chunk_timeout_s:
        return shipped
    longest_s = ("max_chunk_age_s", "max_step_gap_s", "chunk_timeout_s", "policy_timeout_s")
    return shipped.model_copy(update={name: max(getattr(shipped, name), pace.patience_s) for name in longest_s})


def _planner(layout: SceneLayout) -> Planner:
    """What no camera sees has to be drawn into the program."""
    return OfflineGrammar() if layout.keep_out is None else WithKeepOut(OfflineGrammar(), layout.keep_out)
