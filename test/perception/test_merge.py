"""Which views are of one object, and what they say together."""

from __future__ import annotations

import numpy as np
import pytest

from vls_steering.perception.detection import Detection
from vls_steering.perception.merge import merge_views

GAP_M = 0.04


def _view(
    camera: str,
    x: tuple[float, float],
    y: tuple[float, float],
    *,
    free: tuple[tuple[bool, bool], tuple[bool, bool]] = ((True, True), (True, True)),
    shape: str = "cube",
    colour: str = "red",
    height_m: float = 0.04,
) -> Detection:
    """A view with these bounds and a top face that fills them."""
    face = np.stack(np.meshgrid(np.arange(*x, 0.002), np.arange(*y, 0.002)), axis=-1).reshape(-1, 2)
    return Detection(
        colour,
        shape,
        camera,
        mask=np.zeros((1, 1), dtype=bool),
        points=np.zeros((len(face), 3), dtype=np.float32),
        lower=np.array([x[0], y[0], 0.0]),
        upper=np.array([x[1], y[1], height_m]),
        free=np.array(free),
        grounded=True,
        face=face,
    )


def test_two_whole_things_of_one_colour_in_one_picture_are_two() -> None:
    assert (
        len(merge_views([_view("front", (0.40, 0.44), (0, 0.04)), _view("front", (0.45, 0.49), (0, 0.04))], GAP_M)) == 2
    )


def test_whole_views_of_two_cameras_are_matched_by_place_and_averaged() -> None:
    views = [
        _view("front", (0.400, 0.440), (0, 0.04)),
        _view("front", (0.470, 0.510), (0, 0.04)),
        _view("wrist", (0.402, 0.442), (0, 0.04)),
        _view("wrist", (0.472, 0.512), (0, 0.04)),
    ]
    places = sorted(float(sighting.centroid[0]) for sighting in merge_views(views, GAP_M))
    assert places == pytest.approx([0.421, 0.491], abs=1e-3)


def test_a_part_belongs_to_the_whole_that_contains_it_and_not_to_its_neighbour() -> None:
    views = [
        _view("front", (0.40, 0.44), (0, 0.04)),
        _view("front", (0.46, 0.50), (0, 0.04)),
        _view("wrist", (0.46, 0.475), (0, 0.04), free=((True, True), (False, True))),
    ]
    sightings = merge_views(views, GAP_M)
    assert len(sightings) == 2
    assert all(sighting.complete for sighting in sightings)
    assert sorted(s.centroid[0] for s in sightings) == pytest.approx([0.42, 0.48])


def test_parts_that_continue_each_other_behind_a_finger_are_one_and_get_its_shape() -> None:
    """Each half is a thin strip; together they are a cube."""
    left = _view("front", (0.40, 0.412), (0, 0.04), free=((True, True), (False, True)), shape="thing")
    right = _view("front", (0.428, 0.44), (0, 0.04), free=((False, True), (True, True)), shape="thing")
    (sighting,) = merge_views([left, right], GAP_M)
    assert sighting.complete
    assert sighting.shape == "cube"
    assert sighting.centroid[0] == pytest.approx(0.42)


def test_parts_that_end_before_they_meet_are_two() -> None:
    left = _view("front", (0.40, 0.42), (0, 0.04), free=((False, True), (True, True)))
    right = _view("front", (0.45, 0.47), (0, 0.04), free=((True, True), (False, True)))
    assert len(merge_views([left, right], GAP_M)) == 2


def test_many_views_of_one_object_merge_in_any_order() -> None:
    strips = [
        _view(camera, (0.40 + 0.01 * i, 0.42 + 0.01 * i), (0, 0.04), free=((False, True), (False, True)))
        for i in range(3)
        for camera in ("front", "wrist")
    ]
    assert len(merge_views(strips, GAP_M)) == len(merge_views(strips[::-1], GAP_M)) == 1


def test_colours_never_merge() -> None:
    views = [_view("front", (0.40, 0.44), (0, 0.04)), _view("wrist", (0.40, 0.44), (0, 0.04), colour="blue")]
    assert {sighting.colour for sighting in merge_views(views, GAP_M)} == {"red", "blue"}
