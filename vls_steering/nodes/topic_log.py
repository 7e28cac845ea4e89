"""Records topics without looking into them, and writes them as MCAP: log first, understand later."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image

from vls_steering.nodes import topics
from vls_steering.nodes.mcap_file import McapFile
from vls_steering.nodes.topics import Topic

# Everything small.  Pictures stay out: they can be drawn again from sim/state.
LOGGED = (
    topics.SIM_LAYOUT,
    topics.SIM_STATE,
    topics.JOINT_STATES,
    topics.GRIPPER_GRASPED,
    topics.KEYPOINTS,
    topics.INSTRUCTION,
    topics.REWARD_PROGRAM,
    topics.VLM_STATUS,
    topics.ACTION_CHUNK,
    topics.STEERING_STATUS,
    topics.STEERING_JOURNAL,
    topics.STEERING_MARKERS,
    topics.SAFETY_STATUS,
    topics.SET_POINT,
)
DEPTH = 200  # a scheduler's hiccup must not cost a set-point


@dataclass(frozen=True)
class Entry:
    """One serialised message as it arrived."""

    topic: Topic[Any]
    received_ns: int  # wall clock
    data: bytes

    def message(self) -> Any:
        return deserialize_message(self.data, self.topic.type)


def listen(node: Node, wanted: Iterable[Topic[Any]], receive: Callable[[Entry], None]) -> None:
    """Hand over every message of `wanted` in raw form: it costs no more than its bytes while the robot moves."""
    for topic in wanted:
        quality = QoSProfile(
            # A second of pictures is many megabytes already.
            depth=topic.quality.depth if topic.type is Image else DEPTH,
            reliability=topic.quality.reliability,
            durability=topic.quality.durability,
        )
        node.create_subscription(topic.type, topic.name, _receiver(topic, receive), quality, raw=True)


class TopicLog:
    """Keeps what `listen` hears."""

    def __init__(self, node: Node, wanted: Iterable[Topic[Any]]) -> None:
        self._entries: list[Entry] = []
        listen(node, wanted, self._entries.append)

    @property
    def entries(self) -> Sequence[Entry]:
        """In order of arrival."""
        return tuple(self._entries)

    def newest(self, topic: Topic[Any]) -> Any:
        """The last message of `topic`, deserialised; None before the first."""
        return next((entry.message() for entry in reversed(self._entries) if entry.topic is topic), None)


def _receiver(topic: Topic[Any], receive: Callable[[Entry], None]) -> Callable[[bytes], None]:
    return lambda data: receive(Entry(topic, time.time_ns(), bytes(data)))


def write_mcap(entries: Sequence[Entry], path: Path) -> None:
    """The entries as a file; raises VlsError when it cannot be written."""
    with McapFile(path, overwrite=True) as file:
        for entry in entries:
            file.add(f"/{entry.topic.name.lstrip('/')}", entry.topic.type, entry.received_ns, entry.data)
