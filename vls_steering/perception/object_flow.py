"""Rigid motion of every object in view since the last pictures, from all cameras together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vls_steering.core.types import CameraFrame, RobotState
from vls_steering.perception.flow import PointFlow, PointPairs, Seed
from vls_steering.perception.rigid import RigidMotion, fit_rigid
from vls_steering.perception.self_mask import robot_capsules
from vls_steering.perception.settings import FlowSettings


class ObjectFlow:
    """Seeded by a segmentation, it says from picture to picture how the objects have moved.

    Deterministic for the same pictures, seeds and random seed; not thread-safe.
    """

    def __init__(self, settings: FlowSettings, seed: int) -> None:
        self._settings, self._seed = settings, seed
        self.reset()

    def reset(self) -> None:
        """Forget all points."""
        self._rng = np.random.default_rng([self._seed, 1])
        self._cameras: dict[str, PointFlow] = {}
        self._sought: frozenset[int] = frozenset()
        self._lost: frozenset[int] = frozenset()

    @property
    def lost(self) -> frozenset[int]:
        """Keys of the objects whose points the last pictures do not show, or never did: look for them."""
        return self._lost

    def seed(self, frames: Sequence[CameraFrame], seeds: Mapping[str, Mapping[int, Seed]], robot: RobotState) -> None:
        """Follow the objects of `seeds` (camera -> key -> object) from these frames on, and nothing else."""
        self._cameras = {frame.camera: PointFlow(self._settings) for frame in frames}
        self._sought = frozenset(key for parts in seeds.values() for key in parts)
        capsules = robot_capsules(robot)
        for frame in frames:
            self._cameras[frame.camera].seed(frame, seeds.get(frame.camera, {}), capsules)

    def follow(self, frames: Sequence[CameraFrame], robot: RobotState) -> dict[int, RigidMotion]:
        """How each object has moved since the last frames, where its points agree.

        A camera that was not among the last frames says nothing: it would tell of another interval.
        """
        present = {frame.camera for frame in frames}
        self._cameras = {name: points for name, points in self._cameras.items() if name in present}
        capsules = robot_capsules(robot)
        pairs: dict[int, list[PointPairs]] = {}
        for frame in frames:
            if frame.camera in self._cameras:
                for key, found in self._cameras[frame.camera].follow(frame, capsules).items():
                    pairs.setdefault(key, []).append(found)
        fits = {key: self._fit(pairs[key]) for key in sorted(pairs)}
        motions = {key: motion for key, motion in fits.items() if motion is not None}
        self._lost = self._sought - frozenset(motions)
        return motions

    def _fit(self, pairs: Sequence[PointPairs]) -> RigidMotion | None:
        before = np.concatenate([part.before for part in pairs])
        after = np.concatenate([part.after for part in pairs])
        shift_px = np.concatenate([part.shift_px for part in pairs])
        if float(np.median(shift_px)) < self._settings.still_px:
            # Depth noise would shake what stands still.
            return RigidMotion.none(before)
        return fit_rigid(before, after, self._settings.inlier_m, self._settings.hypotheses, self._rng)
