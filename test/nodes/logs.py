"""Logs as the policy node and `vls record` leave them, made in the test's process without a graph."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.serialization import serialize_message
from std_msgs.msg import String

from vls_steering.core.clocks import MonotonicClock
from vls_steering.core.types import ActionChunk, Observation
from vls_steering.nodes import topics
from vls_steering.nodes.conversions import (
    chunk_message,
    joint_state_message,
    keypoints_message,
    stamp_seconds,
    time_message,
)
from vls_steering.nodes.journal import origin_of
from vls_steering.nodes.mcap_file import McapFile
from vls_steering.policies.base import make_example_observation
from vls_steering.policies.checkpoint import load_policy
from vls_steering.rewards import compile_program
from vls_steering.steering import Pilot, preset
from vls_steering.steering.journal import JournaledPilot, TapedClock
from vls_steering.vlm import OfflineGrammar, PlanRequest, plan

Said = tuple[topics.Topic[Any], Any]
SECOND_NS = 1_000_000_000


def steered_run(weights: Path, ticks: int = 4, seed: int = 3) -> list[Said]:
    """Observations, journal and chunks of a pilot that follows an instruction in the example scene, in order."""
    steering = preset("ours").model_copy(update={"particles": 3})
    policy = load_policy(weights)
    clock, said = TapedClock(MonotonicClock()), list[Said]()
    pilot = JournaledPilot(
        Pilot(policy, steering, seed, clock),
        clock,
        origin_of(policy, str(weights), "ours", steering, seed, threads=1),
        lambda line: said.append((topics.STEERING_JOURNAL, String(data=line))),
    )
    scene = make_example_observation()
    pilot.reset()
    pilot.set_program(
        compile_program(plan(PlanRequest("pick up the red cube", scene.keypoints), OfflineGrammar()).program)
    )
    for tick in range(ticks):
        stamp_s = stamp_seconds(time_message(1e9 + tick / 9.7))
        robot = replace(scene.robot, stamp_s=stamp_s, tcp_position=scene.robot.tcp_position + np.sin(tick) / 97.0)
        keypoints = replace(scene.keypoints, stamp_s=stamp_s)
        said.append((topics.JOINT_STATES, joint_state_message(robot)))
        said.append((topics.KEYPOINTS, keypoints_message(keypoints)))
        result = pilot.tick(Observation(robot, keypoints), 0.03, sequence=tick + 5)
        said.append((topics.ACTION_CHUNK, sent(result.chunk, tick + 5)))
    return said


def sent(chunk: ActionChunk, sequence: int) -> Any:
    return chunk_message(replace(chunk, sequence=sequence))


def write_log(path: Path, said: Iterable[Said], namespace: str = "") -> Path:
    """One message a second."""
    with McapFile(path) as file:
        for second, (topic, message) in enumerate(said):
            file.add(f"{namespace}/{topic.name}", topic.type, second * SECOND_NS, serialize_message(message))
    return path
