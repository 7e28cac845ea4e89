"""A tree of named frames over time: what tf carries, without ROS."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

import numpy as np

from vls_steering.core.arrays import FloatArray
from vls_steering.core.errors import StreamFault
from vls_steering.core.frames import pose_matrix

KEPT_S = 3.0  # a picture is asked about within a second of its stamp
# A publisher of 30 Hz has not told yet where the arm is at the stamp of the newest picture: its last word counts.
REACH_S = 0.05


@dataclass(frozen=True)
class Transform:
    """Where a frame is in its parent."""

    parent: str
    child: str
    position: FloatArray  # (3,) m
    quat_xyzw: FloatArray  # (4,) unit


@dataclass
class _Track:
    """One frame's places by time."""

    parent: str
    fixed: bool
    stamps_s: list[float] = field(default_factory=list)
    places: list[Transform] = field(default_factory=list)


class TransformTree:
    """Each frame has one parent; the newest word about which counts.

    Not thread-safe.
    """

    def __init__(self, kept_s: float = KEPT_S, reach_s: float = REACH_S) -> None:
        self._kept_s, self._reach_s = kept_s, reach_s
        self._tracks: dict[str, _Track] = {}

    def put(self, transform: Transform, stamp_s: float, fixed: bool = False) -> None:
        """A frame's place at `stamp_s`; a `fixed` one is there at all times."""
        track = self._tracks.get(transform.child)
        if track is None or (track.parent, track.fixed) != (transform.parent, fixed):
            track = self._tracks[transform.child] = _Track(transform.parent, fixed)
        elif stamp_s < track.stamps_s[-1] - self._reach_s:
            track = self._tracks[transform.child] = _Track(transform.parent, fixed)  # the clock was set back
        if fixed:
            track.stamps_s, track.places = [stamp_s], [transform]
            return
        at = bisect_left(track.stamps_s, stamp_s)
        known = at < len(track.stamps_s) and track.stamps_s[at] == stamp_s
        track.stamps_s[at : at + known], track.places[at : at + known] = [stamp_s], [transform]
        old = bisect_left(track.stamps_s, track.stamps_s[-1] - self._kept_s)
        del track.stamps_s[:old], track.places[:old]

    def look_up(self, base: str, frame: str, stamp_s: float) -> FloatArray:
        """(4, 4) pose of `frame` in `base`, interpolated; raises StreamFault when it is not known at that time."""
        base_chain, frame_chain = self._chain(base), self._chain(frame)
        shared = next((name for name in frame_chain if name in base_chain), None)
        if shared is None:
            known = ", ".join(sorted({*self._tracks, *(track.parent for track in self._tracks.values())})) or "none"
            raise StreamFault(f"{frame} and {base} are not connected; frames known: {known}")
        return np.linalg.inv(self._climb(base_chain, shared, stamp_s)) @ self._climb(frame_chain, shared, stamp_s)

    def _chain(self, frame: str) -> list[str]:
        """The frame, its parent, and so on to the root; what runs in a circle ends where it closes."""
        chain = [frame]
        while (track := self._tracks.get(chain[-1])) is not None and track.parent not in chain:
            chain.append(track.parent)
        return chain

    def _climb(self, chain: list[str], top: str, stamp_s: float) -> FloatArray:
        """(4, 4) pose of the chain's first frame in `top`."""
        pose = np.eye(4)
        for name in chain[: chain.index(top)]:
            pose = self._place(name, stamp_s) @ pose
        return pose

    def _place(self, frame: str, stamp_s: float) -> FloatArray:
        track = self._tracks[frame]
        stamps_s, places = track.stamps_s, track.places
        after = bisect_left(stamps_s, stamp_s)
        if track.fixed:
            nearest = places[-1]
        elif after == len(stamps_s) or after == 0:
            nearest = places[-1 if after else 0]
            away_s = abs(stamp_s - stamps_s[-1 if after else 0])
            if away_s > self._reach_s:
                raise StreamFault(f"{frame} is known only {away_s:.3f} s before or after {stamp_s:.3f} s")
        else:
            share = (stamp_s - stamps_s[after - 1]) / (stamps_s[after] - stamps_s[after - 1])
            return _between(places[after - 1], places[after], share)
        return pose_matrix(nearest.position, nearest.quat_xyzw)


def _between(first: Transform, second: Transform, share: float) -> FloatArray:
    """Linear in place and, normalised, in the quaternion: neighbours in time differ by little."""
    sign = 1.0 if float(first.quat_xyzw @ second.quat_xyzw) >= 0.0 else -1.0
    quat = (1.0 - share) * first.quat_xyzw + share * sign * second.quat_xyzw
    return pose_matrix((1.0 - share) * first.position + share * second.position, quat)
