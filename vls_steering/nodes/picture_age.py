"""How old the picture is that something acts on, read from a log: from the camera's shutter to the arm.

Stamps are of the graph's clock, simulated time where there is one; what was known when is told by the order of arrival.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vls_steering.core.arrays import FloatArray
from vls_steering.msg import ActionChunk, SafetyStatus, SteeringStatus
from vls_steering.nodes import topics
from vls_steering.nodes.conversions import stamp_seconds
from vls_steering.nodes.topic_log import Entry

# The executor tells the stamp of the chunk it follows as an age: equal to a microsecond, and chunks are far apart.
SAME_S = 1e-4


@dataclass(frozen=True)
class Pictures:
    """When each picture was taken, and when the keypoints measured in it arrived."""

    received_ns: tuple[int, ...]  # wall clock, ascending
    taken_s: tuple[float, ...]

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Pictures:
        seen = [entry for entry in entries if entry.topic is topics.KEYPOINTS]
        taken_s = tuple(stamp_seconds(entry.message().header.stamp) for entry in seen)
        return cls(tuple(entry.received_ns for entry in seen), taken_s)

    def planned_from(self, status: SteeringStatus, received_ns: int) -> float | None:
        """Stamp of the newest picture that the tick which `status` tells of can have known; None: there was none."""
        began_ns = received_ns - int(1e6 * status.tick_ms)
        newest = bisect.bisect(self.received_ns, began_ns) - 1
        return self.taken_s[newest] if newest >= 0 else None


def camera_to_set_point_ms(entries: Sequence[Entry], since_s: float = -math.inf) -> FloatArray:
    """(N,) ms from the picture behind the followed chunk to each set-point stamped `since_s` or later.

    Set-points of an executor that tracks count, those after a hold do not: no picture moves the arm then.  A chunk was
    followed when a status names it; of one that was replaced before any did, the set-points count as of the chunk
    before, as older than they were.
    """
    pictures = Pictures.of(entries)
    statuses = [entry.message() for entry in entries if entry.topic is topics.SAFETY_STATUS]
    named_s = np.array([stamp_seconds(status.header.stamp) - status.chunk_age_s for status in statuses])
    taken_s: dict[tuple[int, int], float | None] = {}
    for entry in entries:
        if entry.topic is topics.STEERING_STATUS:
            tick = entry.message()
            taken_s[_stamp(tick)] = pictures.planned_from(tick, entry.received_ns)
    ages: list[float] = []
    tracks, picture_s = False, None
    for entry in entries:
        if entry.topic is topics.SAFETY_STATUS:
            tracks = entry.message().state == SafetyStatus.STATE_TRACKING
        elif entry.topic is topics.ACTION_CHUNK:
            chunk = entry.message()
            if (np.abs(named_s - stamp_seconds(chunk.header.stamp)) < SAME_S).any():
                holds = chunk.source == ActionChunk.SOURCE_HOLD
                picture_s = None if holds else taken_s.get(_stamp(chunk))
        elif entry.topic is topics.SET_POINT and tracks and picture_s is not None:
            sent_s = stamp_seconds(entry.message().header.stamp)
            if sent_s >= since_s:
                ages.append(1e3 * (sent_s - picture_s))
    return np.array(ages)


def _stamp(message: ActionChunk | SteeringStatus) -> tuple[int, int]:
    """A chunk and the status of its tick have the same."""
    return message.header.stamp.sec, message.header.stamp.nanosec
