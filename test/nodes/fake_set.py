"""The stand-in nodes and the manager in one process: `python fake_set.py [ROS arguments]`, until SIGINT."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import rclpy
from nodes.fakes import FAKES
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions

from vls_steering.nodes.base import NodeDefinition, RoomNode
from vls_steering.nodes.manager import ManagerBody, ManagerSettings
from vls_steering.nodes.run import StopRequest


def main() -> int:
    stop = StopRequest()
    rclpy.init(args=sys.argv, signal_handler_options=SignalHandlerOptions.NO)
    overrides = [Parameter("nodes", value=[fake.name for fake in FAKES])]
    manager = RoomNode(NodeDefinition("manager", ManagerSettings, ManagerBody), parameter_overrides=overrides)
    nodes = [*(RoomNode(fake) for fake in FAKES), manager]
    executor = SingleThreadedExecutor()
    for node in nodes:
        executor.add_node(node)
    manager.trigger_configure()
    manager.trigger_activate()
    while not stop.requested:
        executor.spin_once(timeout_sec=0.05)
    for node in reversed(nodes):
        node.trigger_shutdown()
    executor.shutdown()
    rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
