"""From RGB-D pictures and the arm's own state to labelled, tracked keypoints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vls_steering.core.errors import StreamFault
from vls_steering.core.types import CameraFrame, Keypoints, RobotState
from vls_steering.perception.colour import classify_colours, is_chromatic
from vls_steering.perception.detection import Detection, Segmenter
from vls_steering.perception.flow import Seed
from vls_steering.perception.lift import lift
from vls_steering.perception.merge import merge_views
from vls_steering.perception.object_flow import ObjectFlow
from vls_steering.perception.overlay import draw_overlay
from vls_steering.perception.plane import SupportPlane, find_support_plane
from vls_steering.perception.segment import GeometricSegmenter
from vls_steering.perception.self_mask import robot_mask
from vls_steering.perception.settings import PerceptionSettings
from vls_steering.perception.track import Tracker


class PerceptionPipeline:
    """lift -> support plane -> robot mask -> segment, per camera; then merge -> track.

    Where segmentation is too slow for every picture, optical flow carries the keypoints from one to the next, and an
    object that it loses calls for the next at once (`FlowSettings.segment_every`).
    Deterministic for the same pictures, states and seed.  Not thread-safe.
    """

    def __init__(self, settings: PerceptionSettings, seed: int, segmenter: Segmenter | None = None) -> None:
        self._settings = settings
        self._seed = seed
        self._segmenter = segmenter or GeometricSegmenter(settings.segment, settings.workspace)
        self._tracker = Tracker(settings.track, settings.motion)
        self.reset()

    def reset(self) -> None:
        """Forget the scene: the next update starts anew."""
        self._rng = np.random.default_rng(self._seed)
        self._plane: SupportPlane | None = None
        self._tracker.reset()
        self._flow = ObjectFlow(self._settings.flow, self._seed)
        self._updates = 0
        self._keypoints: Keypoints | None = None
        self._shown: CameraFrame | None = None

    @property
    def plane(self) -> SupportPlane | None:
        """The support plane as last seen; None before the first update."""
        return self._plane

    @property
    def unnamed(self) -> tuple[str, ...]:
        """Keypoints whose object has a colour or a place but no recognised shape."""
        return self._tracker.unnamed

    @property
    def held(self) -> str | None:
        """Name of the keypoint that moves with the gripper."""
        return self._tracker.held

    def update(self, frames: Sequence[CameraFrame], robot: RobotState) -> Keypoints:
        """Keypoints at the newest frame's stamp.

        `robot` is the state at that stamp.  The first frame shows the scene as a whole and decides about the support
        plane and the overlay.  Raises StreamFault without frames, or when no table was ever seen.
        """
        if not frames:
            raise StreamFault("perception got no pictures", "Check that the cameras publish")
        stamp_s = max(frame.stamp_s for frame in frames)
        motions = self._flow.follow(frames, robot)
        if self._must_segment(stamp_s):
            detections = [detection for frame in frames for detection in self._detect(frame, robot)]
            sightings = merge_views(detections, self._settings.track.merge_m)
            self._keypoints = self._tracker.update(sightings, robot, stamp_s, motions)
            if self._settings.flow.segment_every > 1:
                self._seed_flow(frames, detections, robot)
        else:
            self._keypoints = self._tracker.advance(motions, robot, stamp_s)
        self._updates += 1
        self._shown = frames[0]
        return self._keypoints

    def overlay(self) -> NDArray[np.uint8]:
        """(H, W, 3) RGB: the last first frame with its numbered keypoints; raises StreamFault before an update."""
        if self._shown is None or self._keypoints is None:
            raise StreamFault("there is no picture to draw on", "Call update first")
        return draw_overlay(self._shown, self._keypoints)

    def _must_segment(self, stamp_s: float) -> bool:
        """It is time to, or an object has to be found again."""
        flow = self._settings.flow
        due = self._updates % flow.segment_every == 0
        return due or bool(self._flow.lost) or self._tracker.misses(stamp_s, flow.search_s)

    def _seed_flow(self, frames: Sequence[CameraFrame], detections: Sequence[Detection], robot: RobotState) -> None:
        seeds: dict[str, dict[int, Seed]] = {frame.camera: {} for frame in frames}
        for detection in detections:
            track = self._tracker.find(detection.colour, detection.centroid)
            if track is not None:
                known = seeds[detection.camera].get(track.key)
                mask = detection.mask if known is None else known.mask | detection.mask
                seeds[detection.camera][track.key] = Seed(mask, track.position, track.size)
        self._flow.seed(frames, seeds, robot)

    def _detect(self, frame: CameraFrame, robot: RobotState) -> tuple[Detection, ...]:
        settings = self._settings
        view = lift(frame)
        plane = find_support_plane(view, settings.plane, settings.workspace, self._rng, self._plane)
        self._plane = self._plane or plane
        colourless = ~is_chromatic(classify_colours(frame.color))
        above = plane.height_of(view.points) > settings.segment.clearance_m
        mask = robot_mask(view, colourless & above, robot, settings.segment.robot_margin_m)
        return self._segmenter.segment(view, plane, mask)
