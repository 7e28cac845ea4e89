"""The age of the picture behind a set-point, from a log whose answer is known."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("rclpy")

from rclpy.serialization import serialize_message

from vls_steering.core.types import Keypoints
from vls_steering.msg import ActionChunk, SafetyStatus, SetPoint, SteeringStatus
from vls_steering.nodes import topics
from vls_steering.nodes.conversions import header, keypoints_message
from vls_steering.nodes.picture_age import camera_to_set_point_ms
from vls_steering.nodes.topic_log import Entry

pytestmark = pytest.mark.ros

# The graph's clock lags behind the wall's by as much, and goes slower.
WALL_S, SLOWED = 100.0, 2.0


def entry(at_s: float, topic: topics.Topic, message: object) -> Entry:
    """Received at `at_s` of the graph's clock."""
    return Entry(topic, round(1e9 * (WALL_S + SLOWED * at_s)), serialize_message(message))


def picture(taken_s: float, at_s: float) -> Entry:
    return entry(at_s, topics.KEYPOINTS, keypoints_message(Keypoints(taken_s)))


def planned(
    stamp_s: float, at_s: float, tick_ms: float = 40.0, source: int = ActionChunk.SOURCE_STEERED
) -> list[Entry]:
    """A chunk and the status of its tick, `tick_ms` of wall time after it began."""
    chunk = ActionChunk(header=header(stamp_s), source=source)
    return [
        entry(at_s, topics.ACTION_CHUNK, chunk),
        entry(at_s, topics.STEERING_STATUS, SteeringStatus(header=header(stamp_s), tick_ms=tick_ms)),
    ]


def follows(stamp_s: float, at_s: float, state: int = SafetyStatus.STATE_TRACKING) -> Entry:
    """The executor tells that the chunk stamped `stamp_s` is the last one it took."""
    status = SafetyStatus(header=header(at_s), state=state, chunk_age_s=at_s - stamp_s)
    return entry(at_s, topics.SAFETY_STATUS, status)


def sent(at_s: float) -> Entry:
    return entry(at_s, topics.SET_POINT, SetPoint(header=header(at_s)))


def ages_ms(*entries: Entry | list[Entry], since_s: float = -math.inf) -> list[float]:
    flat = [one for found in entries for one in (found if isinstance(found, list) else [found])]
    return [round(age, 3) for age in camera_to_set_point_ms(sorted(flat, key=lambda one: one.received_ns), since_s)]


def test_a_set_point_is_as_old_as_the_picture_of_the_chunk_it_follows() -> None:
    log = [picture(1.00, 1.08), planned(1.10, 1.15), follows(1.10, 1.16), sent(1.17), sent(1.18)]
    assert ages_ms(*log) == [170.0, 180.0]


def test_a_picture_that_came_while_the_tick_ran_is_not_what_it_planned_from() -> None:
    # The tick took 40 ms of wall time, 20 ms of the graph's: it began at 1.13.
    log = [picture(1.00, 1.08), picture(1.10, 1.14), planned(1.10, 1.15), follows(1.10, 1.16), sent(1.17)]
    assert ages_ms(*log) == [170.0]
    assert ages_ms(picture(1.05, 1.12), *log) == [120.0]


def test_the_newest_chunk_that_the_executor_took_counts() -> None:
    begins = [picture(1.00, 1.08), planned(1.10, 1.15), follows(1.10, 1.16), sent(1.17)]
    next_one = [picture(1.10, 1.18), planned(1.20, 1.25), sent(1.27)]
    assert ages_ms(*begins, *next_one, follows(1.20, 1.28)) == [170.0, 170.0]
    # Rejected: no status ever names it, and the arm goes on along the first.
    assert ages_ms(*begins, *next_one, follows(1.10, 1.28)) == [170.0, 270.0]


def test_only_an_executor_that_tracks_acts_on_a_picture() -> None:
    log = [picture(1.00, 1.08), planned(1.10, 1.15), sent(1.16), follows(1.10, 1.17), sent(1.18)]
    stopped = [follows(1.10, 1.19, SafetyStatus.STATE_STOPPING), sent(1.20)]
    assert ages_ms(*log, *stopped) == [180.0]


def test_a_hold_acts_on_no_picture() -> None:
    log = [picture(1.00, 1.08), planned(1.10, 1.15), follows(1.10, 1.16), sent(1.17)]
    hold = [planned(1.20, 1.25, source=ActionChunk.SOURCE_HOLD), follows(1.20, 1.26), sent(1.27)]
    assert ages_ms(*log, *hold) == [170.0]


def test_what_came_before_the_program_does_not_count() -> None:
    log = [picture(1.00, 1.08), planned(1.10, 1.15), follows(1.10, 1.16), sent(1.17), sent(1.18)]
    assert ages_ms(*log, since_s=1.175) == [180.0]


def test_without_a_picture_or_an_entry_there_is_no_age() -> None:
    assert ages_ms() == []
    assert ages_ms(planned(1.10, 1.15), follows(1.10, 1.16), sent(1.17)) == []
