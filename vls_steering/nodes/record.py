"""`vls record`: the topics of a running graph into one file, until Ctrl-C."""

from __future__ import annotations

import os
import platform
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from types import FrameType
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.exceptions import InvalidNamespaceException
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.signals import SignalHandlerOptions
from rclpy.validate_namespace import validate_namespace
from rich.console import Console
from rich.table import Table

from vls_steering import __version__
from vls_steering.core.errors import ConfigurationError, ExitCode
from vls_steering.nodes import topics
from vls_steering.nodes.mcap_file import McapFile
from vls_steering.nodes.scheduling import give_way
from vls_steering.nodes.supervisor import node_environment
from vls_steering.nodes.topic_log import LOGGED, Entry, listen
from vls_steering.nodes.topics import Topic

POLL_S = 0.1  # Ctrl-C is noticed within this time
SILENCE_S = 5.0  # until somebody is told that there is nothing to record
MODESTY = 5  # a recorder that falls behind has queues; the arm has none
_CAMERAS = tuple(topics.camera_topics(camera) for camera in topics.CAMERA_NAMESPACES)
SMALL = (
    *LOGGED,
    topics.ESTOP,
    topics.CAMERA_HEALTH,
    topics.KEYPOINT_MARKERS,
    *(topic for camera in _CAMERAS for topic in (camera.info, camera.pose)),
    Topic("/diagnostics", DiagnosticArray, QoSProfile(depth=10)),
)
PICTURES = (*(topic for camera in _CAMERAS for topic in (camera.color, camera.depth)), topics.OVERLAY)


@dataclass(frozen=True)
class RecordOptions:
    """What to record, for how long, and where to."""

    out: Path
    namespace: str = ""
    seconds: float = 0.0  # 0: until Ctrl-C
    images: bool = False


@dataclass
class Tally:
    """What was heard of one topic."""

    first_ns: int
    last_ns: int = 0
    count: int = 0
    size_bytes: int = 0

    def add(self, entry: Entry) -> None:
        self.last_ns = entry.received_ns
        self.count += 1
        self.size_bytes += len(entry.data)

    @property
    def rate_hz(self) -> float:
        """Mean; NaN for a single message."""
        duration_s = 1e-9 * (self.last_ns - self.first_ns)
        return (self.count - 1) / duration_s if duration_s > 0.0 else float("nan")


@dataclass
class Recorder:
    """Hands what it hears to a file and counts it."""

    file: McapFile
    full_name: Callable[[str], str]
    heard: dict[str, Tally] = field(default_factory=dict)

    def receive(self, entry: Entry) -> None:
        name = self.full_name(entry.topic.name)
        self.file.add(name, entry.topic.type, entry.received_ns, entry.data)
        self.heard.setdefault(name, Tally(entry.received_ns)).add(entry)


def record(options: RecordOptions, echo: Callable[[str], None] = print) -> ExitCode:
    """Record until Ctrl-C, SIGTERM or the time is over; 4 when nothing was heard at all.

    Raises ConfigurationError when the file cannot be made, VlsError when it takes no more.
    """
    namespace = _valid(options.namespace)
    with _interruptible() as interrupted, McapFile(options.out, _facts(options)) as file, _ros():
        heard = _listen(options, namespace, file, interrupted, echo)
    if not heard:
        echo(f"nothing was heard; {options.out} is empty")
        return ExitCode.TASK_FAILED
    Console().print(_table(heard, f"{options.out}, {1e-6 * file.size_bytes:.1f} MB"))
    return ExitCode.SUCCESS


def _listen(
    options: RecordOptions, namespace: str, file: McapFile, interrupted: Callable[[], bool], echo: Callable[[str], None]
) -> dict[str, Tally]:
    give_way(MODESTY)
    executor = SingleThreadedExecutor()
    node = rclpy.create_node(f"record_{os.getpid()}", namespace=namespace)
    recorder = Recorder(file, node.resolve_topic_name)
    try:
        listen(node, (*SMALL, *_transforms(), *(PICTURES if options.images else ())), recorder.receive)
        executor.add_node(node)
        echo(f"recording to {options.out}; Ctrl-C ends it")
        began_s, told = time.monotonic(), False
        while not interrupted():
            executor.spin_once(timeout_sec=POLL_S)
            passed_s = time.monotonic() - began_s
            if options.seconds and passed_s >= options.seconds:
                break
            if passed_s > SILENCE_S and not recorder.heard and not told:
                told = True
                echo(_silence(namespace))
    finally:
        executor.shutdown()
        node.destroy_node()
    return recorder.heard


def _valid(namespace: str) -> str:
    """The namespace in full; raises ConfigurationError."""
    full = f"/{namespace.strip('/')}"
    try:
        validate_namespace(full)
    except InvalidNamespaceException as error:
        raise ConfigurationError(f"{namespace!r} is no namespace: {error}", "For example: robot1") from error
    return full


def _transforms() -> tuple[Topic[Any], ...]:
    """tf, where its messages are installed."""
    try:
        from tf2_msgs.msg import TFMessage
    except ImportError:
        return ()
    static = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    return Topic("/tf", TFMessage, QoSProfile(depth=100)), Topic("/tf_static", TFMessage, static)


def _silence(namespace: str) -> str:
    domain = os.environ.get("ROS_DOMAIN_ID", "0")
    return (
        f"nothing heard for {SILENCE_S:.0f} s in namespace {namespace} of ROS_DOMAIN_ID {domain}: "
        "is the graph running, and there?"
    )


def _facts(options: RecordOptions) -> dict[str, str]:
    return {
        "vls_steering": __version__,
        "began": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "host": platform.node(),
        "namespace": options.namespace,
    }


def _table(heard: dict[str, Tally], title: str) -> Table:
    table = Table(title=title)
    for column in ("topic", "messages", "Hz", "kB"):
        table.add_column(column, justify="left" if column == "topic" else "right")
    for name, tally in sorted(heard.items()):
        rate = f"{tally.rate_hz:.1f}" if tally.count > 1 else ""
        table.add_row(name, str(tally.count), rate, f"{1e-3 * tally.size_bytes:.0f}")
    return table


@contextmanager
def _ros() -> Iterator[None]:
    """Large messages need the nodes' transport settings; what this process logs is of no use to anybody."""
    with tempfile.TemporaryDirectory(prefix="vls_record_") as logs:
        os.environ.update(node_environment(Path(logs)))
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        try:
            yield
        finally:
            rclpy.try_shutdown()


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Whether SIGINT or SIGTERM came; they end nothing by themselves, so that no write is torn, however often."""
    seen: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        seen.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(seen)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
