"""Who sent a message, as far as the middleware tells, whether it was heard already, and who cannot be heard at all."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from rclpy.qos import QoSCompatibility, qos_check_compatible

from vls_steering.nodes.topics import Topic

REMEMBERED = 64


def publisher_of(info: Mapping[str, Any]) -> str:
    """The publisher's number in hexadecimal, from a message's info; empty where rclpy does not tell it."""
    gid = info.get("publisher_gid")
    return gid_text(gid["data"]) if gid else ""


def gid_text(data: Iterable[int]) -> str:
    return bytes(data).hex()


def why_unheard(info: Any, topic: Topic[Any]) -> str:
    """What keeps a publisher (rclpy's TopicEndpointInfo) from all subscriptions of `topic`; empty when nothing does."""
    package, kind = topic.type.__module__.split(".")[0], topic.type.__name__
    wanted = f"{package}/msg/{kind}"
    if info.topic_type != wanted:
        return f"{info.node_name} publishes {topic.name} as {info.topic_type}, not {wanted}"
    checks = [qos_check_compatible(info.qos_profile, quality) for quality in topic.heard_in or (topic.quality,)]
    if all(compatibility is QoSCompatibility.ERROR for compatibility, _ in checks):
        return f"{info.node_name} publishes {topic.name} in an incompatible quality of service: {checks[0][1]}"
    return ""


class Heard:
    """A topic that is subscribed to in several qualities of service brings some messages more than once."""

    def __init__(self) -> None:
        self._recent: deque[tuple[str, Any, Any]] = deque(maxlen=REMEMBERED)

    def first_time(self, info: Mapping[str, Any]) -> bool:
        key = (publisher_of(info), info.get("source_timestamp"), info.get("publication_sequence_number"))
        if key in self._recent:
            return False
        self._recent.append(key)
        return True
