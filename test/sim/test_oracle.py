"""Layouts are proven solvable, and what cannot be solved is told apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vls_steering.sim.layout import BoxPlacement
from vls_steering.sim.oracle import Oracle
from vls_steering.sim.scenes import draw_layout
from vls_steering.sim.scripted import Route
from vls_steering.sim.tasks import Skill, SkillKind
from vls_steering.sim.world import World


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle(World(draw_layout("play", 0)))


def test_an_obstacle_layout_needs_a_detour_that_exists(oracle: Oracle) -> None:
    skill = Skill(SkillKind.LIFT, "green cylinder")
    layout = oracle.draw_solvable("obstacle", 3, skill)
    assert layout.obstacle is not None
    assert not oracle.succeeds(layout, skill, Route.STRAIGHT, 0.0)
    assert oracle.solution(layout, skill) is not None


def test_the_same_seed_draws_the_same_layout(oracle: Oracle) -> None:
    skill = Skill(SkillKind.LIFT, "red cube")
    assert oracle.draw_solvable("obstacle", 5, skill) == oracle.draw_solvable("obstacle", 5, skill)


def test_an_object_under_an_obstacle_is_unsolvable(oracle: Oracle) -> None:
    skill, layout = Skill(SkillKind.LIFT, "blue cube"), draw_layout("play", 2)
    x, y = layout.position_of("blue cube")
    walled = replace(layout, obstacle=BoxPlacement(x - 0.05, y, (0.02, 0.02, 0.15)))
    assert oracle.solution(walled, skill) is None


@pytest.mark.parametrize("kind", SkillKind)
def test_the_script_completes_every_kind_of_skill(oracle: Oracle, kind: SkillKind) -> None:
    assert oracle.solution(draw_layout("play", 11), Skill(kind, "red cube")) is not None
