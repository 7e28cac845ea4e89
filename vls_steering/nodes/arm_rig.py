"""Real nodes around the protocol arm, for the benches: server, executor, a policy's stand-in and, where the faults are
those of pictures, a camera's stand-in and the perception; each a process.

The rig kills, starts again and watches; it sees what an operator would see, the executor's status.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from vls_steering.action import RecoverAndArm
from vls_steering.core.errors import VlsError
from vls_steering.msg import SafetyStatus, SetPoint
from vls_steering.nodes import stand_in_camera, stand_in_policy, topics
from vls_steering.nodes.node_set import PACKAGE
from vls_steering.nodes.supervisor import node_environment

ANSWER_S = 20.0
UP_S = 90.0
POLICY, CAMERA = "stand_in_policy", "stand_in_camera"
ARM_NODES = ("protocol_arm", "executor", POLICY)
DO = {POLICY: stand_in_policy.DO, CAMERA: stand_in_camera.DO}
SEEING_NODES = ("protocol_arm", "executor", CAMERA, "perception", POLICY)


class ArmRig:
    """Use it as a context manager; `spin` until something is so, and look at `status`.

    `pace` is that of the arm's time.  Below 1 every node goes by /clock, and how busy the host is changes nothing.
    """

    def __init__(
        self, log_folder: Path, executor_parameters: tuple[str, ...], names: tuple[str, ...], pace: float = 1.0
    ) -> None:
        self._logs, self._names, self.pace = log_folder, names, pace
        self._executor_parameters = executor_parameters
        self._processes: dict[str, tuple[subprocess.Popen[bytes], IO[bytes]]] = {}
        self.status: SafetyStatus | None = None
        self.heard_s = 0.0  # monotonic, of the last status
        self.intruder: Any = None  # a second publisher of chunks, while there is one
        self.panel: Any = None  # a remote button's publisher of the emergency stop, once there is one
        self.on_set_point: Callable[[SetPoint], None] = lambda _message: None

    def __enter__(self) -> ArmRig:
        self._logs.mkdir(parents=True, exist_ok=True)
        os.environ.update(node_environment(self._logs))
        rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
        clock = Parameter("use_sim_time", value=self.pace < 1.0)
        self.node = node = rclpy.create_node("arm_rig", parameter_overrides=[clock])
        node.create_subscription(SafetyStatus, topics.SAFETY_STATUS.name, self._hear, 1)
        node.create_subscription(SetPoint, topics.SET_POINT.name, lambda m: self.on_set_point(m), 10)
        self._do = {name: node.create_publisher(String, do.name, do.quality) for name, do in DO.items()}
        self._recoveries: Any = ActionClient(node, RecoverAndArm, topics.RECOVER_ACTION)
        self._clients: dict[str, Any] = {}
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)
        with contextlib.ExitStack() as undo:
            # Whatever ends the bring-up, Ctrl-C included, leaves no process behind.
            undo.callback(self._close)
            for name in self._names:
                self.start(name)
            # Known before it is pressed: finding a service takes longer than a stop.
            self.until(self._client(topics.ESTOP_SERVICE, SetBool).service_is_ready, ANSWER_S, topics.ESTOP_SERVICE)
            undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _close(self) -> None:
        for name in reversed(list(self._processes)):
            self._end(name, signal.SIGTERM)
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown()

    # Processes -------------------------------------------------------------------------------------------------------

    def start(self, name: str) -> None:
        """Start a process and, when it is a lifecycle node, activate it."""
        parameters = [f"use_sim_time:={str(self.pace < 1.0).lower()}"]
        parameters += {"executor": self._executor_parameters, "protocol_arm": (f"real_time_factor:={self.pace}",)}.get(
            name, ()
        )
        arguments = ["--ros-args", "-r", f"__node:={name}"]
        for parameter in parameters:
            arguments += ["-p", parameter]
        log = (self._logs / f"{name}.log").open("ab")
        command = [sys.executable, "-m", f"{PACKAGE}.nodes.{name}", *arguments]
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        self._processes[name] = (process, log)
        if name == POLICY:
            self.until(lambda: self.node.count_publishers(topics.ACTION_CHUNK.name), UP_S, "the stand-in policy")
            return
        for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
            self._change(name, transition)

    def kill(self, name: str) -> None:
        """As the kernel does it: no last words."""
        self._end(name, signal.SIGKILL)

    def signal(self, name: str, number: int) -> None:
        self._processes[name][0].send_signal(number)

    def _end(self, name: str, number: int) -> None:
        process, log = self._processes.pop(name)
        process.send_signal(number)
        try:
            process.wait(10.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        log.close()

    def _change(self, name: str, transition: int) -> None:
        self.call(f"{name}/get_state", GetState, GetState.Request(), UP_S)
        request = ChangeState.Request()
        request.transition.id = transition
        if not self.call(f"{name}/change_state", ChangeState, request, UP_S).success:
            raise VlsError(f"{name} refused transition {transition}", f"See {self._logs / name}.log")

    # What an operator does -------------------------------------------------------------------------------------------

    def do(self, misdeed: str, who: str = POLICY) -> None:
        """Tell a stand-in how to behave; empty: well."""
        self._do[who].publish(String(data=misdeed))

    def switch(self, service: str, on: bool) -> None:
        self.call(service, SetBool, SetBool.Request(data=on))

    def arm(self) -> Trigger.Response:
        return self.call(topics.ARM_SERVICE, Trigger, Trigger.Request())

    def recover(self) -> RecoverAndArm.Result:
        """Recover and arm; the action's result, whatever it is."""
        self.until(self._recoveries.server_is_ready, ANSWER_S, topics.RECOVER_ACTION)
        sent = self._recoveries.send_goal_async(RecoverAndArm.Goal(arm=True))
        self.until(sent.done, ANSWER_S, "an answer to the goal")
        result = sent.result().get_result_async()
        self.until(result.done, 3 * ANSWER_S, "the recovery's result")
        return result.result().result

    def call(self, service: str, kind: Any, request: Any, within_s: float = ANSWER_S) -> Any:
        """Ask until answered: a process that has just started may miss a request or its answer."""
        client, deadline_s = self._client(service, kind), time.monotonic() + within_s
        while time.monotonic() < deadline_s:
            if not client.service_is_ready():
                self.spin(0.05)
                continue
            future = client.call_async(request)
            with contextlib.suppress(TimeoutError):
                self.until(future.done, min(5.0, within_s), service)
                return future.result()
        raise VlsError(f"{service} did not answer within {within_s:g} s", f"See {self._logs}")

    def _client(self, service: str, kind: Any) -> Any:
        if service not in self._clients:
            self._clients[service] = self.node.create_client(kind, service)
        return self._clients[service]

    # Waiting ---------------------------------------------------------------------------------------------------------

    def now_s(self) -> float:
        """On the clock of the statuses' stamps."""
        return float(self.node.get_clock().now().nanoseconds * 1e-9)

    def spin(self, duration_s: float) -> None:
        deadline_s = time.monotonic() + duration_s
        while time.monotonic() < deadline_s:
            self._executor.spin_once(timeout_sec=0.02)

    def until(self, condition: Callable[[], Any], within_s: float, what: str) -> float:
        """Seconds until it was so; raises TimeoutError."""
        began_s = time.monotonic()
        while not condition():
            if time.monotonic() - began_s > within_s:
                raise TimeoutError(f"{what}: not within {within_s:g} s; {self.words()}")
            self._executor.spin_once(timeout_sec=0.01)
        return time.monotonic() - began_s

    def is_in(self, *states: int) -> bool:
        return self.status is not None and self.status.state in states

    def words(self) -> str:
        """The executor's last status for a person."""
        status = self.status
        return f"{status.state_name}: {status.reason}" if status is not None else "no status was heard"

    def _hear(self, message: SafetyStatus) -> None:
        self.status, self.heard_s = message, time.monotonic()
