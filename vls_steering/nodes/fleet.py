"""The lifecycle nodes as the manager sees them: asked for their state, told to change it, missed when silent."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from lifecycle_msgs.msg import Transition as TransitionMessage
from lifecycle_msgs.srv import ChangeState, GetState

from vls_steering.nodes.base import RoomNode
from vls_steering.nodes.bringup import State, Step, Transition

_UPWARDS = (Transition.CONFIGURE, Transition.ACTIVATE)
STATES = {1: State.UNCONFIGURED, 2: State.INACTIVE, 3: State.ACTIVE, 4: State.FINALIZED}


@dataclass
class _Change:
    """A transition that was asked for and not yet answered."""

    step: Step
    done: Callable[[Step, bool], None]
    begun_s: float
    asked_s: float


class Member:
    """One managed node.  Its answers to `get_state` are the heartbeat: they come from the thread that does its work.

    On a busy host requests and answers get lost.  A node that tells its state although a transition was asked for long
    ago is not at it any more: it has arrived, or it is asked once more.
    """

    def __init__(self, node: RoomNode, name: str) -> None:
        self.name = name
        self.state = State.UNKNOWN
        self._seen_s = self._changed_s = float("-inf")
        self._asked_s: float | None = None
        self._pending: _Change | None = None
        # In this order: end points become known in the order of their making, so that a node that answers the second
        # can answer the first.  An answer to somebody not known yet is dropped.
        self._change: Any = node.create_client(ChangeState, f"{name}/change_state")
        self._get: Any = node.create_client(GetState, f"{name}/get_state")
        node.own(lambda: node.destroy_client(self._get))
        node.own(lambda: node.destroy_client(self._change))

    @property
    def changing(self) -> bool:
        return self._pending is not None

    def poll(self, now_s: float, silence_s: float, transition_s: float) -> None:
        """Ask for the state; call it unknown when the node is gone or has not answered for `silence_s`.

        A node that is on its way up (loading weights) is given `transition_s` instead, one on its way down is waited
        for as long as one at rest: when ros2 launch ends a set, it gives the whole of it ten seconds.
        """
        pending = self._pending
        patience_s, heard_s = silence_s, self._seen_s
        if pending is not None:
            heard_s = max(self._seen_s, pending.begun_s)
            patience_s = transition_s if pending.step.transition in _UPWARDS else silence_s
        there = self._get.service_is_ready()
        if self.state is not State.UNKNOWN and (not there or now_s - heard_s > patience_s):
            self.state, self._pending = State.UNKNOWN, None
        if self._asked_s is not None and now_s - self._asked_s > silence_s:
            self._asked_s = None  # the answer is lost; ask again
        may_ask = pending is None or now_s - pending.asked_s > silence_s
        if self._asked_s is None and may_ask and there:
            self._asked_s = now_s
            self._get.call_async(GetState.Request()).add_done_callback(partial(self._answered, now_s))

    def change(self, step: Step, done: Callable[[Step, bool], None]) -> None:
        """Ask for a transition; `done(step, success)` is called when the node has carried it out or refused."""
        now_s = time.monotonic()
        self._ask_to_change(_Change(step, done, now_s, now_s))

    def _ask_to_change(self, change: _Change) -> None:
        self._pending, self._asked_s, self.state = change, None, State.BUSY
        request = ChangeState.Request(transition=TransitionMessage(id=change.step.transition.value))

        def changed(future: Any) -> None:
            response = future.result()
            if response is not None and response.success:
                self._finish(change, True)
            else:
                # Of two requests, when an answer was lost, the second is refused by a node that has arrived already.
                self._get.call_async(GetState.Request()).add_done_callback(looked)

        def looked(future: Any) -> None:
            self._finish(change, _state(future.result()) is change.step.target)

        self._change.call_async(request).add_done_callback(changed)

    def _finish(self, change: _Change, success: bool) -> None:
        if self._pending is not change:
            return  # answered before, or given up
        self._pending = self._asked_s = None
        self._seen_s = self._changed_s = time.monotonic()
        change.done(change.step, success)

    def _answered(self, asked_s: float, future: Any) -> None:
        if self._asked_s == asked_s:
            self._asked_s = None
        response, change = future.result(), self._pending
        if response is None or asked_s <= (self._changed_s if change is None else change.asked_s):
            return  # what it was before the transition
        state = _state(response)
        if change is None:
            self._seen_s, self.state = time.monotonic(), state
        elif state is change.step.target:
            self.state = state
            self._finish(change, True)
        elif state is not State.BUSY:
            self._ask_to_change(replace(change, asked_s=time.monotonic()))


def _state(response: GetState.Response | None) -> State:
    return State.UNKNOWN if response is None else STATES.get(response.current_state.id, State.BUSY)


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
