"""The main function of every node process: spin until told to stop, then leave in good order."""

from __future__ import annotations

import faulthandler
import signal
import sys
from types import FrameType
from typing import Any, Protocol, runtime_checkable

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from vls_steering.core.errors import VlsError
from vls_steering.nodes.base import NodeDefinition, Phase, RoomNode
from vls_steering.nodes.scheduling import give_way, share_interpreter

POLL_S = 0.1  # a signal is noticed within this time
CLOSE_WITHIN_S = 15.0  # a shutdown that hangs longer is ended, with the stacks of its threads on stderr


@runtime_checkable
class Drains(Protocol):
    """A body whose farewell needs the executor to go on spinning: the manager, which stops the other nodes."""

    drain_within_s: float

    def drain(self) -> Future: ...


class StopRequest:
    """Turns SIGINT and SIGTERM into a flag, so that the shutdown transition runs while the context still lives.

    rclpy's own handlers would shut the context down first, and the last command could no longer be sent.  Asking twice
    cuts the farewell short that waits for others (`impatience_counts`), never the body's own stop: that one is bounded
    by CLOSE_WITHIN_S.
    """

    def __init__(self) -> None:
        self.requested = False
        self.impatience_counts = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._receive)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self.requested:
            if number == signal.SIGINT and self.impatience_counts:
                self.impatience_counts = False
                raise KeyboardInterrupt
            return
        self.requested = True
        faulthandler.dump_traceback_later(CLOSE_WITHIN_S, exit=True)


def run_node(definition: NodeDefinition[Any], args: list[str] | None = None) -> int:
    """Run one node until SIGINT, SIGTERM or an external shutdown; returns the process exit code.

    `args` are the process arguments with `--ros-args` and all (default: sys.argv).  Signals run the shutdown
    transition first: the body's `stop` is the last thing that is sent.
    """
    stop = StopRequest()
    give_way(definition.niceness)
    share_interpreter()
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = RoomNode(definition)
    except VlsError as error:
        print(f"{definition.name}: {error}", file=sys.stderr)
        rclpy.try_shutdown()
        return int(error.exit_code)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        if definition.self_starting:
            node.trigger_configure()
            node.trigger_activate()
        while rclpy.ok() and not stop.requested:
            executor.spin_once(timeout_sec=POLL_S)
        if isinstance(node.body, Drains) and rclpy.ok():
            drained, stop.impatience_counts = node.body.drain(), True
            executor.spin_until_future_complete(drained, timeout_sec=node.body.drain_within_s)
            stop.impatience_counts = False
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        if rclpy.ok() and node.phase is not Phase.FINALIZED:
            node.trigger_shutdown()
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
        faulthandler.cancel_dump_traceback_later()
    return 0
