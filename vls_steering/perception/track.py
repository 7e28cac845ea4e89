"""Keeps every object's name, place and size from picture to picture, through occlusion and in the grasp."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.transform import Rotation

from vls_steering.core.arrays import FloatArray
from vls_steering.core.types import Keypoint, Keypoints, RobotState
from vls_steering.perception.detection import UNKNOWN_SHAPE
from vls_steering.perception.merge import Sighting
from vls_steering.perception.settings import TrackSettings

_FAR = 1e3


@dataclass
class Track:
    """The state of one object; only the tracker writes it."""

    colour: str
    position: FloatArray  # (3,) m, base frame
    size: FloatArray  # (3,) m
    measured_s: float
    label: str = ""
    visible: bool = True
    whole_seen: bool = False  # `size` comes from a complete view
    shapes: Counter[str] = field(default_factory=Counter)
    elsewhere: list[FloatArray] = field(default_factory=list)  # successive sightings too far away to believe at once

    @property
    def shape(self) -> str:
        return self.shapes.most_common(1)[0][0] if self.shapes else UNKNOWN_SHAPE


@dataclass
class _Candidate:
    """Something new that must persist before it becomes a track."""

    sighting: Sighting
    places: list[FloatArray]
    missed: int = 0  # updates since it was last seen; a camera may look less often than the pipeline updates


@dataclass
class _Grip:
    """An object between the fingers."""

    track: Track
    offset: FloatArray  # (3,) m, in the TCP's frame
    width_m: float
    gripped_s: float


class Tracker:
    """Associates sightings with tracks by colour and distance; every jump and every nameless thing must persist."""

    def __init__(self, settings: TrackSettings) -> None:
        self._settings = settings
        self.reset()

    def reset(self) -> None:
        """Forget everything: a new scene."""
        self._tracks: list[Track] = []
        self._candidates: list[_Candidate] = []
        self._grip: _Grip | None = None

    @property
    def held(self) -> str | None:
        """Label of the object in the grasp."""
        return self._grip.track.label if self._grip else None

    @property
    def unnamed(self) -> tuple[str, ...]:
        """Labels of the things whose shape fits no name."""
        return tuple(track.label for track in self._tracks if track.shape == UNKNOWN_SHAPE)

    def update(self, sightings: Sequence[Sighting], robot: RobotState, stamp_s: float) -> Keypoints:
        """Advance to `stamp_s`; the sightings are everything that the cameras saw at that instant."""
        self._release(robot, stamp_s)
        self._follow_grip(robot)
        pairs = self._associate(sightings)
        taken = {index for _, index in pairs}
        unmatched = [s for i, s in enumerate(sightings) if i not in taken and not self._is_fragment(s)]
        matched = {id(track) for track, _ in pairs}
        for track, index in pairs:
            self._correct(track, sightings[index], robot, stamp_s)
        for track in self._tracks:
            if id(track) not in matched:
                track.visible = False
                unmatched = self._consider_jump(track, unmatched, stamp_s)
        self._consider_births(unmatched, stamp_s)
        self._grasp(robot, stamp_s)
        self._relabel()
        return Keypoints(stamp_s, tuple(self._keypoint(track, stamp_s) for track in self._tracks))

    def _keypoint(self, track: Track, stamp_s: float) -> Keypoint:
        # The grip measures a held object even when no camera sees it.
        held = self._grip is not None and self._grip.track is track
        age_s = 0.0 if held else max(0.0, stamp_s - track.measured_s)
        return Keypoint(track.label, track.position, track.size, age_s, track.visible)

    def _associate(self, sightings: Sequence[Sighting]) -> list[tuple[Track, int]]:
        if not self._tracks or not sightings:
            return []
        cost = np.array([[self._distance(track, s) for s in sightings] for track in self._tracks])
        rows, columns = linear_sum_assignment(cost)
        return [
            (self._tracks[row], int(column))
            for row, column in zip(rows, columns, strict=True)
            if cost[row, column] < self._settings.gate_m
        ]

    def _is_fragment(self, sighting: Sighting) -> bool:
        """A piece of a known object that something in front of it cuts off."""
        margin = self._settings.fragment_m
        for track in self._tracks:
            low, high = track.position - 0.5 * track.size - margin, track.position + 0.5 * track.size + margin
            if track.colour == sighting.colour and (sighting.lower > low).all() and (sighting.upper < high).all():
                return True
        return False

    def _distance(self, track: Track, sighting: Sighting) -> float:
        if track.colour != sighting.colour:
            return _FAR
        return min(_FAR, float(np.linalg.norm(self._place(track, sighting) - track.position)))

    def _place(self, track: Track, sighting: Sighting) -> FloatArray:
        """Where the sighting says the track's centre is.

        Along each axis: midway when both sides are free; half the known size from the one free side; and when neither
        is, the object is moved as little as needed to contain what was seen (a set-membership update).  Height comes
        from the top, because the lower end hides first.
        """
        if not track.whole_seen:
            return sighting.centroid
        half = 0.5 * track.size
        from_upper, from_lower = sighting.upper - half, sighting.lower + half
        place = np.where(from_upper < from_lower, np.clip(track.position, from_upper, from_lower), sighting.centroid)
        if self._shows_top(track, sighting):
            large = self._large_enough(track, sighting)
            for axis in range(2):
                lower_free, upper_free = sighting.free[:, axis]
                if lower_free and upper_free and large[axis]:
                    place[axis] = sighting.centroid[axis]
                elif lower_free != upper_free:
                    place[axis] = from_upper[axis] if upper_free else from_lower[axis]
        if self._shows_all(track, sighting) or sighting.upper[2] > track.position[2] + half[2]:
            place[2] = from_upper[2]
        return place

    def _shows_top(self, track: Track, sighting: Sighting) -> bool:
        """Sides are measured on the top face; what is far below the known top is only a strip of a side."""
        top_m = track.position[2] + 0.5 * track.size[2]
        return bool(sighting.upper[2] > top_m - self._settings.top_hidden_m)

    def _large_enough(self, track: Track, sighting: Sighting) -> NDArray[np.bool_]:
        """(2,) per axis: a view smaller than the object is known to be is a part of it, whatever it claims."""
        missing = (track.size - sighting.size)[:2]
        allowed = np.maximum(self._settings.shrink_m, self._settings.shrink * track.size[:2])
        large: NDArray[np.bool_] = missing < allowed
        return large

    def _shows_all(self, track: Track, sighting: Sighting) -> bool:
        """The sighting measures the whole object."""
        if not (sighting.complete and track.whole_seen):
            return sighting.complete
        return self._shows_top(track, sighting) and bool(self._large_enough(track, sighting).all())

    def _correct(self, track: Track, sighting: Sighting, robot: RobotState, stamp_s: float) -> None:
        settings = self._settings
        place = self._place(track, sighting)
        innovation = place - track.position
        if self._grip is not None and self._grip.track is track:
            track.position = track.position + settings.grip_gain * innovation
            self._grip.offset = _into_tool(robot, track.position)
        else:
            distance = float(np.linalg.norm(innovation))
            gain = max(settings.still_gain, min(1.0, distance / settings.moving_m)) if track.whole_seen else 1.0
            track.position = track.position + gain * innovation
            self._learn(track, sighting)
        track.measured_s, track.visible = stamp_s, True
        track.elsewhere.clear()

    def _learn(self, track: Track, sighting: Sighting) -> None:
        """Size and shape, from views that show all of the object standing on the table."""
        if not self._shows_all(track, sighting):
            if not track.whole_seen:
                track.size = np.maximum(track.size, sighting.size)
            return
        if not track.whole_seen:
            track.size, track.whole_seen = sighting.size, True
        else:
            gain = np.full(3, self._settings.size_gain)
            gain[2] *= sighting.grounded
            track.size = track.size + gain * (sighting.size - track.size)
        if sighting.shape != UNKNOWN_SHAPE:
            track.shapes[sighting.shape] += 1

    def _consider_jump(self, track: Track, unmatched: list[Sighting], stamp_s: float) -> list[Sighting]:
        """A track that was not seen where it was believed may have moved; believe it after several sightings."""
        likely = [s for s in unmatched if s.colour == track.colour and (s.shape == track.shape or not s.complete)]
        if not likely:
            return unmatched
        nearest = min(likely, key=lambda s: self._distance(track, s))
        place = self._place(track, nearest) if nearest.complete else nearest.centroid
        if track.elsewhere and np.linalg.norm(place - track.elsewhere[-1]) > self._settings.confirm_spread_m:
            track.elsewhere.clear()
        track.elsewhere.append(place)
        if len(track.elsewhere) >= self._settings.confirm_updates:
            if self._grip is not None and self._grip.track is track:
                self._grip = None
            track.position, track.measured_s, track.visible = place, stamp_s, True
            track.elsewhere.clear()
        return [s for s in unmatched if s is not nearest]

    def _consider_births(self, unmatched: Sequence[Sighting], stamp_s: float) -> None:
        """Named whole objects are believed at once, anything else when it persists."""
        waiting = [c for c in self._candidates if c.missed < self._settings.confirm_updates]
        for candidate in waiting:
            candidate.missed += 1
        for sighting in unmatched:
            known = next((c for c in waiting if self._continues(c, sighting)), None)
            candidate = _Candidate(sighting, [*(known.places if known else []), sighting.centroid])
            waiting = [c for c in waiting if c is not known]
            clear = sighting.complete and sighting.shape != UNKNOWN_SHAPE
            if clear or len(candidate.places) >= self._settings.confirm_updates:
                track = Track(sighting.colour, sighting.centroid, sighting.size, stamp_s)
                self._learn(track, sighting)
                self._tracks.append(track)
            else:
                waiting.append(candidate)
        self._candidates = waiting

    def _continues(self, candidate: _Candidate, sighting: Sighting) -> bool:
        if candidate.sighting.colour != sighting.colour:
            return False
        return bool(np.linalg.norm(candidate.places[-1] - sighting.centroid) < self._settings.confirm_spread_m)

    def _release(self, robot: RobotState, stamp_s: float) -> None:
        grip = self._grip
        if grip is None:
            return
        if robot.gripper_holds:
            grip.gripped_s = stamp_s
        opened = robot.gripper_width_m > grip.width_m + self._settings.release_opening_m
        if opened or stamp_s - grip.gripped_s > self._settings.release_s:
            self._grip = None

    def _follow_grip(self, robot: RobotState) -> None:
        if self._grip is not None:
            self._grip.track.position = _out_of_tool(robot, self._grip.offset)

    def _grasp(self, robot: RobotState, stamp_s: float) -> None:
        if self._grip is not None or not robot.gripper_holds:
            return
        near = [(float(np.linalg.norm(t.position - robot.tcp_position)), t) for t in self._tracks]
        near = [(d, t) for d, t in near if d < self._settings.grasp_reach_m and self._fits(robot, t)]
        if near:
            track = min(near, key=lambda pair: pair[0])[1]
            offset = _into_tool(robot, track.position)
            # The fingers close on the object from both sides, along the tool's y axis.
            offset[1] = 0.0
            self._grip = _Grip(track, offset, robot.gripper_width_m, stamp_s)
            track.position = _out_of_tool(robot, offset)

    def _fits(self, robot: RobotState, track: Track) -> bool:
        """Fingers that stall on a corner while pushing do not hold the object."""
        return robot.gripper_width_m > self._settings.grip_width_share * float(track.size[:2].min())

    def _relabel(self) -> None:
        """Labels are "red cube", "red cube 2", "grey thing 1"; a label once given stays until the shape is renamed."""
        taken: set[str] = set()
        for track in self._tracks:
            stem = f"{track.colour} {track.shape}"
            if track.label.rstrip(" 0123456789") == stem:
                taken.add(track.label)
            else:
                track.label = ""
        for track in self._tracks:
            if not track.label:
                stem = f"{track.colour} {track.shape}"
                first = [] if track.shape == UNKNOWN_SHAPE else [stem]
                numbered = (f"{stem} {n}" for n in range(1 + len(first), 2 + len(first) + len(self._tracks)))
                track.label = next(label for label in [*first, *numbered] if label not in taken)
                taken.add(track.label)


def _into_tool(robot: RobotState, point: FloatArray) -> FloatArray:
    offset: FloatArray = Rotation.from_quat(robot.tcp_quat_xyzw).inv().apply(point - robot.tcp_position)
    return offset


def _out_of_tool(robot: RobotState, offset: FloatArray) -> FloatArray:
    point: FloatArray = robot.tcp_position + Rotation.from_quat(robot.tcp_quat_xyzw).apply(offset)
    return point
