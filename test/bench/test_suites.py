"""Every seed list is long enough, disjoint, and dealt evenly; every instruction is one that the grammar can write."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from vls_steering.bench.seeds import SEED_LISTS, listed_seeds, seeds_from
from vls_steering.bench.suites import PLAY, QUICK, SHIFT, SHIFTS, SUITES, Task, suite
from vls_steering.core.errors import ConfigurationError
from vls_steering.sim.privileged import true_keypoints
from vls_steering.sim.scenes import SCENES, draw_layout
from vls_steering.sim.tasks import SkillKind
from vls_steering.sim.world import World
from vls_steering.vlm import OfflineGrammar, PlanRequest, plan

TRAINING_FROM = 100_000  # `vls collect`, docs/policy.md
TRAINING_TO = 400_000


@pytest.fixture(scope="module")
def world() -> World:
    return World(draw_layout("play", 0))


def test_held_out_seeds_are_neither_developed_nor_trained_on() -> None:
    development, held_out = (set(listed_seeds(name, 200).values) for name in SEED_LISTS)
    assert not development & held_out
    assert not any(TRAINING_FROM <= seed < TRAINING_TO for seed in development | held_out)


def test_more_seeds_than_committed_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="200 seeds"):
        listed_seeds("held-out", 201)
    with pytest.raises(ConfigurationError, match="development, held-out"):
        listed_seeds("secret", 1)


def test_a_seed_may_be_named_instead() -> None:
    assert seeds_from(7, 3).values == (7, 8, 9)
    assert seeds_from(7, 3).source == "from 7"


def test_a_hundred_episodes_cover_all_skills_and_all_shifts_evenly() -> None:
    seeds = listed_seeds("development", 100).values
    skills = Counter(task.name for task, _ in PLAY.deal(PLAY.tasks, seeds))
    assert len(skills) == 12
    assert max(skills.values()) - min(skills.values()) <= 1
    shifts = Counter(task.shift for task, _ in SHIFT.deal(SHIFT.tasks, seeds))
    assert set(shifts) == {shift.name for shift in SHIFTS}
    assert max(shifts.values()) - min(shifts.values()) <= 1
    targets = Counter(task.drawn_for().target for task, _ in SHIFT.deal(SHIFT.tasks, seeds[:96]))
    assert set(targets.values()) == {24}


def test_the_quick_suite_runs_every_task_on_every_seed() -> None:
    assert len(QUICK.deal(QUICK.tasks, (1, 2))) == 2 * len(QUICK.tasks)


@pytest.mark.parametrize("name", SUITES)
def test_task_names_are_unique_and_scenes_known(name: str) -> None:
    tasks = suite(name).tasks
    assert len({task.name for task in tasks}) == len(tasks)
    assert {task.scene for task in tasks} <= set(SCENES)


@pytest.mark.parametrize("task", [*PLAY.tasks, *SHIFT.tasks], ids=lambda task: task.name)
def test_the_grammar_understands_every_instruction(world: World, task: Task) -> None:
    world.reset(draw_layout(task.scene, 1000, task.drawn_for().target))
    assert task.instruction is not None
    program = plan(PlanRequest(task.instruction, true_keypoints(world.truth())), OfflineGrammar())
    assert task.drawn_for().target in program.stages[0].name
    assert (len(program.stages) == 5) is (task.drawn_for().kind is SkillKind.PLACE)


def test_seed_lists_are_installed_with_the_package() -> None:
    import vls_steering

    folder = Path(vls_steering.__file__).parent / "data" / "seeds"
    assert {path.stem for path in folder.glob("*.yaml")} == set(SEED_LISTS)
