"""One picture -> objects with names, places and sizes, on pictures whose truth is exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from perception.pictures import BLUE, GREY, RED, picture, robot_far_away, standing

from vls_steering.core.errors import StreamFault
from vls_steering.core.types import CameraFrame, Keypoints
from vls_steering.perception import PerceptionPipeline, PerceptionSettings
from vls_steering.perception.colour import COLOURS, classify_colours
from vls_steering.perception.lift import lift
from vls_steering.perception.plane import find_support_plane
from vls_steering.perception.settings import PlaneSettings, WorkspaceSettings
from vls_steering.perception.shape import fit_circle, measure_footprint, name_shape

CUBE = (0.038, 0.038, 0.038)


def _perceive(frame: CameraFrame, updates: int = 1) -> tuple[Keypoints, PerceptionPipeline]:
    pipeline = PerceptionPipeline(PerceptionSettings(), seed=0)
    for _ in range(updates):
        keypoints = pipeline.update([frame], robot_far_away())
    return keypoints, pipeline


@settings(max_examples=15, deadline=None)
@given(table_z_m=st.floats(-0.05, 0.06), slope_y=st.floats(-0.03, 0.03))
def test_the_support_plane_is_found_where_it_is(table_z_m: float, slope_y: float) -> None:
    frame = picture([standing(0.5, 0.1, CUBE, RED, table_z_m + 0.1 * slope_y)], table_z_m, slope_y, seed=1)
    plane = find_support_plane(lift(frame), PlaneSettings(), WorkspaceSettings(), np.random.default_rng(0))
    assert plane.z_at(0.5, 0.0) == pytest.approx(table_z_m, abs=0.001)
    assert plane.slope_y == pytest.approx(slope_y, abs=0.004)


@settings(max_examples=15, deadline=None)
@given(x=st.floats(0.36, 0.66), y=st.floats(-0.28, 0.28), table_z_m=st.floats(-0.03, 0.05))
def test_a_cube_is_found_at_its_centre_not_at_its_visible_surface(x: float, y: float, table_z_m: float) -> None:
    keypoints, _ = _perceive(picture([standing(x, y, CUBE, RED, table_z_m)], table_z_m, seed=2))
    assert keypoints.names == ("red cube",)
    assert np.linalg.norm(keypoints.points[0].position - [x, y, table_z_m + 0.019]) < 0.005
    assert keypoints.points[0].size == pytest.approx(CUBE, abs=0.008)


def test_a_post_keeps_its_extents() -> None:
    keypoints, _ = _perceive(picture([standing(0.5, 0.1, (0.05, 0.05, 0.20), (115, 25, 153))], seed=3))
    assert keypoints.names == ("purple box",)
    assert keypoints.points[0].size == pytest.approx((0.05, 0.05, 0.20), abs=0.008)


def test_the_same_colour_twice_gives_two_names() -> None:
    frame = picture([standing(0.45, 0.1, CUBE, BLUE), standing(0.55, -0.1, CUBE, BLUE)], seed=4)
    assert set(_perceive(frame)[0].names) == {"blue cube", "blue cube 2"}


def test_the_same_colour_behind_and_beside_is_not_one_thing() -> None:
    """In the picture the post covers part of the slab; in space they are apart."""
    slab = standing(0.44, 0.05, (0.12, 0.12, 0.012), BLUE)
    post = standing(0.54, 0.05, (0.04, 0.04, 0.12), BLUE)
    keypoints, _ = _perceive(picture([slab, post], seed=7), updates=4)
    assert set(keypoints.names) == {"blue plate", "blue box"}


def test_a_side_in_shade_belongs_to_the_thing() -> None:
    """A dark red side has no hue left."""
    box = standing(0.5, 0.0, (0.04, 0.04, 0.10), (45, 6, 5))
    lid = standing(0.5, 0.0, (0.04, 0.04, 0.004), RED, z=0.10)
    keypoints, _ = _perceive(picture([box, lid], seed=8), updates=4)
    assert keypoints.names == ("red box",)


@pytest.mark.parametrize("light", [0.55, 0.8, 1.0])
@pytest.mark.parametrize(("level", "name"), [(230, "white"), (120, "grey"), (12, "black")])
def test_greys_are_named_by_the_light_on_the_table(level: int, name: str, light: float) -> None:
    frame = picture([standing(0.5, 0.0, CUBE, (level, level, level))], seed=9)
    dimmed = replace(frame, color=(light * frame.color).astype(np.uint8))
    keypoints, _ = _perceive(dimmed, updates=4)
    assert keypoints.names == (f"{name} cube",)


def test_what_fits_no_name_is_reported_and_must_persist() -> None:
    frame = picture([standing(0.5, 0.0, (0.02, 0.07, 0.03), GREY)], seed=5)
    assert _perceive(frame)[0].names == ()
    keypoints, pipeline = _perceive(frame, updates=4)
    assert keypoints.names == ("grey thing 1",)
    assert pipeline.unnamed == ("grey thing 1",)


def test_a_flat_mark_on_the_table_is_no_object() -> None:
    assert _perceive(picture([standing(0.5, 0.0, (0.06, 0.06, 0.002), RED)], seed=6), updates=4)[0].names == ()


def test_no_table_is_a_stream_fault() -> None:
    frame = picture([], table_z_m=-0.6)
    with pytest.raises(StreamFault, match="no table"):
        _perceive(frame)


@pytest.mark.parametrize("brightness", [0.6, 0.8, 1.0, 1.25])
@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((200, 25, 20), "red"),
        ((20, 50, 200), "blue"),
        ((25, 160, 40), "green"),
        ((200, 170, 25), "yellow"),
        ((115, 25, 153), "purple"),
        ((120, 120, 120), "grey"),
    ],
)
def test_light_does_not_rename_a_colour(rgb: tuple[int, int, int], name: str, brightness: float) -> None:
    pixel = np.full((4, 4, 3), np.clip(brightness * np.array(rgb), 0, 255), dtype=np.uint8)
    assert {COLOURS[i] for i in np.unique(classify_colours(pixel))} == {name}


@settings(max_examples=30, deadline=None)
@given(yaw=st.floats(-0.8, 0.8))
def test_round_and_square_tops_are_told_apart_at_any_yaw(yaw: float) -> None:
    pixel_m = 0.0033
    side = np.arange(-0.05, 0.05, pixel_m)
    xy = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    turned = xy @ np.array([[np.cos(yaw), -np.sin(yaw)], [np.sin(yaw), np.cos(yaw)]])
    disc = xy[np.linalg.norm(xy, axis=1) < 0.019]
    square = xy[(np.abs(turned) < 0.019).all(axis=1)]
    brick = xy[(np.abs(turned) < [0.030, 0.018]).all(axis=1)]
    assert name_shape(measure_footprint(disc, pixel_m), 0.05) == "cylinder"
    assert name_shape(measure_footprint(square, pixel_m), 0.038) == "cube"
    assert name_shape(measure_footprint(brick, pixel_m), 0.036) == "brick"


def test_a_disc_is_found_from_half_of_its_rim() -> None:
    angles = np.linspace(0.0, np.pi, 40)
    rim = np.array([0.5, 0.1]) + 0.085 * np.column_stack([np.cos(angles), np.sin(angles)])
    disc = fit_circle(rim)
    assert disc.centre == pytest.approx([0.5, 0.1], abs=1e-6)
    assert disc.radius == pytest.approx(0.085, abs=1e-6)
    assert disc.is_plate
    assert disc.share == pytest.approx(0.5, abs=0.12)
