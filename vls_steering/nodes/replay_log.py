"""What a replay needs of a log: one graph's journal, its chunks, and what was published of what the policy saw."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from vls_steering.core.errors import ConfigurationError
from vls_steering.core.types import Observation, RobotState
from vls_steering.nodes import topics
from vls_steering.nodes.conversions import keypoints_of, robot_state_of, stamp_seconds
from vls_steering.nodes.mcap_log import Logged
from vls_steering.steering.journal import observation_json, observation_of

ChunkKey = tuple[int, int, int]  # stamp and sequence


@dataclass
class GraphLog:
    """The messages of one graph; those with a stamp by it, in seconds."""

    lines: list[str] = field(default_factory=list)  # of the journal
    chunks: dict[ChunkKey, Any] = field(default_factory=dict)
    joint_states: dict[float, Any] = field(default_factory=dict)
    keypoints: dict[float, Any] = field(default_factory=dict)

    def take_line(self, message: Any) -> None:
        self.lines.append(message.data)

    def take_chunk(self, message: Any) -> None:
        self.chunks[chunk_key(message)] = message

    def take_joint_state(self, message: Any) -> None:
        self.joint_states[stamp_seconds(message.header.stamp)] = message

    def take_keypoints(self, message: Any) -> None:
        self.keypoints[stamp_seconds(message.header.stamp)] = message


_TAKEN: tuple[tuple[topics.Topic[Any], Callable[[GraphLog, Any], None]], ...] = (
    (topics.STEERING_JOURNAL, GraphLog.take_line),
    (topics.ACTION_CHUNK, GraphLog.take_chunk),
    (topics.JOINT_STATES, GraphLog.take_joint_state),
    (topics.KEYPOINTS, GraphLog.take_keypoints),
)


def chunk_key(message: Any) -> ChunkKey:
    return message.header.stamp.sec, message.header.stamp.nanosec, message.sequence


def graph_log(log: Iterable[Logged], namespace: str) -> GraphLog:
    """The one graph with a journal, or that of the namespace; raises ConfigurationError when there is none such."""
    graphs: dict[str, GraphLog] = {}
    for logged in log:
        for topic, take in _TAKEN:
            if logged.is_of(topic):
                take(graphs.setdefault(logged.namespace_of(topic), GraphLog()), logged.message(topic))
    found = [name for name, graph in graphs.items() if graph.lines]
    wanted = f"/{namespace.strip('/')}" if namespace else ""
    if not found:
        cure = "Record the graph with `vls record` of this version, from before its instruction on"
        raise ConfigurationError(f"the log has no {topics.STEERING_JOURNAL.name} topic", cure)
    if wanted and wanted not in found:
        raise ConfigurationError(f"the log has no journal of namespace {wanted}", f"It has: {', '.join(found)}")
    if not wanted and len(found) > 1:
        raise ConfigurationError("the log has several graphs", f"Choose --namespace: {', '.join(found)}")
    return graphs[wanted or found[0]]


@dataclass
class Witness:
    """How many of the observations in the journal others saw too: a journal alone could tell anything."""

    seen: int = 0  # published, and the same
    unseen: int = 0  # not in the log: joint states are best effort
    contradicted: int = 0


def witness(graph: GraphLog) -> Witness:
    """The journal's joint states and keypoints beside those published with the same stamps."""
    counts = Witness()
    for record in map(json.loads, graph.lines):
        if record["call"] != "tick":
            continue
        observation = observation_of(record["observation"])
        joints = graph.joint_states.get(observation.stamp_s)
        points = graph.keypoints.get(observation.keypoints.stamp_s)
        if joints is None or points is None:
            counts.unseen += 1
            continue
        told = Observation(_arm_told(joints, observation.robot), keypoints_of(points))
        same = observation_json(told) == record["observation"]
        counts.seen += same
        counts.contradicted += not same
    return counts


def _arm_told(joints: Any, seen: RobotState) -> RobotState:
    """What the message says, and of `seen` what it leaves open.

    The place of the hand follows from the joints; whether it holds something comes without a stamp.
    """
    return robot_state_of(joints, lambda _joints: (seen.tcp_position, seen.tcp_quat_xyzw), seen.gripper_holds)
