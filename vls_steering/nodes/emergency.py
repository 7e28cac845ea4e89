"""The emergency stop as people and panels reach it: a topic that anybody may publish, and a service."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from std_msgs.msg import Bool
from std_srvs.srv import SetBool

from vls_steering.nodes import topics
from vls_steering.nodes.base import RoomNode
from vls_steering.nodes.publishers import gid_text, why_unheard
from vls_steering.nodes.streams import Level, StreamReport

PUBLISHERS_LOOKED_AT_S = 0.2


class EmergencyStop:
    """Tells the executor whether anybody engages it.  A body that fails does not take that with it."""

    def __init__(self, node: RoomNode, switch: Callable[[bool], None]) -> None:
        self._node, self._switch_executor = node, switch
        self._claims: EmergencyClaims = node.kept.setdefault("emergency stop", EmergencyClaims())
        self._unheard = ""

    @property
    def engaged(self) -> bool:
        return self._claims.engaged

    def start(self) -> None:
        node = self._node
        node.subscribe_from(topics.ESTOP, self._hear)
        service = node.create_service(SetBool, topics.ESTOP_SERVICE, self._serve)
        node.own(lambda: node.destroy_service(service))
        node.every_monotonic(PUBLISHERS_LOOKED_AT_S, self._look_for_the_unheard)

    def _hear(self, message: Bool, publisher: str) -> None:
        """Engaged by whom it was and however it came; released by the same publisher alone."""
        if not publisher and not message.data and len(self._panels()) > 1:
            text = (
                f"a release on {topics.ESTOP.name} counts for nothing: several publish, and rclpy does not tell which"
            )
            self._node.get_logger().error(f"{text}; release by {topics.ESTOP_SERVICE}", throttle_duration_sec=5.0)
            return
        name = self._panels().get(publisher, EmergencyClaims.UNKNOWN)
        self._switch(publisher or EmergencyClaims.UNKNOWN, bool(message.data), name)

    def _switch(self, source: str, engaged: bool, name: str = "") -> None:
        self._claims.tell(source, engaged, name)
        self._switch_executor(self._claims.engaged)

    def _panels(self) -> dict[str, str]:
        """The nodes that publish the emergency stop, by the number of their publisher."""
        return {gid_text(info.endpoint_gid): info.node_name for info in self._publishers()}

    def _publishers(self) -> list[Any]:
        return list(self._node.get_publishers_info_by_topic(self._node.resolve_topic_name(topics.ESTOP.name)))

    def _serve(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        if not request.data:
            present = self._panels()
            # Without numbers a message's publisher is there as long as anybody is.
            self._claims.drop_departed({*present, *([EmergencyClaims.UNKNOWN] if present else [])})
        self._switch(EmergencyClaims.SERVICE, bool(request.data))
        engaged = self._claims.names
        response.success, response.message = True, f"engaged by {engaged}" if engaged else "released; arm to go on"
        return response

    def _look_for_the_unheard(self) -> None:
        """Whoever publishes an emergency stop that cannot be heard here must learn of it before it is needed."""
        unheard = [told for info in self._publishers() if (told := why_unheard(info, topics.ESTOP))]
        text = "; ".join(unheard)
        if text and text != self._unheard:
            self._node.get_logger().error(f"not every emergency stop is heard: {text}")
        self._unheard = text
        level = Level.ERROR if text else Level.OK
        values = {"engaged by": self._claims.names}
        self._node.reports["emergency stop"] = StreamReport(
            "emergency stop", level, text or "every publisher is heard", values
        )


class EmergencyClaims:
    """Who engages the emergency stop.  Each source releases what it engaged itself, and nobody else's.

    A publisher that is gone cannot release any more, and the one that comes after it does not answer for it: that is
    left to a person, who calls the service.
    """

    SERVICE = "service"
    UNKNOWN = "topic"  # where the middleware does not tell publishers apart

    def __init__(self) -> None:
        self._names: dict[str, str] = {}  # by publisher, or SERVICE

    @property
    def engaged(self) -> bool:
        return bool(self._names)

    @property
    def names(self) -> str:
        return ", ".join(sorted(self._names.values()))

    def tell(self, source: str, engaged: bool, name: str = "") -> None:
        if engaged:
            self._names[source] = name or source
        else:
            self._names.pop(source, None)

    def drop_departed(self, present: Iterable[str]) -> None:
        """Release what publishers engaged that are none of `present`."""
        stay = {self.SERVICE, *present}
        self._names = {source: name for source, name in self._names.items() if source in stay}
