"""Records topics without looking into them, and writes them as MCAP: log first, understand later."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from mcap.writer import Writer
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message

from vls_steering import __version__
from vls_steering.nodes.topics import Topic

DEPTH = 200  # a scheduler's hiccup must not cost a set-point


@dataclass(frozen=True)
class Entry:
    """One serialised message as it arrived."""

    topic: Topic[Any]
    received_ns: int  # wall clock
    data: bytes

    def message(self) -> Any:
        return deserialize_message(self.data, self.topic.type)


class TopicLog:
    """Subscribes to topics in raw form: a message costs no more than its bytes while the robot moves."""

    def __init__(self, node: Node, topics: Iterable[Topic[Any]]) -> None:
        self._entries: list[Entry] = []
        for topic in topics:
            quality = QoSProfile(
                depth=DEPTH, reliability=topic.quality.reliability, durability=topic.quality.durability
            )
            node.create_subscription(topic.type, topic.name, self._receiver(topic), quality, raw=True)

    @property
    def entries(self) -> Sequence[Entry]:
        """In order of arrival."""
        return tuple(self._entries)

    def newest(self, topic: Topic[Any]) -> Any:
        """The last message of `topic`, deserialised; None before the first."""
        return next((entry.message() for entry in reversed(self._entries) if entry.topic is topic), None)

    def _receiver(self, topic: Topic[Any]) -> Any:
        return lambda data: self._entries.append(Entry(topic, time.time_ns(), bytes(data)))


def write_mcap(entries: Sequence[Entry], path: Path) -> None:
    """A ROS 2 log that Foxglove, `ros2 bag play` and rosbags read without our package: definitions are inside."""
    with path.open("wb") as stream:
        writer = Writer(stream)
        writer.start(profile="ros2", library=f"vls_steering {__version__}")
        channels: dict[str, int] = {}
        for sequence, entry in enumerate(entries):
            name = entry.topic.name
            if name not in channels:
                schema = writer.register_schema(
                    name=_type_name(entry.topic.type), encoding="ros2msg", data=definition(entry.topic.type).encode()
                )
                channels[name] = writer.register_channel(
                    topic=f"/{name.lstrip('/')}", message_encoding="cdr", schema_id=schema
                )
            writer.add_message(channels[name], entry.received_ns, entry.data, entry.received_ns, sequence)
        writer.finish()


def definition(message_type: Any) -> str:
    """The .msg text of a type, followed by those of every type it contains (encoding `ros2msg`)."""
    texts: list[str] = []
    waiting, seen = [message_type], {_type_name(message_type)}
    while waiting:
        current = waiting.pop(0)
        package, _, short = _type_name(current).split("/")
        source = _share_folder(package) / "msg" / f"{short}.msg"
        heading = f"{'=' * 80}\nMSG: {package}/{short}\n" if texts else ""
        texts.append(heading + source.read_text(encoding="utf-8"))
        for inner in _inner_types(current):
            if inner not in seen:
                seen.add(inner)
                waiting.append(_message_class(inner))
    return "\n".join(texts)


def _inner_types(message_type: Any) -> list[str]:
    """Full names of the message types among the fields."""
    found = []
    for declared in message_type.get_fields_and_field_types().values():
        match = re.search(r"(\w+)/(\w+)", declared)
        if match is not None:
            found.append(f"{match[1]}/msg/{match[2]}")
    return found


def _type_name(message_type: Any) -> str:
    package = message_type.__module__.split(".", 1)[0]
    return f"{package}/msg/{message_type.__name__}"


def _share_folder(package: str) -> Path:
    try:
        return Path(get_package_share_directory(package))
    except (LookupError, OSError):  # wheels in a virtual environment need no ament index
        return Path(sys.prefix) / "share" / package


def _message_class(type_name: str) -> Any:
    package, _, short = type_name.split("/")
    return getattr(import_module(f"{package}.msg"), short)
