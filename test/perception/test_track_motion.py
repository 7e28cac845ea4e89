"""Where an unseen thing is believed to be, and how well: what grows, what shrinks, what a finger pushes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from perception.pictures import robot_far_away

from vls_steering.perception.contact import FINGER_RADIUS_M, pushed_by_fingers
from vls_steering.perception.motion_model import MotionEstimate
from vls_steering.perception.settings import MotionSettings

MOTION = MotionSettings()
AT = np.array([0.5, 0.1, 0.02])
CUBE = np.full(3, 0.04)
WHOLE = np.full(3, MOTION.whole_m)
moments = st.floats(0.0, 3.0)


@given(moments, moments, st.lists(st.floats(-0.5, 0.5), min_size=3, max_size=3))
def test_what_is_not_measured_is_known_worse_and_worse(first: float, second: float, velocity: list[float]) -> None:
    start = MotionEstimate(AT, WHOLE**2, np.array(velocity))
    soon = start.predicted(first, MOTION.hidden_drift_m, MOTION)
    late = soon.predicted(second, MOTION.hidden_drift_m, MOTION)
    assert (late.variance >= soon.variance).all()
    assert (soon.variance >= start.variance).all()


@given(st.floats(0.001, 0.1), st.lists(st.floats(-0.002, 0.002), min_size=3, max_size=3))
def test_a_measurement_that_agrees_makes_it_known_better(sigma_m: float, noise: list[float]) -> None:
    before = MotionEstimate.at_rest(AT, sigma_m)
    after = before.corrected(AT + noise, WHOLE, 0.1, MOTION)
    assert (after.variance < before.variance).all()
    assert (after.variance <= WHOLE**2 * 1.0001).all()


def test_a_moving_thing_goes_on_and_comes_to_rest() -> None:
    moving = MotionEstimate(AT, WHOLE**2, np.array([0.1, 0.0, 0.0]))
    soon, late = (moving.predicted(t, MOTION.hidden_drift_m, MOTION) for t in (0.05, 5.0))
    assert soon.position == pytest.approx(AT + [0.005, 0.0, 0.0], abs=0.0006)
    assert late.position == pytest.approx(AT + [0.1 * MOTION.velocity_s, 0.0, 0.0], abs=1e-6)
    assert late.velocity == pytest.approx(0.0, abs=1e-6)


def test_a_steady_motion_is_learnt_and_predicted() -> None:
    estimate = MotionEstimate.at_rest(AT, 0.002)
    for i in range(1, 8):
        estimate = estimate.predicted(0.1, MOTION.drift_m, MOTION)
        estimate = estimate.corrected(AT + [0.012 * i, 0.0, 0.0], WHOLE, 0.1, MOTION)
    assert estimate.velocity == pytest.approx([0.12, 0.0, 0.0], abs=0.03)


def test_noise_on_a_resting_thing_is_averaged() -> None:
    rng = np.random.default_rng(0)
    estimate, places = MotionEstimate.at_rest(AT, 0.002), []
    for _ in range(200):
        seen = AT + 0.001 * rng.standard_normal(3)
        estimate = estimate.predicted(0.1, MOTION.drift_m, MOTION).corrected(seen, WHOLE, 0.1, MOTION)
        places.append(estimate.position)
    assert np.std(places[20:], axis=0).max() < 0.0007


def test_an_axis_that_was_not_measured_stays() -> None:
    before = MotionEstimate.at_rest(AT, 0.01)
    after = before.corrected(AT + 0.05, np.array([0.002, np.inf, 0.002]), 0.1, MOTION)
    assert after.position[1] == AT[1]
    assert after.variance[1] == before.variance[1]
    assert after.position[[0, 2]] == pytest.approx(AT[[0, 2]] + 0.05, abs=0.001)


def test_an_edge_that_moves_while_something_covers_the_object_is_no_velocity() -> None:
    sides = np.full(3, MOTION.side_m)
    after = MotionEstimate.at_rest(AT, 0.002).corrected(AT + [0.015, 0.0, 0.0], sides, 0.1, MOTION)
    assert np.array_equal(after.velocity, np.zeros(3))


def test_a_surprise_is_followed_at_once() -> None:
    after = MotionEstimate.at_rest(AT, 0.001).corrected(AT + [0.03, 0.0, 0.0], WHOLE, 0.1, MOTION)
    assert after.position == pytest.approx(AT + [0.03, 0.0, 0.0], abs=0.001)


def _hand(x: float, z: float = 0.02, width_m: float = 0.0):
    return robot_far_away((x, AT[1], z), width_m)


def test_a_closed_hand_pushes_what_is_in_its_way() -> None:
    """It ends where the finger's side touches the object's."""
    shift = pushed_by_fingers(AT, CUBE, _hand(0.455), _hand(0.485))
    touching = 0.485 + FINGER_RADIUS_M + CUBE[0] / 2
    assert AT + shift == pytest.approx([touching, AT[1], AT[2]], abs=1e-6)


@given(st.floats(-0.03, 0.03), st.floats(0.001, 0.03))
def test_nothing_is_pushed_farther_than_the_hand_moves(offset: float, travel: float) -> None:
    shift = pushed_by_fingers(AT, CUBE, _hand(AT[0] + offset), _hand(AT[0] + offset + travel))
    assert -1e-9 <= shift[0] <= travel + 1e-9
    assert shift[1] == shift[2] == 0.0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(_hand(0.40), _hand(0.43), id="not reached"),
        pytest.param(_hand(0.48, z=0.12), _hand(0.51, z=0.12), id="above it"),
        pytest.param(_hand(0.47, width_m=0.08), _hand(0.50, width_m=0.08), id="between open fingers"),
        pytest.param(_hand(0.49), _hand(0.49), id="at rest"),
    ],
)
def test_fingers_that_do_not_touch_it_leave_it_where_it_is(before, after) -> None:
    assert pushed_by_fingers(AT, CUBE, before, after) == pytest.approx(np.zeros(3))
