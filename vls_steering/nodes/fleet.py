"""The lifecycle nodes as the manager sees them: asked for their state, told to change it, missed when silent."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from lifecycle_msgs.msg import Transition as TransitionMessage
from lifecycle_msgs.srv import ChangeState, GetState

from vls_steering.nodes.base import RoomNode
from vls_steering.nodes.bringup import State, Step

STATES = {1: State.UNCONFIGURED, 2: State.INACTIVE, 3: State.ACTIVE, 4: State.FINALIZED}


class Member:
    """One managed node.  Its answers to `get_state` are the heartbeat: they come from the thread that does its work."""

    def __init__(self, node: RoomNode, name: str) -> None:
        self.name = name
        self.state = State.UNKNOWN
        self._seen_s = float("-inf")
        self._asked_s: float | None = None
        self._changing_s: float | None = None
        # In this order: end points become known in the order of their making, so that a node that answers the second
        # can answer the first.  An answer to somebody not known yet is dropped, and a lost one costs `transition_s`.
        self._change: Any = node.create_client(ChangeState, f"{name}/change_state")
        self._get: Any = node.create_client(GetState, f"{name}/get_state")
        node.own(lambda: node.destroy_client(self._get))
        node.own(lambda: node.destroy_client(self._change))

    @property
    def changing(self) -> bool:
        return self._changing_s is not None

    def poll(self, now_s: float, silence_s: float, transition_s: float) -> None:
        """Ask for the state; call it unknown when the node has not answered for `silence_s`.

        A node that is busy with a transition (loading weights) is given `transition_s` instead.
        """
        patience_s = transition_s if self.changing else silence_s
        if self.state is not State.UNKNOWN and now_s - max(self._seen_s, self._changing_s or 0.0) > patience_s:
            self.state = State.UNKNOWN
            self._changing_s = None
        if self._asked_s is not None and now_s - self._asked_s > silence_s:
            self._asked_s = None  # the answer is lost; ask again
        if self._asked_s is None and not self.changing and self._get.service_is_ready():
            self._asked_s = now_s
            self._get.call_async(GetState.Request()).add_done_callback(self._answered)

    def change(self, step: Step, done: Callable[[Step, bool], None]) -> None:
        """Ask for a transition; `done(step, success)` is called when the node has carried it out or refused."""
        self._changing_s = time.monotonic()
        self.state = State.BUSY
        request = ChangeState.Request(transition=TransitionMessage(id=step.transition.value))

        def changed(future: Any) -> None:
            self._changing_s = None
            self._seen_s = time.monotonic()
            self._asked_s = None
            response = future.result()
            done(step, response is not None and response.success)

        self._change.call_async(request).add_done_callback(changed)

    def _answered(self, future: Any) -> None:
        self._asked_s = None
        response = future.result()
        if response is None or self.changing:
            return
        self._seen_s = time.monotonic()
        self.state = STATES.get(response.current_state.id, State.BUSY)


class Fleet:
    """All managed nodes, in bring-up order."""

    def __init__(self, node: RoomNode, names: Sequence[str], silence_s: float, transition_s: float) -> None:
        self.order = tuple(names)
        self._members = {name: Member(node, name) for name in names}
        self._silence_s, self._transition_s = silence_s, transition_s

    @property
    def states(self) -> dict[str, State]:
        return {name: member.state for name, member in self._members.items()}

    @property
    def changing(self) -> bool:
        return any(member.changing for member in self._members.values())

    def poll(self) -> None:
        now_s = time.monotonic()
        for member in self._members.values():
            member.poll(now_s, self._silence_s, self._transition_s)

    def change(self, step: Step, done: Callable[[Step, bool], None]) -> None:
        self._members[step.node].change(step, done)
