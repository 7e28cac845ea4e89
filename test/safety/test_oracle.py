"""The oracle sees what it is there to see."""

from __future__ import annotations

import numpy as np
import pytest
from safety.arms import HOME_Q

from vls_steering.safety import FR3_LIMITS, violations


def kinds(positions: np.ndarray, period_s: float = 0.001) -> set[str]:
    return {v.quantity for v in violations(positions, period_s, FR3_LIMITS)}


def along_first_joint(values: np.ndarray) -> np.ndarray:
    return HOME_Q + np.outer(values, np.eye(7)[0])


def test_rest_is_within_every_limit() -> None:
    assert kinds(np.tile(HOME_Q, (10, 1))) == set()


def test_a_step_of_a_hundredth_of_a_millirad_is_a_jerk_violation_at_one_kilohertz() -> None:
    """1e-5 rad: the smallest jump that the arm's own discontinuity check trips over."""
    assert "jerk" in kinds(along_first_joint(np.array([0.0, 0.0, 1e-5, 1e-5, 1e-5])))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (lambda t: 0.5 * 11.0 * t**2, "acceleration"),
        (lambda t: 3.0 * t, "velocity"),
        (lambda t: 2.7 + 0.5 * t, "position"),
    ],
)
def test_each_limit_is_judged(values, kind: str) -> None:  # type: ignore[no-untyped-def]
    assert kind in kinds(along_first_joint(values(np.arange(0.0, 0.2, 0.001))))


def test_a_velocity_that_is_fine_at_home_is_not_fine_near_the_stop() -> None:
    slow_ramp = np.arange(0.0, 2.75, 0.001) ** 2 / 2.75
    found = violations(along_first_joint(slow_ramp), 0.001, FR3_LIMITS)
    first = next(v for v in found if v.quantity == "velocity")
    assert first.bound < 2.0


def test_a_number_that_is_not_finite_is_a_violation() -> None:
    positions = np.tile(HOME_Q, (3, 1))
    positions[1, 4] = np.nan
    (violation,) = violations(positions, 0.01, FR3_LIMITS)
    assert (violation.quantity, violation.sample, violation.joint) == ("finite", 1, 5)
