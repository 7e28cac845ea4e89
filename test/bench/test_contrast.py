"""The frozen policy alone, before the nodes start: what it does, and what it was after."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vls_steering.bench.contrast import AloneRun, Prologue
from vls_steering.bench.score import goal_of
from vls_steering.nodes.demo_options import DemoOptions
from vls_steering.policies import load_policy
from vls_steering.policies.shipped import SHIPPED_POLICY
from vls_steering.sim.objects import GRASPABLES

DEMO = DemoOptions()


@pytest.fixture(scope="module")
def alone() -> Iterator[AloneRun]:
    """In the very layout of `make demo`."""
    goal = goal_of(DEMO.instruction)
    assert goal is not None
    prologue = Prologue(load_policy(SHIPPED_POLICY), DEMO.scene, DEMO.seed, goal)
    try:
        yield prologue.run_alone(prologue.draw(), DEMO.instruction)
    finally:
        prologue.close()


def test_it_fails_what_the_demo_asks_for_and_was_after_something_else(alone: AloneRun) -> None:
    goal = goal_of(DEMO.instruction)
    assert goal is not None
    assert not alone.contrast.success
    assert alone.contrast.made_for in GRASPABLES
    assert alone.contrast.made_for != goal.target


def test_what_it_was_after_is_told(alone: AloneRun) -> None:
    assert f"made for the {alone.contrast.made_for}" in alone.contrast.explanation
