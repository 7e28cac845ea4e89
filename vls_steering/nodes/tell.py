"""`vls tell`: one instruction for a graph that runs already, followed as in the demo."""

from __future__ import annotations

import time

from vls_steering.bench.demo_display import Display
from vls_steering.core.errors import ConfigurationError, ExitCode, VlsError
from vls_steering.nodes import topics
from vls_steering.nodes.demo_client import DemoClient
from vls_steering.nodes.interruption import terminated_like_interrupted
from vls_steering.nodes.task_follow import Stopped, TaskFollower, rest_of

HEARD_WITHIN_S = 10.0  # a graph that is there says so every second


def tell_graph(
    instruction: str, namespace: str, timeout_s: float, wait_s: float, display: Display | None = None
) -> ExitCode:
    """Send the goal, show stages and progress, return the exit code of the command contract.

    Ctrl-C and SIGTERM cancel the goal and wait until the arm is at rest.  Raises VlsError when no graph is there or it
    does not come up within `wait_s`.  `timeout_s` 0: the manager's parameter.
    """
    if not instruction.strip():
        raise ConfigurationError("the instruction is empty", 'For example: vls tell "pick up the red cube"')
    display = display or Display()
    with DemoClient("tell", namespace, (topics.SET_POINT,)) as client, terminated_like_interrupted():
        follower = TaskFollower(client, display, _Presence(client, namespace, min(wait_s, HEARD_WITHIN_S)).check)
        try:
            _await_up(follower, wait_s)
            display.headline(f'"{instruction}"')
            code, message = follower.carry_out(instruction, timeout_s)
        except Stopped as stopped:
            code, message = ExitCode.SAFETY_STOP, str(stopped)
        except KeyboardInterrupt:
            code, message = ExitCode.INTERRUPTED, f"interrupted; {rest_of(client)}"
        success = code is ExitCode.SUCCESS
        done = f"every stage is done by the program's own measure, after {follower.wall_s:.0f} s"
        display.note(message or done, "green" if success else "red")
        return code


def _await_up(follower: TaskFollower, wait_s: float) -> None:
    try:
        follower.await_up(wait_s)
    except TimeoutError as late:
        cure = "Look into the logs of these nodes, or give it more time with --wait"
        raise VlsError(f"the graph is not up within {wait_s:g} s: {late or 'the executor is silent'}", cure) from late


class _Presence:
    """Tells early that nobody is there, in place of a long wait."""

    def __init__(self, client: DemoClient, namespace: str, patience_s: float) -> None:
        self._client, self._patience_s = client, patience_s
        self._where = f"in namespace {namespace!r}" if namespace else "without a namespace"
        self._began_s = time.monotonic()

    def check(self) -> None:
        """Raises VlsError when no manager was heard in time."""
        if not self._client.node_states and time.monotonic() - self._began_s > self._patience_s:
            raise VlsError(
                f"no graph was heard {self._where} within {self._patience_s:g} s",
                "Start one with vls run; ROS_DOMAIN_ID and --namespace must be the same in both",
            )
