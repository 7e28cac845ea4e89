"""The motion benchmark scores what it says it scores."""

from __future__ import annotations

import numpy as np
import pytest

from vls_steering.bench.perception_motion import MISSING_M, MotionFrame, MotionStage, recoveries, score_sequence
from vls_steering.bench.perception_sequences import MotionKind, draw_sequence
from vls_steering.perception import PerceptionSettings

EYE = np.array([1.02, 0.0, 0.72])
FIRST = 1000  # kinds take turns from here on: pushed, carried, hidden, dragged


@pytest.mark.parametrize(
    ("shares", "errors_mm", "outcomes"),
    [
        pytest.param([1, 0, 0, 1, 1, 1], [1, 1, 1, 60, 40, 10], (True,), id="in time"),
        pytest.param([1, 0, 0, 1, 1, 1], [1, 1, 1, 60, 60, 60], (False,), id="never"),
        pytest.param([1, 0, 0, 1, 1, 1, 1], [1, 1, 1, 60, 60, 60, 10], (False,), id="too late"),
        pytest.param([1, 0, 1, 0, 1, 1], [1, 1, 60, 1, 1, 1], (False, True), id="hidden again before it was found"),
        pytest.param([1, 0.3, 1, 1], [1, 1, 1, 1], (), id="partly hidden is not lost"),
        pytest.param([1, 0, 0.3, 0, 0], [1, 1, 1, 1, 1], (), id="it did not come back"),
    ],
)
def test_a_target_is_recovered_when_it_is_near_the_truth_in_time(
    shares: list[float], errors_mm: list[float], outcomes: tuple[bool, ...]
) -> None:
    assert recoveries([e / 1000 for e in errors_mm], np.array(shares), window=2) == outcomes


@pytest.mark.parametrize("seed", range(FIRST, FIRST + 4))
def test_a_sequence_is_a_function_of_its_seed(seed: int) -> None:
    first, again = draw_sequence(seed, EYE), draw_sequence(seed, EYE)
    assert np.array_equal(first.tcp, again.tcp)
    assert (first.target, first.layout) == (again.target, again.layout)
    assert len(first.tcp) == len(first.gripper_open)


def test_every_kind_has_its_turn() -> None:
    kinds = {draw_sequence(seed, EYE).kind for seed in range(FIRST, FIRST + 4)}
    assert kinds == set(MotionKind)


@pytest.fixture(scope="module")
def dragged() -> tuple[str, list[MotionFrame]]:
    stage = MotionStage()
    try:
        sequence = stage.draw(FIRST + 3)
        return sequence.target, list(stage.play(sequence))
    finally:
        stage.close()


def test_a_dragged_target_moves_while_it_cannot_be_seen(dragged: tuple[str, list[MotionFrame]]) -> None:
    _, frames = dragged
    hidden = [frame for frame in frames if frame.pixels < 0.15 * frames[0].pixels]
    assert 5 <= len(hidden) <= 15
    assert np.linalg.norm(hidden[-1].position - hidden[0].position) > 0.03
    assert frames[-1].pixels > 0.5 * frames[0].pixels


def test_it_is_followed_and_found_again(dragged: tuple[str, list[MotionFrame]]) -> None:
    target, frames = dragged
    score = score_sequence(target, iter(frames), PerceptionSettings(), seed=0)
    assert np.median(score.errors_m) < 0.010
    assert score.recovered == (True,)
    assert all(sigma > 0.0 for sigma in score.sigmas_m)
    assert len(score.errors_m) == len(score.update_s) == len(frames) - 4


def test_a_name_that_is_never_given_counts_as_far_away(dragged: tuple[str, list[MotionFrame]]) -> None:
    _, frames = dragged
    score = score_sequence("golden goose", iter(frames[:8]), PerceptionSettings(), seed=0)
    assert set(score.errors_m) == {MISSING_M}
