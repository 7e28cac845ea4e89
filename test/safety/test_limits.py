"""The limit tables, against numbers worked out by hand from the published formula."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vls_steering.safety import FR3_LIMITS, PANDA_LIMITS, ArmLimits


def test_in_the_middle_of_its_range_the_first_joint_may_move_at_its_rated_velocity() -> None:
    lowest, highest = FR3_LIMITS.velocity_bounds(np.array([0.0, 0, 0, -1.6, 0, 2.5, 0]))
    assert highest[0] == pytest.approx(2.62 - 1e-3)
    assert lowest[0] == pytest.approx(-2.62 + 1e-3)


def test_the_bound_shrinks_towards_the_stop_on_that_side_only() -> None:
    q = np.array([2.6501, 0.0, 0.0, -1.6, 0.0, 2.5, 0.0])
    lowest, highest = FR3_LIMITS.velocity_bounds(q)
    assert highest[0] == pytest.approx(-0.30 + math.sqrt(12.0 * 0.1) - 1e-3)
    assert lowest[0] == pytest.approx(-2.62 + 1e-3)


def test_at_the_stop_a_joint_may_only_move_away() -> None:
    _, highest = FR3_LIMITS.velocity_bounds(np.array(FR3_LIMITS.position_upper))
    lowest, _ = FR3_LIMITS.velocity_bounds(np.array(FR3_LIMITS.position_lower))
    assert (highest < 5e-3).all()
    assert (lowest > -5e-3).all()


def test_a_panda_has_the_same_bound_everywhere() -> None:
    _, highest = PANDA_LIMITS.velocity_bounds(np.array(PANDA_LIMITS.position_upper))
    assert highest == pytest.approx(PANDA_LIMITS.velocity)


@pytest.mark.parametrize("limits", [FR3_LIMITS, PANDA_LIMITS], ids=lambda limits: limits.name)
def test_bounds_take_many_positions_at_once(limits: ArmLimits) -> None:
    positions = np.linspace(limits.position_lower, limits.position_upper, 5)
    lowest, highest = limits.velocity_bounds(positions)
    assert lowest.shape == highest.shape == (5, 7)
    assert highest[2] == pytest.approx(limits.velocity_bounds(positions[2])[1])
