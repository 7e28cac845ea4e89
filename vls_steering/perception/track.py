"""Keeps every object's name, place and size from picture to picture, through occlusion and in the grasp."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
from scipy.optimize import linear_sum_assignment

from vls_steering.core.arrays import FloatArray
from vls_steering.core.types import Keypoint, Keypoints, RobotState
from vls_steering.perception.contact import pushed_by_fingers
from vls_steering.perception.detection import UNKNOWN_SHAPE
from vls_steering.perception.grip import Grip, fits, into_tool
from vls_steering.perception.merge import Sighting
from vls_steering.perception.motion_model import MotionEstimate
from vls_steering.perception.placement import Believed, Placement, Placer, first_sigma
from vls_steering.perception.rigid import RigidMotion
from vls_steering.perception.settings import MotionSettings, TrackSettings

_FAR = 1e3
NO_MOTIONS: Mapping[int, RigidMotion] = MappingProxyType({})


@dataclass
class Track:
    """The state of one object; only the tracker writes it."""

    key: int
    colour: str
    estimate: MotionEstimate
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

    @property
    def position(self) -> FloatArray:
        return self.estimate.position

    @property
    def believed(self) -> Believed:
        return Believed(self.position, self.size, self.whole_seen)


@dataclass
class _Candidate:
    """Something new that must persist before it becomes a track."""

    sighting: Sighting
    places: list[FloatArray]
    missed: int = 0  # updates since it was last seen; a camera may look less often than the pipeline updates


class Tracker:
    """Predicts every object, then corrects it by the sightings that colour and distance assign to it.

    The prediction is what is known best: the gripper of what it holds, the optical flow of what was followed, else
    constant velocity and the fingers' pushing.  Every jump and every nameless thing must persist.
    """

    def __init__(self, settings: TrackSettings, motion: MotionSettings) -> None:
        self._settings, self._motion = settings, motion
        self._placer = Placer(settings, motion)
        self.reset()

    def reset(self) -> None:
        """Forget everything: a new scene."""
        self._tracks: list[Track] = []
        self._candidates: list[_Candidate] = []
        self._grip: Grip | None = None
        self._robot: RobotState | None = None
        self._stamp_s = 0.0
        self._next_key = 0

    @property
    def held(self) -> str | None:
        """Label of the object in the grasp."""
        return next((track.label for track in self._tracks if self._holds(track)), None)

    @property
    def unnamed(self) -> tuple[str, ...]:
        """Labels of the things whose shape fits no name."""
        return tuple(track.label for track in self._tracks if track.shape == UNKNOWN_SHAPE)

    def find(self, colour: str, place: FloatArray) -> Track | None:
        """The object in view of this colour that reaches to `place` (3,) m."""
        for track in self._tracks:
            reach = 0.5 * track.size + self._settings.fragment_m
            if track.visible and track.colour == colour and (np.abs(place - track.position) < reach).all():
                return track
        return None

    def misses(self, stamp_s: float, since_s: float) -> bool:
        """An object went out of view less than `since_s` before `stamp_s`, and not into the grasp."""
        return any(not t.visible and stamp_s - t.measured_s < since_s and not self._holds(t) for t in self._tracks)

    def update(
        self,
        sightings: Sequence[Sighting],
        robot: RobotState,
        stamp_s: float,
        motions: Mapping[int, RigidMotion] = NO_MOTIONS,
    ) -> Keypoints:
        """Advance to `stamp_s`; the sightings are everything that the cameras saw at that instant."""
        elapsed_s = self._predict(robot, stamp_s, motions)
        pairs = self._associate(sightings)
        taken = {index for _, index in pairs}
        unmatched = [s for i, s in enumerate(sightings) if i not in taken and not self._is_fragment(s)]
        matched = {track.key for track, _ in pairs}
        for track, index in pairs:
            self._correct(track, sightings[index], robot, stamp_s, elapsed_s)
        for track in self._tracks:
            if track.key not in matched:
                track.visible = False
                unmatched = self._consider_jump(track, unmatched, stamp_s)
        self._consider_births(unmatched, stamp_s)
        return self._finish(robot, stamp_s)

    def advance(self, motions: Mapping[int, RigidMotion], robot: RobotState, stamp_s: float) -> Keypoints:
        """Advance to `stamp_s` without a segmentation: `motions` are the rigid motions that were seen, by key."""
        self._predict(robot, stamp_s, motions)
        for track in self._tracks:
            track.visible = track.key in motions
            if track.visible:
                track.measured_s = stamp_s
        return self._finish(robot, stamp_s)

    def _finish(self, robot: RobotState, stamp_s: float) -> Keypoints:
        self._grasp(robot, stamp_s)
        self._relabel()
        return Keypoints(stamp_s, tuple(self._keypoint(track, stamp_s) for track in self._tracks))

    def _keypoint(self, track: Track, stamp_s: float) -> Keypoint:
        # The grip measures a held object even when no camera sees it.
        age_s = 0.0 if self._holds(track) else max(0.0, stamp_s - track.measured_s)
        sigma_m = np.sqrt(track.estimate.variance + self._motion.bias_m**2)
        return Keypoint(track.label, track.position, track.size, age_s, track.visible, sigma_m)

    # Prediction -------------------------------------------------------------------------------------------------------

    def _predict(self, robot: RobotState, stamp_s: float, motions: Mapping[int, RigidMotion]) -> float:
        """Every object at `stamp_s` as far as it is known without sightings; returns the seconds that have passed."""
        elapsed_s = max(0.0, stamp_s - self._stamp_s) if self._robot is not None else 0.0
        self._release(robot, stamp_s)
        for track in self._tracks:
            if self._grip is not None and self._holds(track):
                track.estimate = MotionEstimate.at_rest(self._grip.position(robot), self._motion.grip_m)
            elif track.key in motions:
                self._follow(track, motions[track.key], elapsed_s)
            else:
                self._extrapolate(track, robot, elapsed_s)
        self._robot, self._stamp_s = robot, stamp_s
        return elapsed_s

    def _follow(self, track: Track, motion: RigidMotion, elapsed_s: float) -> None:
        shift = motion.apply(track.position) - track.position
        variance = np.full(3, motion.variance_at(track.position) + self._motion.flow_m**2)
        track.estimate = track.estimate.displaced(shift, variance, elapsed_s)

    def _extrapolate(self, track: Track, robot: RobotState, elapsed_s: float) -> None:
        motion = self._motion
        drift_m = motion.drift_m if track.visible else motion.hidden_drift_m
        track.estimate = track.estimate.predicted(elapsed_s, drift_m, motion)
        if not track.visible and track.whole_seen and self._robot is not None:
            shift = pushed_by_fingers(track.position, track.size, self._robot, robot)
            track.estimate = track.estimate.displaced(shift, (motion.travel_share * shift) ** 2, 0.0)

    # Sightings --------------------------------------------------------------------------------------------------------

    def _associate(self, sightings: Sequence[Sighting]) -> list[tuple[Track, int]]:
        if not self._tracks or not sightings:
            return []
        cost = np.array([[self._distance(track, s) for s in sightings] for track in self._tracks])
        rows, columns = linear_sum_assignment(cost)
        return [
            (self._tracks[row], int(column))
            for row, column in zip(rows, columns, strict=True)
            if cost[row, column] < self._gate_m(self._tracks[row])
        ]

    def _gate_m(self, track: Track) -> float:
        """What has not been seen for long is believed farther away."""
        return self._settings.gate_m + self._motion.gate_sigmas * float(np.sqrt(track.estimate.variance.max()))

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
        placement = self._placer.place(track.believed, sighting)
        return min(_FAR, float(np.linalg.norm(placement.position - track.position)))

    def _correct(self, track: Track, sighting: Sighting, robot: RobotState, stamp_s: float, elapsed_s: float) -> None:
        placement = self._placer.place(track.believed, sighting)
        if self._grip is not None and self._holds(track):
            self._correct_grip(track, placement, robot)
        else:
            track.estimate = track.estimate.corrected(placement.position, placement.sigma_m, elapsed_s, self._motion)
            self._learn(track, sighting)
        track.measured_s, track.visible = stamp_s, True
        track.elsewhere.clear()

    def _learn(self, track: Track, sighting: Sighting) -> None:
        """Size and shape, from views that show all of the object standing on the table."""
        if not self._placer.shows_all(track.believed, sighting):
            if not track.whole_seen:
                track.size = np.maximum(track.size, sighting.size)
            return
        if not track.whole_seen:
            track.size, track.whole_seen = sighting.size, True
        else:
            gain = np.full(3, self._settings.size_gain)
            gain[2] *= sighting.grounded
            track.size = track.size + gain * (sighting.size - track.size)
        track.shapes[sighting.shape] += 1  # also that it fits no name: one mistake must not name what has none

    def _consider_jump(self, track: Track, unmatched: list[Sighting], stamp_s: float) -> list[Sighting]:
        """A track that was not seen where it was believed may have moved; believe it after several sightings."""
        likely = [s for s in unmatched if s.colour == track.colour and (s.shape == track.shape or not s.complete)]
        if not likely:
            return unmatched
        nearest = min(likely, key=lambda s: self._distance(track, s))
        place = self._placer.place(track.believed, nearest).position if nearest.complete else nearest.centroid
        if track.elsewhere and np.linalg.norm(place - track.elsewhere[-1]) > self._settings.confirm_spread_m:
            track.elsewhere.clear()
        track.elsewhere.append(place)
        if len(track.elsewhere) >= self._settings.confirm_updates:
            if self._holds(track):
                self._grip = None
            track.estimate = MotionEstimate.at_rest(place, float(first_sigma(nearest, self._motion).max()))
            track.measured_s, track.visible = stamp_s, True
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
                self._add(sighting, stamp_s)
            else:
                waiting.append(candidate)
        self._candidates = waiting

    def _add(self, sighting: Sighting, stamp_s: float) -> None:
        estimate = MotionEstimate.at_rest(sighting.centroid, float(first_sigma(sighting, self._motion).max()))
        track = Track(self._next_key, sighting.colour, estimate, sighting.size, stamp_s)
        self._next_key += 1
        self._learn(track, sighting)
        self._tracks.append(track)

    def _continues(self, candidate: _Candidate, sighting: Sighting) -> bool:
        if candidate.sighting.colour != sighting.colour:
            return False
        return bool(np.linalg.norm(candidate.places[-1] - sighting.centroid) < self._settings.confirm_spread_m)

    # The grasp --------------------------------------------------------------------------------------------------------

    def _holds(self, track: Track) -> bool:
        return self._grip is not None and self._grip.key == track.key

    def _release(self, robot: RobotState, stamp_s: float) -> None:
        if self._grip is not None and robot.gripper_holds:
            self._grip = replace(self._grip, gripped_s=stamp_s)
        if self._grip is not None and self._grip.released(robot, stamp_s, self._settings):
            self._grip = None

    def _grasp(self, robot: RobotState, stamp_s: float) -> None:
        if self._grip is not None or not robot.gripper_holds:
            return
        near = [(float(np.linalg.norm(t.position - robot.tcp_position)), t) for t in self._tracks]
        near = [(d, t) for d, t in near if d < self._settings.grasp_reach_m and fits(robot, t.size, self._settings)]
        if near:
            track = min(near, key=lambda pair: pair[0])[1]
            offset = into_tool(robot, track.position)
            # The fingers close on the object from both sides, along the tool's y axis.
            offset[1] = 0.0
            self._grip = Grip(track.key, offset, robot.gripper_width_m, stamp_s)
            track.estimate = MotionEstimate.at_rest(self._grip.position(robot), self._motion.grip_m)

    def _correct_grip(self, track: Track, placement: Placement, robot: RobotState) -> None:
        """A view corrects where in the grasp the object is."""
        assert self._grip is not None
        position = track.position + self._settings.grip_gain * (placement.position - track.position)
        self._grip = replace(self._grip, offset=into_tool(robot, position))
        track.estimate = replace(track.estimate, position=position)

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
