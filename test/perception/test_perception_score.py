"""The benchmark's own judgement: who is about whom, what counts, and what cannot be talked away."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
from perception.pictures import picture

from vls_steering.bench.perception import static_rows
from vls_steering.bench.perception_score import ObjectResult, false_names, match
from vls_steering.bench.perception_static import SceneResult
from vls_steering.bench.statistics import quantile_interval
from vls_steering.core.types import Keypoint
from vls_steering.sim.perception_scenes import OBJECTS_RANGE, draw_perception_scene
from vls_steering.sim.props import Prop

BOX = mujoco.mjtGeom.mjGEOM_BOX


def _prop(name: str, x: float, y: float = 0.0) -> Prop:
    return Prop(name, BOX, (0.02, 0.02, 0.02), (x, y, 0.02), (1.0, 0.0, 0.0, 1.0))


def _point(name: str, x: float, y: float = 0.0) -> Keypoint:
    return Keypoint(name, np.array([x, y, 0.02]), np.full(3, 0.04))


def test_numbers_of_equal_things_do_not_matter_and_the_nearest_is_meant() -> None:
    objects = [_prop("red cube", 0.4), _prop("red cube", 0.45)]
    about = match(objects, [_point("red cube 2", 0.401), _point("red cube", 0.452)])
    assert about == {0: 0, 1: 1}


def test_the_right_name_is_preferred_to_the_nearest_keypoint() -> None:
    about = match([_prop("red cube", 0.40)], [_point("red brick", 0.401), _point("red cube", 0.41)])
    assert about == {0: 1}


def test_a_keypoint_far_away_is_about_nothing() -> None:
    objects = [_prop("red cube", 0.40)]
    points = [_point("red cube", 0.50)]
    assert match(objects, points) == {}
    assert [false.name for false in false_names(points, {}, ())] == ["red cube"]


def test_a_nameless_thing_claims_nothing_but_named_clutter_does() -> None:
    points = [_point("grey thing 1", 0.4), _point("blue brick", 0.5)]
    (false,) = false_names(points, {}, [_prop("blue egg", 0.5)])
    assert false.name == "blue brick"
    assert false.on_clutter


def test_what_is_seen_and_not_found_counts_against_naming_and_what_is_hidden_does_not() -> None:
    def thing(called: str, *, seen: bool = True) -> ObjectResult:
        error_m = 0.004 if called else float("nan")
        return ObjectResult("red cube", (0.4, 0.0, 0.0), seen, 200, 1.0, raised=False, called=called, error_m=error_m)

    objects = (thing("red cube"), thing(""), thing("red brick"), thing("", seen=False))
    rows = {row["metric"]: row for row in static_rows([SceneResult(0, objects, (), 0, (0.01,), picture([]))])}
    assert rows["naming_accuracy"]["value"] == pytest.approx(1 / 3, abs=1e-4)
    assert rows["naming_accuracy"]["n"] == 3
    assert rows["centroid_error_median_mm"]["value"] == pytest.approx(4.0)
    assert rows["centroid_error_median_mm"]["n"] == 2


def test_the_interval_of_a_quantile_holds_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = []
    for _ in range(400):
        low, high = quantile_interval(rng.exponential(size=80), 0.5)
        held.append(low <= np.log(2.0) <= high)
    assert 0.93 <= np.mean(held) <= 0.995


@pytest.mark.parametrize("seed", range(300, 360, 2))
def test_a_scene_is_what_its_seed_says(seed: int) -> None:
    scene = draw_perception_scene(seed)
    assert scene == draw_perception_scene(seed)
    assert OBJECTS_RANGE[0] <= len(scene.objects) <= OBJECTS_RANGE[1]
    standing = [p for p in scene.props if p.position_m[2] - p.half_height_m < 0.01]
    for i, one in enumerate(standing):
        for other in standing[:i]:
            gap = np.hypot(one.position_m[0] - other.position_m[0], one.position_m[1] - other.position_m[1])
            assert gap > one.reach_m + other.reach_m
