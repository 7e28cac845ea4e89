"""Objects keep their names and places through occlusion, in the grasp and against false sightings."""

from __future__ import annotations

import numpy as np
import pytest
from perception.pictures import robot_far_away

from vls_steering.perception.merge import Sighting
from vls_steering.perception.rigid import fit_rigid
from vls_steering.perception.settings import MotionSettings, TrackSettings
from vls_steering.perception.track import Tracker

CUBE = np.full(3, 0.04)
AT = np.array([0.5, 0.1, 0.02])


def _sighting(position: np.ndarray, size: np.ndarray = CUBE, shape: str = "cube", colour: str = "red") -> Sighting:
    free = np.ones((2, 2), dtype=bool)
    return Sighting(colour, shape, position - size / 2, position + size / 2, free, grounded=True, pixels=200)


def _part(lower: np.ndarray, upper: np.ndarray, free: list[list[bool]]) -> Sighting:
    return Sighting("red", "thing", lower, upper, np.array(free), grounded=True, pixels=60)


@pytest.fixture
def tracker() -> Tracker:
    """A tracker that has seen a red cube for half a second."""
    tracker = Tracker(TrackSettings(), MotionSettings())
    for i in range(6):
        tracker.update([_sighting(AT)], robot_far_away(), 0.1 * i)
    return tracker


def test_an_occluded_object_stays_where_it_was_and_ages(tracker: Tracker) -> None:
    point = tracker.update([], robot_far_away(), 1.5).find("red cube")
    assert point is not None
    assert point.position == pytest.approx(AT)
    assert not point.visible
    assert point.age_s == pytest.approx(1.0)


def test_a_slow_motion_is_followed_without_delay(tracker: Tracker) -> None:
    for i in range(1, 6):
        where = AT + [0.012 * i, 0, 0]
        point = tracker.update([_sighting(where)], robot_far_away(), 0.5 + 0.1 * i).points[0]
    assert point.position == pytest.approx(where, abs=0.001)


def test_a_single_jump_is_not_believed_a_lasting_one_is(tracker: Tracker) -> None:
    far = AT + [0.0, -0.25, 0.0]
    for i in range(2):
        assert tracker.update([_sighting(far)], robot_far_away(), 0.6 + 0.1 * i).points[0].position == pytest.approx(AT)
    keypoints = tracker.update([_sighting(far)], robot_far_away(), 0.8)
    assert keypoints.names == ("red cube",)
    assert keypoints.points[0].position == pytest.approx(far)


def test_false_sightings_here_and_there_never_add_up(tracker: Tracker) -> None:
    rng = np.random.default_rng(0)
    for i in range(20):
        stray = AT + [0.0, -0.1 - 0.2 * rng.random(), 0.1 * (i % 2)]
        point = tracker.update([_sighting(stray)], robot_far_away(), 0.6 + 0.1 * i).points[0]
        assert point.position == pytest.approx(AT)


def test_a_partial_view_that_agrees_does_not_move_the_object(tracker: Tracker) -> None:
    half_hidden = _part(AT - CUBE / 2, AT + [0.0, 0.02, 0.02], [[True, True], [False, True]])
    assert tracker.update([half_hidden], robot_far_away(), 0.6).points[0].position == pytest.approx(AT, abs=1e-6)


def test_one_free_side_places_an_object_of_known_size(tracker: Tracker) -> None:
    moved = AT + [0.02, 0.0, 0.0]
    front_half = _part(moved + [0.0, -0.02, -0.02], moved + CUBE / 2, [[False, True], [True, True]])
    assert tracker.update([front_half], robot_far_away(), 0.6).points[0].position == pytest.approx(moved, abs=1e-3)


def test_a_fragment_of_a_known_object_is_no_new_object(tracker: Tracker) -> None:
    fragment = _part(AT - 0.019, AT - [0.01, 0.01, -0.019], [[False, False], [False, False]])
    for i in range(6):
        keypoints = tracker.update([_sighting(AT), fragment], robot_far_away(), 0.6 + 0.1 * i)
    assert keypoints.names == ("red cube",)


def test_a_gripped_object_moves_with_the_hand_unseen(tracker: Tracker) -> None:
    tracker.update([], robot_far_away(tuple(AT), 0.04, holds=True), 0.6)
    lifted = AT + [0.05, -0.1, 0.2]
    keypoints = tracker.update([], robot_far_away(tuple(lifted), 0.04, holds=True), 0.7)
    assert tracker.held == "red cube"
    assert keypoints.points[0].position == pytest.approx(lifted, abs=1e-6)
    assert keypoints.points[0].age_s == 0.0


def test_an_opened_hand_leaves_the_object_behind(tracker: Tracker) -> None:
    tracker.update([], robot_far_away(tuple(AT), 0.04, holds=True), 0.6)
    tracker.update([], robot_far_away(tuple(AT), 0.06, holds=False), 0.7)
    keypoints = tracker.update([], robot_far_away((0.4, 0.0, 0.3), 0.08), 0.8)
    assert tracker.held is None
    assert keypoints.points[0].position == pytest.approx(AT, abs=1e-6)


def test_fingers_closed_further_than_the_object_is_wide_do_not_hold_it(tracker: Tracker) -> None:
    tracker.update([_sighting(AT)], robot_far_away(tuple(AT), 0.009, holds=True), 0.6)
    assert tracker.held is None


def test_a_brief_loss_of_the_grip_signal_does_not_drop_the_object(tracker: Tracker) -> None:
    tracker.update([], robot_far_away(tuple(AT), 0.04, holds=True), 0.6)
    tracker.update([], robot_far_away(tuple(AT), 0.04, holds=False), 0.7)
    assert tracker.held == "red cube"


def test_an_object_lost_from_the_grasp_is_found_again_where_it_is_seen(tracker: Tracker) -> None:
    tracker.update([], robot_far_away(tuple(AT), 0.04, holds=True), 0.6)
    up = AT + [0.0, 0.0, 0.2]
    for i in range(3):
        keypoints = tracker.update([_sighting(AT)], robot_far_away(tuple(up), 0.04, holds=True), 0.7 + 0.1 * i)
    assert keypoints.points[0].position == pytest.approx(AT, abs=0.002)
    assert tracker.held is None


def test_while_it_is_hidden_an_object_is_known_worse_and_then_well_again(tracker: Tracker) -> None:
    def sigma_m(sightings: list[Sighting], stamp_s: float) -> float:
        return float(tracker.update(sightings, robot_far_away(), stamp_s).points[0].sigma_m.max())

    seen, hidden, longer = sigma_m([_sighting(AT)], 0.6), sigma_m([], 1.1), sigma_m([], 1.6)
    assert seen < hidden < longer
    assert sigma_m([_sighting(AT)], 1.7) < hidden


def test_a_moving_object_goes_on_for_a_while_unseen(tracker: Tracker) -> None:
    for i in range(1, 6):
        tracker.update([_sighting(AT + [0.012 * i, 0, 0])], robot_far_away(), 0.5 + 0.1 * i)
    one = tracker.update([], robot_far_away(), 1.1).points[0]
    much = tracker.update([], robot_far_away(), 3.0).points[0]
    assert one.position[0] == pytest.approx(AT[0] + 0.070, abs=0.004)
    assert AT[0] + 0.07 < much.position[0] < AT[0] + 0.11
    assert much.sigma_m[0] > one.sigma_m[0] > one.sigma_m[1]


def test_what_was_pushed_behind_the_hand_is_expected_where_the_hand_took_it(tracker: Tracker) -> None:
    """And recognised there at once, far beyond the gate around its old place."""
    stamps = 0.6 + 0.1 * np.arange(11)
    for i, stamp_s in enumerate(stamps):
        hand = robot_far_away((AT[0] + 0.04 - 0.015 * i, AT[1], 0.02), 0.0)
        point = tracker.update([], hand, stamp_s).points[0]
    pushed = AT + [0.04 - 0.15 - 0.031, 0.0, 0.0]
    assert point.position == pytest.approx(pushed, abs=0.005)
    assert point.sigma_m[0] > 0.015
    keypoints = tracker.update([_sighting(pushed)], robot_far_away(), stamps[-1] + 0.1)
    assert keypoints.names == ("red cube",)
    assert keypoints.points[0].position == pytest.approx(pushed, abs=0.001)


def test_an_object_found_elsewhere_keeps_its_name_among_its_like(tracker: Tracker) -> None:
    second = AT + [0.0, -0.3, 0.0]
    both = [_sighting(AT), _sighting(second)]
    assert tracker.update(both, robot_far_away(), 0.6).names == ("red cube", "red cube 2")
    tracker.update([_sighting(AT)], robot_far_away(), 1.5)
    moved = second + [0.1, 0.0, 0.0]
    for i in range(3):
        keypoints = tracker.update([_sighting(AT), _sighting(moved)], robot_far_away(), 1.6 + 0.1 * i)
    assert keypoints.find("red cube").position == pytest.approx(AT, abs=1e-3)
    assert keypoints.find("red cube 2").position == pytest.approx(moved, abs=1e-3)
    assert len(keypoints.points) == 2


def test_the_optical_flow_moves_what_it_follows_and_measures_it(tracker: Tracker) -> None:
    track = tracker.find("red", AT)
    assert track is not None
    corners = AT + CUBE / 2 * np.array([[1, 1, 1], [1, -1, 1], [-1, 1, 1], [-1, -1, 1], [1, 1, -1], [1, -1, -1]])
    motion = fit_rigid(corners, corners + [0.0, 0.01, 0.0], 0.006, 24, np.random.default_rng(0))
    assert motion is not None
    point = tracker.advance({track.key: motion}, robot_far_away(), 0.6).points[0]
    assert point.position == pytest.approx(AT + [0.0, 0.01, 0.0], abs=1e-6)
    assert (point.visible, point.age_s) == (True, 0.0)
    lost = tracker.advance({}, robot_far_away(), 0.7).points[0]
    assert not lost.visible
    assert lost.age_s == pytest.approx(0.1)
    assert tracker.misses(0.7, since_s=1.0)


def test_fingers_that_close_on_nothing_have_lost_it(tracker: Tracker) -> None:
    tracker.update([], robot_far_away(tuple(AT), 0.04, holds=True), 0.6)
    tracker.update([], robot_far_away(tuple(AT + [0, 0, 0.1]), 0.02, holds=False), 0.7)
    assert tracker.held is None


def test_a_held_object_is_known_as_well_as_the_grip(tracker: Tracker) -> None:
    for i in range(20):
        hand = robot_far_away(tuple(AT + [0.0, 0.0, 0.01 * i]), 0.04, holds=True)
        point = tracker.update([], hand, 0.6 + 0.1 * i).points[0]
    assert point.sigma_m.max() < 0.005


def test_the_same_sightings_give_the_same_keypoints() -> None:
    def run() -> list[np.ndarray]:
        tracker, rng = Tracker(TrackSettings(), MotionSettings()), np.random.default_rng(4)
        places = [AT + [0.01 * i, 0, 0] + 0.002 * rng.standard_normal(3) for i in range(12)]
        return [
            tracker.update([_sighting(place)] if i % 4 else [], robot_far_away(), 0.1 * i).points[0].position
            for i, place in enumerate(places, start=1)
        ]

    assert np.array_equal(run(), run())


def test_one_wrong_shape_does_not_rename_an_object(tracker: Tracker) -> None:
    assert tracker.update([_sighting(AT, shape="cylinder")], robot_far_away(), 0.6).names == ("red cube",)
