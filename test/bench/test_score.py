"""The simulator's verdict on recorded states."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from bench.runs import BLOCKED, LIFT, lifting, world

from vls_steering.bench.recording import Recorder
from vls_steering.bench.score import Scorer, goal_of
from vls_steering.sim.layout import Exchange, ObjectPlacement, SceneLayout
from vls_steering.sim.tasks import Skill, SkillKind


@pytest.mark.parametrize(
    ("instruction", "goal"),
    [
        ("pick up the blue cube", Skill(SkillKind.LIFT, "blue cube")),
        ("Lift the GREEN cylinder, but stay clear of the purple box", Skill(SkillKind.LIFT, "green cylinder")),
        ("put the red cube on the plate", Skill(SkillKind.PLACE, "red cube")),
        ("pick up the red cube then put it on the plate", Skill(SkillKind.PLACE, "red cube")),
        ("pick up the red cube while avoiding the blue cube", Skill(SkillKind.LIFT, "red cube")),
        ("push the yellow brick forward", Skill(SkillKind.PUSH, "yellow brick")),
        ("pick up the orange ball", None),
        ("pick up the red cube and the blue cube", None),
        ("stay clear of the purple box", None),
    ],
)
def test_the_goal_is_read_from_the_instruction_alone(instruction: str, goal: Skill | None) -> None:
    assert goal_of(instruction) == goal


def test_a_lift_is_seen_and_timed() -> None:
    verdict = Scorer(world()).measure(lifting(), LIFT).verdict
    assert verdict.success
    assert verdict.completed == ("lift green cylinder",)
    assert verdict.seconds is not None
    assert 1.0 < verdict.seconds <= lifting().duration_s


def test_another_object_is_not_what_was_asked_for() -> None:
    verdict = Scorer(world()).measure(lifting(), Skill(SkillKind.LIFT, "red cube")).verdict
    assert verdict.success is False
    assert verdict.completed == ("lift green cylinder",)


def test_to_be_put_elsewhere_by_an_exchange_is_not_to_be_pushed() -> None:
    """The red cube changes places with the yellow brick, 12 cm farther forward, while the arm rests."""
    things = (ObjectPlacement("red cube", 0.40, 0.15), ObjectPlacement("yellow brick", 0.52, 0.16))
    layout = SceneLayout("swapped", 0, things, exchange=Exchange("red cube", "yellow brick", 0.5))
    scene, recorder = world(), Recorder()
    scene.reset(layout)
    for _ in range(20):
        recorder.states.append(scene.full_state())
        scene.step(0.05)
    assert scene.layout.exchange is None
    recording = recorder.finish(replace(lifting().facts, layout=layout))
    assert Scorer(scene).measure(recording, Skill(SkillKind.PUSH, "red cube")).verdict.completed == ()


def test_without_a_predicate_there_is_no_judgement() -> None:
    assert Scorer(world()).measure(lifting(), None).verdict.success is None


def test_who_touches_the_obstacle_has_failed_even_if_the_object_is_up() -> None:
    verdict = Scorer(world()).measure(lifting(BLOCKED), LIFT).verdict
    assert verdict.collisions == 1
    assert verdict.success is False


def test_a_touch_between_two_recorded_states_is_found() -> None:
    """Only the first state is kept: nothing touches in it, the set-points lead into the post."""
    recording = lifting(BLOCKED)
    sparse = replace(recording, states=recording.states[[0, -1]], state_stamps_s=recording.state_stamps_s[[0, -1]])
    assert Scorer(world()).measure(sparse, LIFT).verdict.collisions == 1


def test_clearance_is_measured_to_the_whole_arm() -> None:
    free, blocked = (Scorer(world()).measure(lifting(*layout), LIFT) for layout in ((), (BLOCKED,)))
    assert free.clearance_m.min() > 0.05
    assert blocked.clearance_m.min() < 0.002
    assert (free.clearance_m <= np.linalg.norm(free.tcp[:, :2] - [0.60, -0.20], axis=1)).all()


def test_nothing_recorded_is_no_success() -> None:
    empty = Recorder().finish(lifting().facts)
    assert Scorer(world()).measure(empty, LIFT).verdict.success is False
