"""A picture that cannot be trusted is reported with its reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from perception.pictures import picture

from vls_steering.core.types import CameraFrame
from vls_steering.perception import FrameFault, FrameHealth, FrameHealthSettings


def _frame(stamp_s: float) -> CameraFrame:
    return picture([], stamp_s=stamp_s, seed=round(1000 * stamp_s))


@pytest.fixture
def health() -> FrameHealth:
    return FrameHealth("front", FrameHealthSettings())


def test_a_live_stream_is_healthy(health: FrameHealth) -> None:
    assert all(health.check(_frame(0.1 * i), now_s=0.1 * i + 0.05).healthy for i in range(1, 6))


def test_identical_pictures_are_a_frozen_stream_even_under_new_stamps(health: FrameHealth) -> None:
    stuck = _frame(0.1)
    reports = [health.check(replace(stuck, stamp_s=0.1 * i), now_s=0.1 * i) for i in range(1, 5)]
    assert [r.fault for r in reports] == [None, FrameFault.FROZEN, FrameFault.FROZEN, FrameFault.FROZEN]
    assert "3 identical pictures" in reports[2].reason


def test_a_depth_that_freezes_alone_is_a_frozen_stream(health: FrameHealth) -> None:
    health.check(_frame(0.1), now_s=0.1)
    moving = _frame(0.2)
    assert health.check(moving, now_s=0.2).healthy
    assert health.check(replace(_frame(0.3), depth=moving.depth), now_s=0.3).fault is FrameFault.FROZEN


def test_a_depth_that_never_changes_is_computed_and_not_frozen(health: FrameHealth) -> None:
    plane = _frame(0.1).depth
    reports = [health.check(replace(_frame(0.1 * i), depth=plane), now_s=0.1 * i) for i in range(1, 5)]
    assert all(report.healthy for report in reports)


def test_a_frozen_stream_recovers_with_a_new_picture(health: FrameHealth) -> None:
    for i in range(1, 5):
        health.check(replace(_frame(0.1), stamp_s=0.1 * i), now_s=0.1 * i)
    assert health.check(_frame(0.5), now_s=0.5).healthy


def test_an_old_picture_is_late(health: FrameHealth) -> None:
    report = health.check(_frame(1.0), now_s=1.5)
    assert report.fault is FrameFault.LATE
    assert "500 ms" in report.reason


def test_a_stamp_that_does_not_advance_is_out_of_order(health: FrameHealth) -> None:
    health.check(_frame(1.0), now_s=1.0)
    assert health.check(_frame(0.9), now_s=1.0).fault is FrameFault.OUT_OF_ORDER


def test_a_covered_lens_is_black(health: FrameHealth) -> None:
    frame = _frame(1.0)
    assert health.check(replace(frame, color=np.zeros_like(frame.color)), now_s=1.0).fault is FrameFault.BLACK


@pytest.mark.parametrize("nothing", [0.0, np.nan])
def test_a_picture_without_depth_is_reported(health: FrameHealth, nothing: float) -> None:
    frame = _frame(1.0)
    assert (
        health.check(replace(frame, depth=np.full_like(frame.depth, nothing)), now_s=1.0).fault is FrameFault.NO_DEPTH
    )


def test_a_picture_of_another_size_than_the_first_is_reported(health: FrameHealth) -> None:
    health.check(_frame(0.9), now_s=0.9)
    frame = _frame(1.0)
    half = replace(frame, color=frame.color[::2, ::2].copy(), depth=frame.depth[::2, ::2].copy())
    report = health.check(half, now_s=1.0)
    assert report.fault is FrameFault.WRONG_SIZE
    assert "160x120 pixels, expected 320x240" in report.reason


def test_a_size_that_was_told_counts_from_the_first_picture_on() -> None:
    health = FrameHealth("front", FrameHealthSettings(width=640, height=480))
    assert health.check(_frame(1.0), now_s=1.0).fault is FrameFault.WRONG_SIZE
