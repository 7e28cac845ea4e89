"""The kinematic world in which programs are rehearsed: what is pushed, carried, set down and let go."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rewards.table import PLACES, SIZES, keypoints

from vls_steering.core.arrays import FloatArray
from vls_steering.core.types import Keypoint, Keypoints
from vls_steering.rewards.rehearse import HORIZON, World

TABLE = keypoints("red cube", "white plate")


def moved(world: World, goal: tuple[float, float, float], width_m: float) -> World:
    """The world after one chunk straight to `goal`, at a constant width."""
    share = np.linspace(1 / HORIZON, 1.0, HORIZON).reshape(-1, 1)
    path: FloatArray = world.tcp + share * (np.array(goal) - world.tcp)
    return world.after(path, np.full(HORIZON, width_m))


def holding(name: str, points: Keypoints, height_m: float = 0.2) -> World:
    """The object in the hand, over its place."""
    at = np.array([*PLACES[name][:2], height_m])
    lifted = tuple(replace(p, position=at) if p.name == name else p for p in points.points)
    return World(replace(points, points=lifted), at, width_m=0.0, held=name)


@pytest.mark.parametrize("beyond_m", [0.03, 0.05, 0.08])
def test_a_pushed_object_ends_at_the_fingertip_however_fast_it_came(beyond_m: float) -> None:
    x, y, z = PLACES["red cube"]
    half = SIZES["red cube"][0] / 2
    start = World(TABLE, np.array([x - half - 0.12, y, z]), width_m=0.0)
    after = moved(start, (x - half + beyond_m, y, z), 0.0).position("red cube")
    assert after[0] - x == pytest.approx(beyond_m, abs=0.015)
    assert after[1:] == pytest.approx([y, z])


def test_what_is_held_does_not_sink_into_what_is_below() -> None:
    x, y, _ = PLACES["white plate"]
    over = moved(holding("red cube", TABLE), (x, y, 0.1), 0.0)
    down = moved(over, (x, y, 0.0), 0.0)
    top = PLACES["white plate"][2] + SIZES["white plate"][2] / 2
    assert down.position("red cube")[2] == pytest.approx(top + SIZES["red cube"][2] / 2)
    assert down.tcp[2] == pytest.approx(down.position("red cube")[2])
    let_go = moved(down, (x, y, 0.0), 0.08)
    assert let_go.held is None
    assert let_go.position("red cube") == pytest.approx(down.position("red cube"))


def test_the_empty_hand_stays_over_the_table() -> None:
    assert moved(World(TABLE, np.array([0.4, 0.0, 0.1])), (0.4, 0.0, -0.2), 0.08).tcp[2] == 0.0


@pytest.mark.parametrize("width_m", [0.04, 0.06, 0.075])
def test_an_open_hand_lets_go_of_whatever_it_could_grasp(width_m: float) -> None:
    cup = Keypoint("cup", np.array([0.5, 0.0, 0.2]), np.array([width_m, width_m, 0.08]))
    world = World(Keypoints(0.0, (cup,)), cup.position, width_m=0.0, held="cup")
    after = moved(world, (0.5, 0.0, 0.2), 0.08)
    assert after.held is None
    assert after.position("cup")[2] == pytest.approx(0.04)
