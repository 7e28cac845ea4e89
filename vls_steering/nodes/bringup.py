"""Which lifecycle transition comes next; pure, so that every order of events can be tested.

The manager does not run a script but compares what is with what should be, again and again: a node that restarts, or
was activated by hand, needs no special case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum


class Goal(Enum):
    UP = "up"  # every node active
    DOWN = "down"  # every node finalized


class State(Enum):
    """Lifecycle state of a node as seen from outside."""

    UNKNOWN = "unknown"  # no answer yet, or no longer
    BUSY = "busy"  # in a transition
    UNCONFIGURED = "unconfigured"
    INACTIVE = "inactive"
    ACTIVE = "active"
    FINALIZED = "finalized"


class Transition(Enum):
    """Values are the ids of lifecycle_msgs/Transition."""

    CONFIGURE = 1
    CLEANUP = 2
    ACTIVATE = 3
    DEACTIVATE = 4
    SHUTDOWN = 5  # from unconfigured


_TARGETS = {
    Transition.CONFIGURE: State.INACTIVE,
    Transition.CLEANUP: State.UNCONFIGURED,
    Transition.ACTIVATE: State.ACTIVE,
    Transition.DEACTIVATE: State.INACTIVE,
    Transition.SHUTDOWN: State.FINALIZED,
}


@dataclass(frozen=True)
class Step:
    node: str
    transition: Transition

    @property
    def target(self) -> State:
        """State of the node when the transition has succeeded."""
        return _TARGETS[self.transition]


def next_step(order: Sequence[str], states: Mapping[str, State], goal: Goal) -> Step | None:
    """The next transition to ask for, or None when there is nothing to do or a node must be waited for."""
    return _up(order, states) if goal is Goal.UP else _down(order, states)


def reached(order: Sequence[str], states: Mapping[str, State], goal: Goal) -> bool:
    """Whether every node is where `goal` wants it; on the way down a node that is gone is down."""
    wanted = {State.ACTIVE} if goal is Goal.UP else {State.FINALIZED, State.UNKNOWN}
    return all(states.get(name, State.UNKNOWN) in wanted for name in order)


def _up(order: Sequence[str], states: Mapping[str, State]) -> Step | None:
    # All are configured before the first is activated: no stream opens while a later node may still refuse.
    for ready, transition in (
        ({State.INACTIVE, State.ACTIVE}, Transition.CONFIGURE),
        ({State.ACTIVE}, Transition.ACTIVATE),
    ):
        for name in order:
            state = states.get(name, State.UNKNOWN)
            if state in ready:
                continue
            fitting = State.UNCONFIGURED if transition is Transition.CONFIGURE else State.INACTIVE
            return Step(name, transition) if state is fitting else None
    return None


def _down(order: Sequence[str], states: Mapping[str, State]) -> Step | None:
    for fitting, transition in (
        (State.ACTIVE, Transition.DEACTIVATE),
        (State.INACTIVE, Transition.CLEANUP),
        (State.UNCONFIGURED, Transition.SHUTDOWN),
    ):
        for name in reversed(order):
            state = states.get(name, State.UNKNOWN)
            if state is State.BUSY:
                return None
            if state is fitting:
                return Step(name, transition)
    return None
