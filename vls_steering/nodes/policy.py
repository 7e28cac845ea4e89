"""The policy node: the newest observation and a reward program in, one action chunk per tick out.

Ticks run on a thread of their own, so that joint states and keypoints go on arriving while one is computed.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pydantic import Field, model_validator

from vls_steering.bench.calibration import load_calibration
from vls_steering.core.clocks import MonotonicClock
from vls_steering.core.config import Settings
from vls_steering.core.errors import Refusal, StreamFault
from vls_steering.core.types import ActionChunk, ChunkSource, Keypoints, Observation, RobotState
from vls_steering.msg import Keypoints as KeypointsMessage
from vls_steering.msg import RewardProgram, SteeringStatus
from vls_steering.nodes import topics
from vls_steering.nodes.base import NodeDefinition, RoomNode
from vls_steering.nodes.conversions import chunk_message, header, keypoints_of
from vls_steering.nodes.journal import journaled, origin_of
from vls_steering.nodes.loop import PacedLoop
from vls_steering.nodes.markers import steering_markers
from vls_steering.nodes.run import run_node
from vls_steering.nodes.scheduling import Urgency, go_first
from vls_steering.nodes.sim_robot import JointStateReader
from vls_steering.nodes.stale_objects import stale_object
from vls_steering.nodes.steering_status import SteeringReporter, steering_status_message
from vls_steering.policies.formats import open_policy
from vls_steering.policies.shipped import SHIPPED_POLICY
from vls_steering.rewards import CompiledProgram, Stage, compile_program, parse_program
from vls_steering.rewards.expression import Text, walk
from vls_steering.robots.kinematics import ArmKinematics
from vls_steering.steering import LatencyEstimate, Pilot, SteeringSettings, preset
from vls_steering.steering.chunks import hold_chunk, opened_at
from vls_steering.steering.journal import TapedClock
from vls_steering.steering.rehearsal import rehearse


class PolicyNodeSettings(Settings):
    """The fields of `steering` start from the preset's values; what is set here goes on top."""

    policy: str = Field("", description="weights, a .safetensors with its .json; empty = the policy that comes along")
    preset: str = Field("ours", description="steering method that the settings start from")
    calibration: str = Field(
        "", description="a file of `vls calibrate` for this policy, goes on top of the settings; empty = none"
    )
    unsteered: bool = Field(False, description="run the policy even without a reward program")
    seed: int = Field(0, ge=0, description="seed of the sampler")
    tick_period_s: float = Field(0.1, ge=0.02, le=2.0, description="time between two chunks")
    keypoints_max_age_s: float = Field(0.5, gt=0.0, le=10.0, description="oldest keypoints to plan from")
    object_max_age_s: float = Field(
        10.0, gt=0.0, le=600.0, description="guidance freezes when an object of the stage was seen longer ago"
    )
    object_max_sigma_m: float = Field(
        0.05, gt=0.0, le=1.0, description="guidance freezes when an object of the stage is known worse (deviation)"
    )
    joint_states_max_age_s: float = Field(0.2, gt=0.0, le=10.0, description="oldest joint state to plan from")
    threads: int = Field(1, ge=1, le=64, description="threads of the network; more slow small networks down")
    steering: SteeringSettings = SteeringSettings()

    @model_validator(mode="before")
    @classmethod
    def _start_from_preset(cls, values: Any) -> Any:
        if not isinstance(values, dict) or isinstance(values.get("steering"), SteeringSettings):
            return values
        chosen = preset(values.get("preset", "ours")).model_dump()
        return {**values, "steering": _merged(chosen, values.get("steering", {}))}

    def steering_of(self, policy_sha256: str) -> SteeringSettings:
        """What the policy with this digest is steered with; raises ConfigurationError for another's calibration."""
        if not self.calibration:
            return self.steering
        return load_calibration(Path(self.calibration)).on(self.steering, policy_sha256)


class PolicyBody:
    """Owns the pilot; silent until there is a program, then a chunk or a reason for every tick."""

    def __init__(self, node: RoomNode, settings: PolicyNodeSettings) -> None:
        self._node, self._settings = node, settings
        torch.set_num_threads(settings.threads)
        policy = open_policy(Path(settings.policy) if settings.policy else SHIPPED_POLICY)
        self._space = policy.action_space
        steering = settings.steering_of(policy.sha256)
        clock = TapedClock(MonotonicClock())
        pilot = Pilot(policy, steering, settings.seed, clock)
        self._from_noise_s = rehearse(pilot)  # the first pass through a network is the slowest: not in motion
        node.facts.update(policy=f"{policy.name} {policy.sha256[:12]}", preset=settings.preset)
        origin = origin_of(policy, settings.policy, settings.preset, steering, settings.seed, settings.threads)
        self._pilot = journaled(node, pilot, clock, origin)
        self._joints = JointStateReader(node, ArmKinematics())
        self._lock = threading.Lock()
        self._chunks = node.publisher(topics.ACTION_CHUNK)
        self._statuses = node.publisher(topics.STEERING_STATUS)
        self._markers = node.publisher(topics.STEERING_MARKERS)

    def start(self) -> None:
        self._keypoints: Keypoints | None = None
        self._program: CompiledProgram | None = None
        self._program_is_new = True
        self._stage = 0
        self._refusal = ""
        self._last: ActionChunk | None = None
        self._resting: RobotState | None = None
        self._latency = LatencyEstimate()
        self._latency.add(self._from_noise_s)
        self._ticks = self._misses = self._asked = self._steered = 0
        self._reporter = SteeringReporter()
        node = self._node
        self._joints.start()
        node.subscribe(topics.KEYPOINTS, self._receive_keypoints, expected_hz=10.0)
        node.subscribe(topics.REWARD_PROGRAM, self._receive_program)
        node.report_by(self._reporter.report)
        self._loop = PacedLoop(node, self._settings.tick_period_s, self._tick)

    def stop(self) -> None:
        """Silence: the executor ends the chunk it has and holds."""
        self._loop.end()

    def tear_down(self) -> None:
        pass

    # The tick thread -------------------------------------------------------------------------------------------------

    def _tick(self, now_s: float) -> None:
        with self._lock:
            program, is_new, self._program_is_new = self._program, self._program_is_new, False
            keypoints = self._keypoints
        if is_new:
            self._pilot.reset()
            self._pilot.set_program(program)
            self._stage = self._asked = self._steered = 0
        self._ticks += 1
        self._asked += program is not None
        try:
            observation = self._observe(keypoints, now_s)
        except StreamFault as fault:
            self._report(SteeringStatus(header=header(now_s), reason=str(fault)), program, concern=str(fault))
            return
        if program is None and not self._settings.unsteered:
            self._rest(observation, self._refusal or "there is no reward program", None)
            return
        frozen = self._frozen(program, observation.keypoints)
        if frozen:
            self._rest(observation, frozen, program)
            return
        self._resting = None
        result = self._pilot.tick(observation, self._latency.p95_s, self._ticks)
        self._stage = result.telemetry.stage
        self._steered += result.telemetry.steered
        self._send(result.chunk)
        self._latency.add(self._node.now_s() - observation.stamp_s)
        status = steering_status_message(result, observation_age_s=now_s - observation.stamp_s)
        if status.tick_ms > 1e3 * self._settings.tick_period_s:
            self._misses += 1
            status.reason = "; ".join(part for part in (status.reason, _overrun(result.telemetry.durations_ms)) if part)
        is_hold = result.chunk.source is ChunkSource.HOLD and not status.finished
        self._report(status, program, concern=status.reason if is_hold else "")
        if self._markers.get_subscription_count():
            keep_outs = _kept_clear(program.program.stages[result.telemetry.stage]) if program else frozenset[str]()
            self._markers.publish(steering_markers(result, observation.keypoints, keep_outs))

    def _observe(self, keypoints: Keypoints | None, now_s: float) -> Observation:
        """Raises StreamFault when what it would see is too old to act on."""
        robot = self._joints.newest()
        if robot is None or now_s - robot.stamp_s > self._settings.joint_states_max_age_s:
            raise StreamFault(_stale("joint state", robot, now_s))
        if keypoints is None or now_s - keypoints.stamp_s > self._settings.keypoints_max_age_s:
            raise StreamFault(_stale("keypoints", keypoints, now_s))
        return Observation(robot, keypoints)

    def _frozen(self, program: CompiledProgram | None, keypoints: Keypoints) -> str:
        """Why the current stage cannot be steered by what is known of its objects; empty where it can."""
        if program is None:
            return ""
        stage, settings = program.program.stages[self._stage], self._settings
        return stale_object(stage, keypoints, settings.object_max_age_s, settings.object_max_sigma_m)

    def _rest(self, observation: Observation, reason: str, program: CompiledProgram | None) -> None:
        """Nothing is asked for, for `reason`; once the arm has moved, it is told to stay where it is."""
        if self._last is not None:
            # Always the same place: holding what is measured would follow the arm's sag downwards.
            self._resting = self._resting or observation.robot
            place = replace(observation.robot, tcp_position=self._resting.tcp_position)
            still = Observation(place, observation.keypoints)
            opened = opened_at(self._last, observation)
            hold = hold_chunk(still, self._space.horizon, opened, self._space.step_s, "", 0)
            self._send(hold)
            self._pilot.commit(hold)  # what it planned before is over
        # That nobody has asked for anything is no concern.
        concern = reason if program is not None or self._refusal else ""
        self._report(SteeringStatus(header=header(observation.stamp_s), reason=reason), program, concern)

    def _send(self, chunk: ActionChunk) -> None:
        self._last = replace(chunk, sequence=self._ticks)
        self._chunks.publish(chunk_message(self._last))

    def _report(self, status: SteeringStatus, program: CompiledProgram | None, concern: str) -> None:
        status.sequence, status.deadline_misses = self._ticks, self._misses
        status.share_steered = self._steered / self._asked if self._asked else 0.0
        status.program_sha256 = program.sha256 if program is not None else ""
        self._statuses.publish(status)
        self._reporter.tell(status, concern)
        if status.reason:
            self._node.get_logger().info(status.reason, throttle_duration_sec=5.0)

    # The node's thread -----------------------------------------------------------------------------------------------

    def _receive_keypoints(self, message: KeypointsMessage) -> None:
        self._keypoints = keypoints_of(message)

    def _receive_program(self, message: RewardProgram) -> None:
        """Nothing is taken on trust: the document is parsed and its digest compared."""
        program, refusal = None, ""
        if message.document:
            try:
                program = compile_program(parse_program(message.document))
            except Refusal as rejection:
                refusal = str(rejection)
            if program is not None and program.sha256 != message.sha256:
                program, refusal = None, "the reward program is not the one its digest was computed from"
        with self._lock:
            self._program, self._refusal, self._program_is_new = program, refusal, True


def _merged(base: dict[str, Any], on_top: dict[str, Any]) -> dict[str, Any]:
    """`on_top` over `base`, branch by branch."""
    both = {
        key: _merged(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
        for key, value in on_top.items()
    }
    return {**base, **both}


def _overrun(durations_ms: dict[str, float]) -> str:
    """Which part of a tick that took longer than its period is to blame."""
    parts = {name: spent for name, spent in durations_ms.items() if name != "total"}
    longest = max(parts, key=lambda name: parts[name])
    return f"the tick took {durations_ms['total']:.0f} ms, {parts[longest]:.0f} of them to {longest}"


def _stale(what: str, seen: RobotState | Keypoints | None, now_s: float) -> str:
    return f"no {what} yet" if seen is None else f"{what} of {now_s - seen.stamp_s:.2f} s ago"


def _kept_clear(stage: Stage) -> frozenset[str]:
    """Objects that the stage's safety terms name."""
    return frozenset(node.value for term in stage.safety for node in walk(term.expression) if isinstance(node, Text))


NODE = NodeDefinition("policy", PolicyNodeSettings, PolicyBody)


def main() -> int:
    go_first(Urgency.PLANS)
    return run_node(NODE)


if __name__ == "__main__":
    sys.exit(main())
