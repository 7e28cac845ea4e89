"""A rigid motion is recovered from matched points though some of them are matched wrongly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from vls_steering.perception.rigid import RigidMotion, fit_rigid, kabsch
from vls_steering.perception.settings import FlowSettings

FLOW = FlowSettings()
turns = st.lists(st.floats(-0.4, 0.4), min_size=3, max_size=3)
shifts = st.lists(st.floats(-0.06, 0.06), min_size=3, max_size=3)


def _fit(before: np.ndarray, after: np.ndarray, seed: int = 0) -> RigidMotion | None:
    return fit_rigid(before, after, FLOW.inlier_m, FLOW.hypotheses, np.random.default_rng(seed))


def _cube_points(rng: np.random.Generator, count: int) -> np.ndarray:
    return rng.uniform(-0.02, 0.02, (count, 3)) + [0.5, 0.1, 0.02]


@settings(max_examples=40, deadline=None)
@given(turn=turns, shift=shifts, seed=st.integers(0, 10_000))
def test_a_motion_is_recovered_though_three_in_ten_points_are_wrong(
    turn: list[float], shift: list[float], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    before = _cube_points(rng, 30)
    centre = before.mean(axis=0)
    rotation = Rotation.from_rotvec(turn).as_matrix()
    after = (before - centre) @ rotation.T + centre + shift + 0.0005 * rng.standard_normal(before.shape)
    wrong = rng.permutation(30)[:9]
    after[wrong] += 0.03 * _directions(rng, 9)
    motion = _fit(before, after, seed)
    assert motion is not None
    assert motion.apply(centre) == pytest.approx(centre + shift, abs=0.0015)
    assert not motion.inliers[wrong].any()
    assert motion.inliers.sum() >= 18


def test_without_noise_the_fit_is_exact() -> None:
    before = _cube_points(np.random.default_rng(1), 8)
    rotation = Rotation.from_rotvec([0.1, -0.2, 0.3]).as_matrix()
    turn, shift = kabsch(before, before @ rotation.T + [0.01, 0.02, 0.03])
    assert turn == pytest.approx(rotation, abs=1e-9)
    assert shift == pytest.approx([0.01, 0.02, 0.03], abs=1e-9)


def test_points_that_do_not_agree_give_no_motion() -> None:
    rng = np.random.default_rng(2)
    before = _cube_points(rng, 20)
    assert _fit(before, before + 0.05 * _directions(rng, 20)) is None


def test_two_points_give_no_motion() -> None:
    before = _cube_points(np.random.default_rng(3), 2)
    assert _fit(before, before) is None


def test_points_on_a_line_shift_without_a_turn() -> None:
    before = np.linspace(0.0, 0.03, 6)[:, None] * [1.0, 0.0, 0.0]
    noisy = before + [0.01, 0.0, 0.0] + 0.0003 * np.random.default_rng(4).standard_normal((6, 3))
    turn, _ = kabsch(before, noisy)
    assert turn == pytest.approx(np.eye(3))


def test_far_from_the_points_the_motion_is_less_certain() -> None:
    rng = np.random.default_rng(5)
    before = _cube_points(rng, 20)
    motion = _fit(before, before + 0.001 * rng.standard_normal(before.shape))
    assert motion is not None
    near, far = motion.variance_at(motion.centre), motion.variance_at(motion.centre + [0.1, 0.0, 0.0])
    assert far > 4.0 * near
    assert np.sqrt(near) == pytest.approx(0.001 / np.sqrt(20), rel=0.3)


def _directions(rng: np.random.Generator, count: int) -> np.ndarray:
    vectors = rng.standard_normal((count, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
