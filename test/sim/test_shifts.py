"""Each shift is what its name says, can be solved, and is proven only once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vls_steering.core.types import DOWN_QUAT_XYZW, SetPoint
from vls_steering.robots.kinematics import ArmKinematics
from vls_steering.sim.layout import KeepOut, SceneLayout
from vls_steering.sim.objects import CLUTTER, GRASPABLES
from vls_steering.sim.oracle import Oracle, candidates
from vls_steering.sim.privileged import true_keypoints
from vls_steering.sim.proven import ProvenLayouts
from vls_steering.sim.scene_names import CAMERA_SCENES, SCENE_NAMES
from vls_steering.sim.scenes import SCENES, draw_layout
from vls_steering.sim.scripted import Route
from vls_steering.sim.tables import PLATE_Y_M
from vls_steering.sim.tasks import Skill, SkillKind
from vls_steering.sim.world import World

TARGETS = tuple(GRASPABLES)
LIFTED_SHIFTS = ("keep_out", "raised", "clutter", "swapped")


@pytest.fixture(scope="module")
def world() -> World:
    return World(draw_layout("play", 0))


@pytest.fixture(scope="module")
def oracle(world: World) -> Oracle:
    return Oracle(world)


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("target", TARGETS)
def test_a_seed_names_one_layout(scene: str, target: str) -> None:
    assert draw_layout(scene, 5, target) == draw_layout(scene, 5, target)
    assert draw_layout(scene, 5, target) != draw_layout(scene, 6, target)


@pytest.mark.parametrize("scene", LIFTED_SHIFTS)
def test_every_shift_can_be_solved(oracle: Oracle, scene: str) -> None:
    skill = Skill(SkillKind.LIFT, "blue cube")
    assert oracle.solution(oracle.draw_solvable(scene, 3, skill), skill) is not None


def test_every_scene_has_a_name_that_can_be_offered() -> None:
    assert set(SCENE_NAMES) == set(SCENES)


def test_what_no_camera_sees_and_no_sentence_says_is_for_the_benchmark_alone() -> None:
    assert {scene for scene in SCENES if draw_layout(scene, 5).keep_out} == set(SCENE_NAMES) - set(CAMERA_SCENES)


@pytest.mark.parametrize("kind", SkillKind)
def test_a_layout_is_only_tried_when_it_holds_what_the_skill_is_about(kind: SkillKind) -> None:
    """Training's tables lack some object as often as not, and sometimes the plate."""
    for seed in range(20):
        layout = next(candidates("training", seed, Skill(kind, "yellow brick")))
        assert "yellow brick" in layout.object_names
        assert kind is not SkillKind.PLACE or layout.plate_xy_m is not None


def test_a_keep_out_leaves_only_ways_around(oracle: Oracle) -> None:
    skill = Skill(SkillKind.LIFT, "red cube")
    layout = oracle.draw_solvable("keep_out", 4, skill)
    assert not oracle.succeeds(layout, skill, Route.STRAIGHT, 0.0)
    assert not oracle.succeeds(layout, skill, Route.OVER, 0.2)
    assert oracle.solution(layout, skill) in (Route.LEFT, Route.RIGHT)


def test_fingertips_in_a_keep_out_are_counted(world: World) -> None:
    x, y, _ = draw_layout("play", 6).home_tcp_m
    world.reset(SceneLayout("t", 0, (), home_tcp_m=(x, y, 0.3), keep_out=KeepOut(x + 0.03, y, 0.05)))
    world.step(0.01)
    assert world.truth().violated
    world.reset(SceneLayout("t", 0, (), home_tcp_m=(x, y, 0.3), keep_out=KeepOut(x + 0.07, y, 0.05)))
    world.step(0.01)
    assert not world.truth().violated


def test_a_raised_target_rests_on_its_support(world: World) -> None:
    layout = draw_layout("raised", 2, "green cylinder")
    world.reset(layout)
    world.step(1.0)
    assert layout.support is not None
    expected = 2 * layout.support.half_size_m[2] + GRASPABLES["green cylinder"].half_height_m
    assert world.truth().positions["green cylinder"][2] == pytest.approx(expected, abs=1e-3)
    assert "grey box" in true_keypoints(world.truth()).names


def test_a_raised_lift_is_measured_from_the_support(world: World, oracle: Oracle) -> None:
    layout, skill = draw_layout("raised", 2, "red cube"), Skill(SkillKind.LIFT, "red cube")
    assert oracle.succeeds(layout, skill, Route.STRAIGHT, 0.0)
    assert layout.placement_of("red cube").surface_m >= 0.05
    assert world.truth().positions["red cube"][2] > layout.placement_of("red cube").surface_m + 0.10


def test_clutter_was_never_in_training() -> None:
    assert set(draw_layout("clutter", 3).object_names) == {*GRASPABLES, *CLUTTER}
    assert not set(CLUTTER) & set(draw_layout("training", 3).object_names)


def test_a_moved_plate_lies_outside_every_plate_of_training() -> None:
    for seed in range(10):
        plate = draw_layout("moved_goal", seed).plate_xy_m
        assert plate is not None
        assert abs(plate[1]) > PLATE_Y_M[1] + 0.05


def test_exchanged_objects_stand_where_the_other_stood(world: World) -> None:
    layout = draw_layout("swapped", 3, "red cube")
    exchange = layout.exchange
    assert exchange is not None
    world.reset(layout)
    world.step(exchange.at_s - 0.05)
    before = world.truth().positions
    world.step(0.1)
    after = world.truth()
    for name, other in ((exchange.first, exchange.second), (exchange.second, exchange.first)):
        np.testing.assert_allclose(after.positions[name][:2], before[other][:2], atol=1e-3)
        np.testing.assert_allclose(after.layout.position_of(name), before[other][:2], atol=1e-3)
    assert after.layout.exchange is None


def test_in_a_graph_of_nodes_objects_wait_for_the_arm_before_they_change_places(world: World) -> None:
    layout = draw_layout("swapped", 3, "red cube")
    world.reset(layout)
    world.begin_with_motion()
    world.step(5.0)
    assert world.layout.exchange is not None
    robot = world.robot_state()
    world.apply(SetPoint(robot.stamp_s, robot.joint_positions + 0.1 * np.eye(7)[0], np.zeros(7), 0.08))
    world.step(1.3)
    assert world.layout.exchange is None


def test_objects_do_not_change_places_under_the_hand(world: World) -> None:
    layout = draw_layout("swapped", 3, "red cube")
    exchange = layout.exchange
    assert exchange is not None
    x, y = layout.position_of("red cube")
    world.reset(layout)
    over = ArmKinematics().solve(np.array([x, y, 0.06]), np.array(DOWN_QUAT_XYZW), world.robot_state().joint_positions)
    world.apply(SetPoint(0.0, over, np.zeros(7), 0.08))
    world.step(exchange.at_s + 0.5)
    assert world.layout.exchange is not None


def test_a_proof_is_found_once_and_kept(oracle: Oracle, tmp_path: Path) -> None:
    calls = []

    class Counting:
        def draw_solvable(self, scene: str, seed: int, skill: Skill) -> SceneLayout:
            calls.append(seed)
            return oracle.draw_solvable(scene, seed, skill)

    proven, skill = ProvenLayouts(Counting(), tmp_path), Skill(SkillKind.LIFT, "red cube")  # type: ignore[arg-type]
    first = proven.draw("raised", 2, skill)
    assert proven.draw("raised", 2, skill) == first
    assert calls == [2]
    next(tmp_path.rglob("*.json")).write_text("torn")
    assert proven.draw("raised", 2, skill) == first
    assert calls == [2, 2]
