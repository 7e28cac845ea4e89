"""Whatever is sent to the executor, what it sends on stays within the arm's own tables."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safety.arms import HOME_TCP, Cell, LinearArm, chunk_along

from vls_steering.core.types import ActionChunk
from vls_steering.safety import (
    FR3_LIMITS,
    PANDA_LIMITS,
    Band,
    Executor,
    ExecutorSettings,
    ExecutorState,
    ReasonCode,
    violations,
)
from vls_steering.safety.tcp import WORKSPACE_SLACK_M

finite = st.floats(-2.0, 2.0)
anything = st.floats(allow_nan=False, allow_infinity=False, width=32)


@st.composite
def chunks(draw: st.DrawFn) -> dict[str, object]:
    """What is wrong with one chunk, and when the next one comes."""
    return {
        "wait_s": draw(st.sampled_from([0.0, 0.01, 0.05, 0.1, 0.1, 0.1, 0.3, 1.0])),
        "stamp_offset_s": draw(st.sampled_from([0.0, 0.0, 0.0, -0.1, -0.5, -3.0, 0.01, 0.5, 100.0])),
        "step_s": draw(st.sampled_from([0.1, 0.1, 0.1, 0.02, 0.001, 1e-5, 0.4, 3.0])),
        "horizon": draw(st.sampled_from([16, 16, 16, 1, 2, 3, 64, 200])),
        "jump_m": draw(st.sampled_from([0.0, 0.0, 0.01, 0.05, 0.09, 0.5, 1e6])),
        "speed_m_s": draw(st.tuples(*[st.floats(-1.5, 1.5)] * 3)),
        "wobble_m": draw(st.sampled_from([0.0, 0.002, 0.01, 0.05])),
        "tilt": draw(st.sampled_from([0.0, 0.0, 0.1, 1.0])),
        "width_m": draw(st.one_of(st.floats(-0.01, 0.09), anything)),
        "duplicate": draw(st.booleans()),
        "seed": draw(st.integers(0, 2**16)),
    }


def build(recipe: dict[str, object], cell: Cell) -> ActionChunk:
    r = recipe
    rng = np.random.default_rng(r["seed"])
    stamp = cell.now_s + r["stamp_offset_s"]
    times = stamp + r["step_s"] * np.arange(1, r["horizon"] + 1)
    here, _ = LinearArm().tcp_pose(cell.q)
    direction = rng.normal(size=3)
    start = here + r["jump_m"] * direction / np.linalg.norm(direction)
    positions = start + np.outer(times - cell.now_s, r["speed_m_s"]) + r["wobble_m"] * rng.normal(size=(len(times), 3))
    half = r["tilt"] / 2
    return ActionChunk(
        stamp,
        times,
        positions,
        np.tile([np.cos(half), 0.0, np.sin(half), 0.0], (len(times), 1)),
        np.full(len(times), r["width_m"]),
    )


def endure(cell: Cell, stream: list[dict[str, object]]) -> None:
    cell.arm()
    for recipe in stream:
        chunk = build(recipe, cell)
        for _ in range(1 + bool(recipe["duplicate"])):
            verdict = cell.submit(chunk)
            assert verdict.accepted or (verdict.reason is not ReasonCode.NONE and verdict.text)
            assert verdict.band is not Band.SCALE or (0 < verdict.scale < 1 and verdict.text)
        cell.run(recipe["wait_s"])
        if cell.executor.status().state in (ExecutorState.HOLDING, ExecutorState.FAULT):
            cell.arm()
    cell.run(1.0)


@pytest.mark.parametrize("period_s", [0.01, 0.001])
@given(stream=st.lists(chunks(), min_size=1, max_size=10))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_stream_of_chunks_breaks_a_limit(period_s: float, stream: list[dict[str, object]]) -> None:
    cell = Cell(control_period_s=period_s)
    endure(cell, stream)
    assert violations(cell.sent, period_s, FR3_LIMITS) == ()
    slack = WORKSPACE_SLACK_M + 1e-3
    assert (cell.tcp >= np.array(cell.settings.workspace_lower_m) - slack).all()
    assert (cell.tcp <= np.array(cell.settings.workspace_upper_m) + slack).all()
    assert np.diff(cell.sent[-3:], axis=0) == pytest.approx(0.0, abs=1e-12), "the arm rests when nobody sends"


@given(stream=st.lists(chunks(), min_size=1, max_size=8))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_limits_hold_for_a_panda_too(stream: list[dict[str, object]]) -> None:
    settings_ = ExecutorSettings()
    cell = Cell(executor=Executor(PANDA_LIMITS, settings_, LinearArm()))
    endure(cell, stream)
    assert violations(cell.sent, 0.01, PANDA_LIMITS) == ()


class NanArm(LinearArm):
    def solve_path(self, positions: np.ndarray, quats_xyzw: np.ndarray, seeds: np.ndarray, /) -> np.ndarray:
        return np.full(seeds.shape, np.nan)


def test_a_joint_solution_that_is_not_a_number_is_rejected() -> None:
    cell = Cell(executor=Executor(FR3_LIMITS, ExecutorSettings(), NanArm()))
    cell.arm()
    verdict = cell.submit(chunk_along(lambda t: HOME_TCP, cell.now_s))
    cell.run(0.2)
    assert verdict.reason is ReasonCode.NOT_FINITE
    assert np.isfinite(cell.sent).all()


def test_a_stamp_that_is_not_a_number_is_rejected() -> None:
    cell = Cell()
    cell.arm()
    chunk = replace(chunk_along(lambda t: HOME_TCP, cell.now_s), stamp_s=float("nan"))
    assert cell.submit(chunk).reason is ReasonCode.NOT_FINITE


def test_a_check_that_breaks_down_rejects_the_chunk_and_never_the_loop() -> None:
    def broken(proposal: object) -> None:
        raise ZeroDivisionError("oops")

    cell = Cell(executor=Executor(FR3_LIMITS, ExecutorSettings(), LinearArm(), extra_chunk_checks=(broken,)))
    cell.arm()
    verdict = cell.submit(chunk_along(lambda t: HOME_TCP, cell.now_s))
    assert verdict.reason is ReasonCode.CHECK_FAILED
    assert "oops" in verdict.text
