"""One room node in the test's own process, beside a plain node that plays the rest of the graph.

Time is simulated and moves only when the test says so: what is tested does not depend on how fast the machine is.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock

from vls_steering.nodes import topics
from vls_steering.nodes.base import NodeDefinition, RoomNode
from vls_steering.nodes.conversions import time_message
from vls_steering.nodes.topics import Topic


class Stage:
    def __init__(self, definition: NodeDefinition[Any], listens: tuple[Topic[Any], ...], **parameters: Any) -> None:
        given = {"use_sim_time": True, **{name.replace("__", "."): value for name, value in parameters.items()}}
        self.node = RoomNode(definition, parameter_overrides=[Parameter(n, value=v) for n, v in given.items()])
        self.other = rclpy.create_node("rest_of_the_graph")
        self.heard: dict[str, list[Any]] = defaultdict(list)
        for topic in listens:
            quality = topic.quality if topic.quality is topics.LATCHED else 100
            self.other.create_subscription(
                topic.type, topic.name, lambda message, name=topic.name: self.heard[name].append(message), quality
            )
        self.diagnostics: dict[str, DiagnosticStatus] = {}  # newest line by name, without the node's
        self.other.create_subscription(DiagnosticArray, "/diagnostics", self._diagnosed, 100)
        self._publishers: dict[str, Any] = {}
        self.now_s = 1.0
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._executor.add_node(self.other)

    def bring_up(self) -> None:
        self.node.trigger_configure()
        assert not self.node.failure
        self.node.trigger_activate()
        assert not self.node.failure

    def publish(self, topic: Topic[Any], message: Any) -> None:
        if topic.name not in self._publishers:
            publisher = self.other.create_publisher(topic.type, topic.name, topic.quality)
            self._publishers[topic.name] = publisher
            self.until(lambda: publisher.get_subscription_count() > 0, what=f"a subscription of {topic.name}")
        self._publishers[topic.name].publish(message)

    def set_clock(self, now_s: float) -> None:
        """Return when the node has heard it."""
        self.now_s = now_s
        self.publish(topics.CLOCK, Clock(clock=time_message(now_s)))
        self.until(lambda: abs(self.node.now_s() - now_s) < 1e-6, what=f"time {now_s:.2f}")

    def call(self, service: str, kind: Any, request: Any) -> Any:
        client = self.other.create_client(kind, service)
        self.until(client.service_is_ready, what=service)
        future = client.call_async(request)
        self.until(future.done, what=f"an answer of {service}")
        self.other.destroy_client(client)
        return future.result()

    def diagnose(self, line: str) -> DiagnosticStatus:
        """The line as the node tells it now, not as its timer told it a moment ago."""
        self.spin(0.05)
        self.diagnostics.clear()
        self.node.publish_diagnostics()
        self.until(lambda: line in self.diagnostics, what=f"the line {line!r}")
        return self.diagnostics[line]

    def _diagnosed(self, message: DiagnosticArray) -> None:
        self.diagnostics.update({status.name.split(": ", 1)[1]: status for status in message.status})

    def newest(self, topic: Topic[Any]) -> Any:
        messages = self.heard[topic.name]
        return messages[-1] if messages else None

    def until(self, condition: Callable[[], Any], within_s: float = 30.0, what: str = "it") -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not happen"
            self._executor.spin_once(timeout_sec=0.02)

    def spin(self, duration_s: float) -> None:
        deadline = time.monotonic() + duration_s
        while time.monotonic() < deadline:
            self._executor.spin_once(timeout_sec=0.02)

    def close(self) -> None:
        self.node.trigger_shutdown()
        self._executor.shutdown()
        self.node.destroy_node()
        self.other.destroy_node()
