"""A stream is known by its last good picture, its losses and what is wrong with it now."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from perception.pictures import picture

from vls_steering.core.types import CameraFrame
from vls_steering.perception import CameraStream, FrameFault, FrameHealthSettings

PERIOD_S = 0.1


def _frame(stamp_s: float) -> CameraFrame:
    return picture([], stamp_s=stamp_s, seed=round(1000 * stamp_s))


@pytest.fixture
def stream() -> CameraStream:
    """Ten healthy pictures, the last of 1.0 s."""
    stream = CameraStream("front", FrameHealthSettings(), rate_hz=1 / PERIOD_S)
    for tick in range(1, 11):
        stream.receive(_frame(PERIOD_S * tick), now_s=PERIOD_S * tick + 0.02)
    return stream


def test_a_living_stream_tells_its_newest_picture(stream: CameraStream) -> None:
    health = stream.health(1.05)
    assert (health.healthy_s, health.fault, health.reason, health.warning) == (1.0, None, "", "")
    assert (health.received, health.faulty, health.dropped) == (10, 0, 0)


def test_before_the_first_picture_there_is_nothing_to_trust() -> None:
    health = CameraStream("front", FrameHealthSettings(), 10.0).health(5.0)
    assert (health.healthy_s, health.fault) == (-math.inf, FrameFault.STOPPED)
    assert health.reason == "camera 'front': no picture yet"


def test_a_stream_that_stops_is_told_before_two_periods_are_over(stream: CameraStream) -> None:
    assert stream.health(1.14).fault is None
    health = stream.health(1.17)
    assert (health.fault, health.healthy_s) == (FrameFault.STOPPED, 1.0)
    assert "'front': stopped, no picture for 0.17 s" in health.reason


SPOILED = {
    FrameFault.FROZEN: lambda frame: replace(_frame(1.0), stamp_s=frame.stamp_s),
    FrameFault.BLACK: lambda frame: replace(frame, color=np.zeros_like(frame.color)),
    FrameFault.NO_DEPTH: lambda frame: replace(frame, depth=np.zeros_like(frame.depth)),
    FrameFault.LATE: lambda frame: frame,
    FrameFault.WRONG_SIZE: lambda frame: replace(frame, color=frame.color[:-1].copy(), depth=frame.depth[:-1].copy()),
}


@pytest.mark.parametrize("fault", SPOILED, ids=lambda fault: fault.value)
def test_a_bad_picture_does_not_count_as_a_new_one(stream: CameraStream, fault: FrameFault) -> None:
    now_s = 1.6 if fault is FrameFault.LATE else 1.12
    stream.receive(SPOILED[fault](_frame(1.1)), now_s)
    health = stream.health(1.12)
    assert (health.fault, health.healthy_s, health.faulty) == (fault, 1.0, 1)
    assert "'front'" in health.reason


def test_pictures_that_keep_coming_late_are_not_called_stopped(stream: CameraStream) -> None:
    for tick in range(1, 6):
        stream.receive(_frame(1.0 + PERIOD_S * tick), now_s=1.5 + PERIOD_S * tick)
    assert stream.health(2.05).fault is FrameFault.LATE


def test_what_makes_no_picture_does_not_count_either_and_is_no_silence(stream: CameraStream) -> None:
    stream.refuse(FrameFault.CORRUPTED, "holds 12 bytes", now_s=1.12)
    health = stream.health(1.2)
    assert (health.fault, health.healthy_s) == (FrameFault.CORRUPTED, 1.0)


def test_the_next_good_picture_ends_the_fault(stream: CameraStream) -> None:
    stream.refuse(FrameFault.CORRUPTED, "holds 12 bytes", now_s=1.12)
    stream.receive(_frame(1.2), now_s=1.22)
    health = stream.health(1.22)
    assert (health.fault, health.healthy_s) == (None, 1.2)


def test_gaps_between_stamps_are_dropped_pictures(stream: CameraStream) -> None:
    stream.receive(_frame(1.3), now_s=1.32)
    health = stream.health(1.32)
    assert (health.dropped, health.fault) == (2, None)
    assert health.warning == "2 of the last 12 pictures were dropped"


def test_jitter_of_the_stamps_is_no_loss(stream: CameraStream) -> None:
    stream.receive(_frame(1.14), now_s=1.16)
    stream.receive(_frame(1.2), now_s=1.22)
    assert stream.health(1.22).dropped == 0


def test_a_camera_that_promised_no_rate_drops_nothing() -> None:
    stream = CameraStream("wrist", FrameHealthSettings(), rate_hz=0.0)
    for stamp_s in (1.0, 2.0, 5.0):
        stream.receive(_frame(stamp_s), now_s=stamp_s)
    assert stream.health(5.0).dropped == 0
