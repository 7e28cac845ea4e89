"""The world is deterministic, resets exactly and resumes from its full state."""

from __future__ import annotations

import numpy as np
import pytest

from vls_steering.core.errors import ConfigurationError
from vls_steering.core.types import DOWN_QUAT_XYZW, SetPoint
from vls_steering.robots.kinematics import ArmKinematics
from vls_steering.sim.layout import BoxPlacement, SceneLayout
from vls_steering.sim.objects import GRASPABLES, OBSTACLE, PLATE
from vls_steering.sim.privileged import true_keypoints
from vls_steering.sim.scenes import draw_layout
from vls_steering.sim.tables import OBJECT_GAP_M
from vls_steering.sim.tasks import Skill, SkillKind, SkillScorer
from vls_steering.sim.world import World


@pytest.fixture(scope="module")
def world() -> World:
    return World(draw_layout("play", 0))


def test_the_same_layout_gives_exactly_the_same_state(world: World) -> None:
    layout = draw_layout("play", 3)
    world.reset(layout)
    fresh = world.full_state()
    world.reset(draw_layout("play", 4))
    world.step(0.5)
    world.reset(layout)
    np.testing.assert_array_equal(world.full_state(), fresh)


def test_a_restored_state_goes_on_as_the_original_did(world: World) -> None:
    world.reset(draw_layout("play", 5))
    state = world.robot_state()
    target = SetPoint(0.0, state.joint_positions + 0.05, np.zeros(7), 0.0)
    world.apply(target)
    world.step(0.1)
    middle = world.full_state()
    world.step(0.2)
    end = world.full_state()
    world.restore(middle)
    world.step(0.2)
    np.testing.assert_allclose(world.full_state(), end, atol=1e-9)


def test_a_held_arm_stays_where_it_is(world: World) -> None:
    world.reset(draw_layout("play", 6))
    before = world.robot_state().tcp_position
    world.step(1.0)
    np.testing.assert_allclose(world.robot_state().tcp_position, before, atol=1e-3)


def test_the_arm_follows_its_set_point(world: World) -> None:
    world.reset(draw_layout("play", 6))
    goal = world.robot_state().joint_positions + np.array([0.1, 0.05, 0, 0, 0, 0.05, 0.1])
    world.apply(SetPoint(0.0, goal, np.zeros(7), 0.08))
    world.step(1.5)
    np.testing.assert_allclose(world.robot_state().joint_positions, goal, atol=0.01)


def test_the_obstacle_counts_touches(world: World) -> None:
    layout = draw_layout("play", 6)
    x, y, _ = layout.home_tcp_m
    blocked = SceneLayout("t", 0, (), None, BoxPlacement(x, y, (0.02, 0.02, 0.16)), layout.home_tcp_m)
    world.reset(blocked)
    world.step(0.1)
    assert world.obstacle_touches > 0


def test_drawn_layouts_keep_a_finger_between_objects() -> None:
    for seed in range(20):
        layout = draw_layout("play", seed)
        spots = np.array([layout.position_of(name) for name in layout.object_names])
        gaps = np.linalg.norm(spots[:, None] - spots[None], axis=-1) + np.eye(len(spots))
        assert gaps.min() >= OBJECT_GAP_M
        assert set(layout.object_names) == set(GRASPABLES)


def test_an_unknown_scene_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="play"):
        draw_layout("kitchen", 0)


def test_privileged_keypoints_hold_everything_present(world: World) -> None:
    world.reset(draw_layout("obstacle", 1, "red cube"))
    points = true_keypoints(world.truth())
    assert {OBSTACLE, PLATE, *GRASPABLES} == set(points.names)


def test_nothing_is_completed_at_the_start(world: World) -> None:
    layout = draw_layout("play", 8)
    world.reset(layout)
    assert SkillScorer(layout).completed(world.truth()) == frozenset()


def test_a_lift_counts_only_after_a_dwell(world: World) -> None:
    layout = draw_layout("play", 8)
    world.reset(layout)
    scorer, name = SkillScorer(layout), "red cube"
    address = world.model.joint("red_cube").qposadr[0]
    world.data.qpos[address : address + 3] = world.robot_state().tcp_position
    lifted = Skill(SkillKind.LIFT, name)
    world.restore(world.full_state())
    assert lifted not in scorer.completed(world.truth())
    world.data.time += 0.6
    assert lifted in scorer.completed(world.truth())


def test_boxes_are_as_large_as_the_layout_says(world: World) -> None:
    """The fingers come down on the edge of a support that is twice as wide as the compiled box."""
    x, y, z = 0.5, 0.0, 0.30
    down = np.array(DOWN_QUAT_XYZW)
    wide = BoxPlacement(x, y, (0.06, 0.06, 0.05))
    for support, touched in ((wide, True), (None, False)):
        world.reset(SceneLayout("t", 0, (), home_tcp_m=(x, y, z), support=support))
        for height in np.linspace(z, 0.085, 20):
            goal = ArmKinematics().solve(np.array([x, y, height]), down, world.robot_state().joint_positions)
            world.apply(SetPoint(world.stamp_s, goal, np.zeros(7), 0.08))
            world.step(0.1)
        assert _touches(world, "grey_box") is touched


def _touches(world: World, geom: str) -> bool:
    return bool((world.data.contact.geom[: world.data.ncon] == world.model.geom(geom).id).any())
