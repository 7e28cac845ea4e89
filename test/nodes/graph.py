"""The real node set as processes, and a node in the test's process that listens to it and asks it for things."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import rclpy
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.executors import SingleThreadedExecutor
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from vls_steering.nodes import topics
from vls_steering.nodes.supervisor import ProcessSpec, Supervisor, node_environment

CONFIGURE, ACTIVATE, DEACTIVATE = 1, 3, 4
ASK_AGAIN_S = 5.0
LISTENED = (
    topics.JOINT_STATES,
    topics.SIM_LAYOUT,
    topics.SIM_STATE,
    topics.KEYPOINTS,
    topics.VLM_STATUS,
    topics.REWARD_PROGRAM,
    topics.ACTION_CHUNK,
    topics.STEERING_STATUS,
    topics.SAFETY_STATUS,
    topics.SET_POINT,
)


class Graph:
    """Some nodes as processes of their own; `parameters` by node go on top of the simulation's defaults."""

    def __init__(self, folder: Path, parameters: dict[str, dict[str, Any]]) -> None:
        self.folder = folder
        self._supervisor = Supervisor(
            [ProcessSpec(name, _command(name, values)) for name, values in parameters.items()],
            folder / "logs",
            {**node_environment(folder / "logs"), "OMP_NUM_THREADS": "1", "MUJOCO_GL": os.environ.get("MUJOCO_GL", "")},
            echo=lambda line: print(line, file=sys.stderr),
        )
        self.names = tuple(parameters)
        self.node = rclpy.create_node("listener")
        self.heard: dict[str, list[Any]] = defaultdict(list)
        for topic in LISTENED:
            self.node.create_subscription(
                topic.type, topic.name, lambda message, name=topic.name: self.heard[name].append(message), topic.quality
            )
        self._instruction = self.node.create_publisher(String, topics.INSTRUCTION.name, topics.INSTRUCTION.quality)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._clients: dict[str, Any] = {}
        # In this order: end points become known in the order of their making, so that whoever answers the second
        # can answer the first.
        for kind, service in ((ChangeState, "change_state"), (GetState, "get_state")):
            for name in self.names:
                self._client(f"{name}/{service}", kind)
        self._supervisor.start()

    def close(self) -> dict[str, int]:
        codes = self._supervisor.stop()
        self._executor.shutdown()
        self.node.destroy_node()
        return codes

    def bring_up(self, names: Sequence[str] = ()) -> None:
        for transition in (CONFIGURE, ACTIVATE):
            for name in names or self.names:
                assert self._change(name, transition), f"{name} refused transition {transition}"

    def take_down(self, name: str) -> bool:
        return self._change(name, DEACTIVATE)

    def instruct(self, text: str) -> None:
        self._instruction.publish(String(data=text))

    def trigger(self, service: str) -> Trigger.Response:
        return self.call(service, Trigger, Trigger.Request())

    def emergency_stop(self, engaged: bool) -> SetBool.Response:
        return self.call(topics.ESTOP_SERVICE, SetBool, SetBool.Request(data=engaged))

    def call(self, service: str, kind: Any, request: Any, within_s: float = 20.0) -> Any:
        """Ask until answered: a busy host may know of a request before it knows where the answer goes, and drop it."""
        client = self._client(service, kind)
        self.until(client.service_is_ready, within_s, service)
        futures: list[Any] = []
        asked_s = -math.inf

        def answered() -> bool:
            nonlocal asked_s
            if time.monotonic() - asked_s > ASK_AGAIN_S:
                futures.append(client.call_async(request))
                asked_s = time.monotonic()
            return any(future.done() for future in futures)

        self.until(answered, within_s, service)
        return next(future for future in futures if future.done()).result()

    def _change(self, name: str, transition: int) -> bool:
        """A transition is asked for once, of a node that has shown that it can answer."""
        self.call(f"{name}/get_state", GetState, GetState.Request(), within_s=60.0)
        request = ChangeState.Request()
        request.transition.id = transition
        future = self._client(f"{name}/change_state", ChangeState).call_async(request)
        self.until(future.done, within_s=60.0, what=f"transition {transition} of {name}")
        return bool(future.result().success)

    def _client(self, service: str, kind: Any) -> Any:
        if service not in self._clients:
            self._clients[service] = self.node.create_client(kind, service)
        return self._clients[service]

    def kill(self, name: str) -> None:
        """As the kernel does it: no last words."""
        os.kill(self._supervisor.process_id(name), signal.SIGKILL)

    def process_id(self, name: str) -> int:
        return self._supervisor.process_id(name)

    def newest(self, topic: topics.Topic[Any]) -> Any:
        """The last message of `topic`, or None."""
        messages = self.heard[topic.name]
        return messages[-1] if messages else None

    def until(self, condition: Callable[[], Any], within_s: float = 20.0, what: str = "it") -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not happen within {within_s:g} s\n{self._last_words()}"
            self._executor.spin_once(timeout_sec=0.05)

    def _last_words(self) -> str:
        """The end of every process's log."""
        logs = sorted((self.folder / "logs").glob("*.log"))
        return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-1000:]}" for log in logs)

    def spin(self, duration_s: float) -> None:
        deadline = time.monotonic() + duration_s
        while time.monotonic() < deadline:
            self._executor.spin_once(timeout_sec=0.02)


def _command(name: str, parameters: dict[str, Any]) -> tuple[str, ...]:
    arguments = ["--ros-args", "-r", f"__node:={name}"]
    for key, value in {"use_sim_time": True, **parameters}.items():
        text = str(value).lower() if isinstance(value, bool) else f"'{value}'" if isinstance(value, str) else str(value)
        arguments += ["-p", f"{key}:={text}"]
    return (sys.executable, "-m", f"vls_steering.nodes.{name}", *arguments)
