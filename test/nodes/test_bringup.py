"""Ordered bring-up and reverse shutdown, as decisions on what is seen."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vls_steering.nodes.bringup import Goal, State, Step, Transition, next_step, reached

ORDER = ("sim_bridge", "executor", "policy")
AFTER = {
    Transition.CONFIGURE: State.INACTIVE,
    Transition.ACTIVATE: State.ACTIVE,
    Transition.DEACTIVATE: State.INACTIVE,
    Transition.CLEANUP: State.UNCONFIGURED,
    Transition.SHUTDOWN: State.FINALIZED,
}
SETTLED = st.sampled_from([State.UNCONFIGURED, State.INACTIVE, State.ACTIVE])


def steps_to(goal: Goal, states: dict[str, State]) -> list[Step]:
    """Every step taken, when each succeeds at once."""
    taken: list[Step] = []
    while (step := next_step(ORDER, states, goal)) is not None:
        taken.append(step)
        states[step.node] = AFTER[step.transition]
        assert len(taken) < 20, "it goes round in circles"
    return taken


def test_all_are_configured_in_order_before_the_first_is_activated() -> None:
    steps = steps_to(Goal.UP, dict.fromkeys(ORDER, State.UNCONFIGURED))
    assert steps == [Step(name, Transition.CONFIGURE) for name in ORDER] + [
        Step(name, Transition.ACTIVATE) for name in ORDER
    ]


def test_the_way_down_is_reversed() -> None:
    steps = steps_to(Goal.DOWN, dict.fromkeys(ORDER, State.ACTIVE))
    transitions = (Transition.DEACTIVATE, Transition.CLEANUP, Transition.SHUTDOWN)
    assert steps == [Step(name, transition) for transition in transitions for name in reversed(ORDER)]


@given(st.fixed_dictionaries(dict.fromkeys(ORDER, SETTLED)), st.sampled_from(Goal))
def test_the_goal_is_reached_from_wherever_the_nodes_are(states: dict[str, State], goal: Goal) -> None:
    steps_to(goal, states)
    assert reached(ORDER, states, goal)


def test_a_missing_node_is_waited_for_on_the_way_up() -> None:
    states = {"sim_bridge": State.INACTIVE, "executor": State.UNKNOWN, "policy": State.UNCONFIGURED}
    assert next_step(ORDER, states, Goal.UP) is None
    assert not reached(ORDER, states, Goal.UP)


def test_a_missing_node_does_not_hold_up_the_way_down() -> None:
    states = {"sim_bridge": State.ACTIVE, "executor": State.UNKNOWN, "policy": State.ACTIVE}
    assert [step.node for step in steps_to(Goal.DOWN, states)] == ["policy", "sim_bridge"] * 3
    assert reached(ORDER, states, Goal.DOWN)


def test_nothing_is_asked_while_a_node_is_in_a_transition() -> None:
    states = {"sim_bridge": State.ACTIVE, "executor": State.BUSY, "policy": State.INACTIVE}
    assert next_step(ORDER, states, Goal.UP) is None
    assert next_step(ORDER, states, Goal.DOWN) is None
