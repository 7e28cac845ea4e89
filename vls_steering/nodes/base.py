"""The one lifecycle node that every room's node is.

A room's node is a *body*: an ordinary object that knows its room and is handed a `RoomNode` to talk through.

    class PerceptionBody:
        def __init__(self, node: RoomNode, settings: PerceptionNodeSettings) -> None: ...  # set up: load, advertise
        def start(self) -> None: ...      # open streams: subscriptions, timers, threads
        def stop(self) -> None: ...       # safety action: whatever must be the last thing this node does
        def tear_down(self) -> None: ...  # release what the constructor took

    NODE = NodeDefinition("perception", PerceptionNodeSettings, PerceptionBody)

    def main() -> int:
        return run_node(NODE)

    if __name__ == "__main__":
        sys.exit(main())

The body exists exactly while the node is configured, so it needs no half-built state.  Publishers, subscriptions,
services and timers made through the node belong to the phase they were made in: those of the constructor live until
`tear_down`, those of `start` until `stop`.  An exception in any callback is logged with its cause and takes the node
through `stop` and `tear_down` to the unconfigured state, where /diagnostics and the manager see it; it never dies in
silence and never goes on half alive.  Everything runs on one thread; a body's own threads report through `fail`.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_srvs.srv import Trigger

from vls_steering.core.config import Settings
from vls_steering.core.errors import ShapeError, VlsError
from vls_steering.nodes.conversions import diagnostic_status, stamp_seconds
from vls_steering.nodes.effective import tell_effective
from vls_steering.nodes.parameters import declare_settings
from vls_steering.nodes.publishers import Heard, publisher_of
from vls_steering.nodes.streams import ClockMonitor, Level, StreamMonitor, StreamReport
from vls_steering.nodes.topics import Topic

DIAGNOSTICS_PERIOD_S = 1.0
LAST_WORDS_S = 0.2  # how long a closing publisher waits until its last message is acknowledged

SettingsT = TypeVar("SettingsT", bound=Settings)
MessageT = TypeVar("MessageT")


class Phase(Enum):
    """The primary lifecycle states."""

    UNCONFIGURED = "unconfigured"
    INACTIVE = "inactive"
    ACTIVE = "active"
    FINALIZED = "finalized"


class NodeBody(Protocol):
    """The hooks of a room's node; the constructor is the first of the four."""

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def tear_down(self) -> None: ...


@dataclass(frozen=True)
class NodeDefinition(Generic[SettingsT]):
    """What makes a node: its name, its parameters and its body."""

    name: str
    settings: type[SettingsT]
    body: Callable[[RoomNode, SettingsT], NodeBody]
    self_starting: bool = False  # the manager, which nobody else could start
    niceness: int = 0  # how far it gives way to the executor and the policy when the processor is short


class RoomNode(LifecycleNode):
    """Lifecycle, parameters, diagnostics and error handling around one body.

    Raises ConfigurationError from the constructor when a parameter is unknown or unacceptable.
    """

    def __init__(self, definition: NodeDefinition[Any], **node_arguments: Any) -> None:
        super().__init__(definition.name, automatically_declare_parameters_from_overrides=True, **node_arguments)
        self._definition = definition
        self._body: NodeBody | None = None
        self._owned: list[Callable[[], object]] = []  # how to destroy what was made, in order of making
        self._owned_before_start = 0
        self._failure_signal = self.create_guard_condition(self._recover)
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._monitors: list[StreamMonitor] = []
        self._clock_monitor = ClockMonitor()
        self.phase = Phase.UNCONFIGURED
        self.failure = ""  # why the node fell back to unconfigured; kept until it is configured again
        self.facts: dict[str, str] = {}  # shown in this node's line of /diagnostics
        self.complaints: dict[str, str] = {}  # what a person should look at, shown there as a warning; empty: settled
        self.kept: dict[str, Any] = {}  # what a body leaves to the one that is configured after it
        self.reports: dict[str, StreamReport] = {}  # further lines, by name, while the node is active
        self._asked: list[Callable[[], StreamReport]] = []  # lines that are made when they are told
        self.settings = declare_settings(self, definition.settings)
        tell_effective(self, self.settings)
        self.create_timer(DIAGNOSTICS_PERIOD_S, self.publish_diagnostics, clock=self._steady)

    # What a body uses -----------------------------------------------------------------------------------------------

    @property
    def body(self) -> NodeBody | None:
        """The body while the node is configured."""
        return self._body

    def now_s(self) -> float:
        """Seconds of the ROS clock: simulated when `use_sim_time` is set."""
        return self.get_clock().now().nanoseconds * 1e-9

    def publisher(self, topic: Topic[MessageT]) -> Any:
        """A publisher of `topic`; its last reliable message is waited for when the node closes."""
        publisher = self.create_publisher(topic.type, topic.name, topic.quality)

        def destroy() -> None:
            publisher.wait_for_all_acked(Duration(seconds=LAST_WORDS_S))
            self.destroy_publisher(publisher)

        self._owned.append(destroy)
        return publisher

    def subscribe(
        self,
        topic: Topic[MessageT],
        callback: Callable[[MessageT], None],
        expected_hz: float = 0.0,
        silence_s: float = 0.0,
    ) -> StreamMonitor:
        """Call `callback` for every message; rate and age appear in /diagnostics, judged as StreamMonitor says.

        One in which it finds numbers that are no such message (ShapeError) is refused and told.
        """
        return self.subscribe_from(topic, lambda message, _publisher: callback(message), expected_hz, silence_s)

    def subscribe_from(
        self,
        topic: Topic[MessageT],
        callback: Callable[[MessageT, str], None],
        expected_hz: float = 0.0,
        silence_s: float = 0.0,
    ) -> StreamMonitor:
        """The same with the number of the publisher (`publishers.publisher_of`) as the second argument."""
        monitor, heard = self.monitor(topic.name, expected_hz, silence_s), Heard()

        def receive(message: Any, info: Any) -> None:
            if topic.heard_in and not heard.first_time(info):
                return
            header, now_s = getattr(message, "header", None), self.now_s()
            monitor.seen(now_s, now_s - stamp_seconds(header.stamp) if header is not None else 0.0)
            try:
                callback(message, publisher_of(info))
            except ShapeError as error:
                # The sender is at fault and not this node: what it said before grows old, as if it had been silent.
                self.facts[f"last refused of {topic.name}"] = str(error)
                self.get_logger().warning(f"refused of {topic.name}: {error}", throttle_duration_sec=1.0)

        guarded = self.guarded(receive)
        for quality in topic.heard_in or (topic.quality,):
            # rclpy counts the arguments: with two, it hands over the message's info.
            subscription = self.create_subscription(
                topic.type,
                topic.name,
                lambda message, info: guarded(message, info),
                quality,
                # Of several subscriptions one is enough: what the others do not match is no news.
                event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=not topic.heard_in),
            )
            self._owned.append(partial(self.destroy_subscription, subscription))
        return monitor

    def every(self, period_s: float, callback: Callable[[], None]) -> None:
        """Call `callback` periodically on the ROS clock.  Not for control loops: those own a thread."""
        timer = self.create_timer(period_s, self.guarded(callback))
        self._owned.append(lambda: self.destroy_timer(timer))

    def every_monotonic(self, period_s: float, callback: Callable[[], None]) -> None:
        """Call `callback` periodically on the host's clock, whether simulated time flows or not."""
        timer = self.create_timer(period_s, self.guarded(callback), clock=self._steady)
        self._owned.append(lambda: self.destroy_timer(timer))

    def serve_trigger(self, name: str, action: Callable[[], str]) -> None:
        """Serve std_srvs/Trigger: `action` returns what it did, or raises VlsError to refuse."""

        def answer(_request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
            try:
                response.message = action()
                response.success = True
            except VlsError as refusal:
                response.message = str(refusal)
            except Exception as error:  # noqa: BLE001 - a service must answer, whatever broke
                response.message = f"{type(error).__name__}: {error}"
                self.fail(error)
            return response

        service = self.create_service(Trigger, name, answer)
        self._owned.append(lambda: self.destroy_service(service))

    def own(self, destroy: Callable[[], object]) -> None:
        """Have `destroy` called when the current phase ends, for entities made with rclpy directly."""
        self._owned.append(destroy)

    def monitor(self, name: str, expected_hz: float, silence_s: float = 0.0) -> StreamMonitor:
        """A line in /diagnostics for a stream that the body feeds itself with `seen(node.now_s())`.

        By the node's clock, so that a simulation that runs slowly is not taken for a stream that does.
        """
        monitor = StreamMonitor(name, expected_hz, silence_s)
        self._monitors.append(monitor)
        self._owned.append(lambda: self._monitors.remove(monitor))
        return monitor

    def report_by(self, ask: Callable[[], StreamReport]) -> None:
        """A line in /diagnostics that `ask` makes, on the node's thread, whenever they are told."""

        def told() -> StreamReport:
            try:
                return ask()
            except Exception as error:  # noqa: BLE001 - the border to rclpy: nothing may escape into its executor
                self.fail(error)
                return StreamReport("diagnostics", Level.ERROR, str(error), {})

        self._asked.append(told)
        self._owned.append(lambda: self._asked.remove(told))

    def guarded(self, callback: Callable[..., None]) -> Callable[..., None]:
        """`callback` that reports its exceptions to `fail`, and is skipped once the node has failed."""

        def call(*arguments: Any) -> None:
            if self.failure:
                return
            try:
                callback(*arguments)
            except Exception as error:  # noqa: BLE001 - the border to rclpy: nothing may escape into its executor
                self.fail(error)

        return call

    def fail(self, error: BaseException) -> None:
        """Report a failure from any thread; the node stops, tears down and becomes unconfigured.  The first wins."""
        if self.failure:
            return
        self.failure = f"{type(error).__name__}: {error}"
        self.get_logger().fatal(f"stopping because of {self.failure}\n{_trace(error)}")
        self._failure_signal.trigger()

    # Lifecycle --------------------------------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.failure = ""
        self.complaints.clear()
        try:
            self._body = self._definition.body(self, self.settings)
        except Exception as error:  # noqa: BLE001 - any cause ends in the same state, and is told
            self._tell("cannot be configured", error)
            self._release(0)
            return TransitionCallbackReturn.FAILURE
        self._owned_before_start = len(self._owned)
        self.phase = Phase.INACTIVE
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.phase = Phase.ACTIVE
        try:
            self._present_body().start()
        except Exception as error:  # noqa: BLE001 - any cause ends in the same state, and is told
            self._tell("cannot be activated", error)
            return TransitionCallbackReturn.FAILURE if self._halt() else TransitionCallbackReturn.ERROR
        return TransitionCallbackReturn.SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        stopped = self._halt()
        return TransitionCallbackReturn.SUCCESS if stopped and not self.failure else TransitionCallbackReturn.ERROR

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        return TransitionCallbackReturn.SUCCESS if self._dismantle() else TransitionCallbackReturn.ERROR

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._halt()
        self._dismantle()
        self.phase = Phase.FINALIZED
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._halt()
        self._dismantle()
        return TransitionCallbackReturn.SUCCESS

    def _recover(self) -> None:
        """Runs on the node's own thread after `fail`."""
        if self.phase is Phase.ACTIVE:
            self.trigger_deactivate()  # ends in on_error, because `failure` is set
        elif self.phase is Phase.INACTIVE:
            self.trigger_cleanup()
        self.publish_diagnostics()

    def _halt(self) -> bool:
        """Active to inactive; the body's safety action comes first and its streams close whatever it does."""
        if self.phase is not Phase.ACTIVE:
            return True
        self.phase = Phase.INACTIVE
        try:
            self._present_body().stop()
        except Exception as error:  # noqa: BLE001 - the rest of the shutdown must still run
            self._tell("did not stop cleanly", error)
            return False
        finally:
            self._release(self._owned_before_start)
        return True

    def _dismantle(self) -> bool:
        """Inactive to unconfigured."""
        body, self._body = self._body, None
        self.phase = Phase.UNCONFIGURED
        try:
            if body is not None:
                body.tear_down()
        except Exception as error:  # noqa: BLE001 - what the node owns must still be released
            self._tell("did not tear down cleanly", error)
            return False
        finally:
            self._release(0)
        return True

    def _release(self, keep: int) -> None:
        while len(self._owned) > keep:
            self._owned.pop()()

    def _present_body(self) -> NodeBody:
        if self._body is None:
            raise RuntimeError(f"{self.get_name()} is {self.phase.value}, it has no body")
        return self._body

    def _tell(self, what: str, error: Exception) -> None:
        self.failure = self.failure or f"{what}: {error}"
        # A VlsError explains itself; anything else is a defect and needs its trace.
        trace = "" if isinstance(error, VlsError) else f"\n{_trace(error)}"
        self.get_logger().error(f"{what}: {type(error).__name__}: {error}{trace}")

    # Diagnostics ------------------------------------------------------------------------------------------------------

    def publish_diagnostics(self) -> None:
        """One line for the node itself and one for every stream."""
        name, now_s = self.get_fully_qualified_name().lstrip("/"), self.now_s()
        reports = [self._own_report()]
        if self.phase is Phase.ACTIVE:
            if self.get_parameter("use_sim_time").value:
                reports.append(self._clock_monitor.report(now_s, time.monotonic()))
            reports += [monitor.report(now_s) for monitor in self._monitors]
            reports += [ask() for ask in self._asked]
            reports += self.reports.values()
        array = DiagnosticArray(status=[diagnostic_status(name, report) for report in reports])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)

    def _own_report(self) -> StreamReport:
        complaints = {name: text for name, text in self.complaints.copy().items() if text}
        values = {"phase": self.phase.value, **self.facts, **complaints}
        if self.failure:
            return StreamReport("lifecycle", Level.ERROR, self.failure, values)
        told = "; ".join((self.phase.value, *complaints.values()))
        return StreamReport("lifecycle", Level.WARN if complaints else Level.OK, told, values)


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))
