"""Scenes at rest: every thing that a camera sees should have its name and its centre."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np

from vls_steering.bench.perception_score import FalseName, ObjectResult, false_names, match, stem
from vls_steering.core.types import CameraFrame, Keypoints
from vls_steering.perception import PerceptionPipeline, PerceptionSettings
from vls_steering.sim.cameras import CAMERAS, CameraRig, PropPixels
from vls_steering.sim.model import FRONT_CAMERA
from vls_steering.sim.perception_scenes import PerceptionScene, draw_perception_scene
from vls_steering.sim.world import World

# A thing is seen, and counts, when one camera shows this many pixels of it and this share of its silhouette.  Seven
# pixels by fifteen of a cube that fills 250: less is a strip of one side, which no proportions can name.
SEEN_PIXELS, SEEN_SHARE = 100, 0.4
UPDATES = 4  # perception looks so often, as an episode does before the arm moves
RAISED_M = 0.01  # the lower end of what stands on something is higher
WRIST_EVERY = 3  # the wrist camera adds to the front one at a third of its rate, as in the episodes
SHADOW_PX = 1024


@dataclass(frozen=True)
class SceneResult:
    """One scene's truth, and what perception said."""

    seed: int
    objects: tuple[ObjectResult, ...]
    false: tuple[FalseName, ...]
    unnamed: int  # things reported without a name
    update_s: tuple[float, ...]  # processor time of updates with the front camera alone
    frame: CameraFrame = field(repr=False)

    @property
    def flawless(self) -> bool:
        return not self.false and all(thing.named for thing in self.objects if thing.seen)


class StaticBench:
    """Owns a world without contacts to care for, and its cameras; builds one scene after the other."""

    def __init__(self, settings: PerceptionSettings | None = None) -> None:
        layout = draw_perception_scene(0).layout
        self._world = World(layout)
        self._world.model.vis.quality.shadowsize = SHADOW_PX
        self._rig = CameraRig(self._world, seed=0)
        self._settings = settings or PerceptionSettings()

    def close(self) -> None:
        """Free the OpenGL context."""
        self._rig.close()

    def score(self, seed: int) -> SceneResult:
        """Look at scene `seed` as an episode's first seconds do, and compare."""
        scene = draw_perception_scene(seed)
        self._world.reset(scene.layout)
        scene.lighting.shine(self._world.model)
        self._rig.reset(scene.layout, seed, scene.props, scene.noise)
        pipeline = PerceptionPipeline(self._settings, seed)
        state, robot = self._world.full_state(), self._world.robot_state()
        update_s = []
        for update in range(UPDATES):
            cameras = CAMERAS if update % WRIST_EVERY == 0 else (FRONT_CAMERA,)
            frames = [self._rig.render(state, camera) for camera in cameras]
            start_s = time.process_time()
            keypoints = pipeline.update(frames, robot)
            if len(frames) == 1:
                update_s.append(time.process_time() - start_s)
        pixels = [self._rig.count_pixels(state, camera) for camera in CAMERAS]
        objects, false = _compare(scene, keypoints, pixels)
        return SceneResult(seed, objects, false, len(pipeline.unnamed), tuple(update_s), frames[0])


def _compare(
    scene: PerceptionScene, keypoints: Keypoints, pixels: list[tuple[PropPixels, ...]]
) -> tuple[tuple[ObjectResult, ...], tuple[FalseName, ...]]:
    about = match(scene.objects, keypoints.points)
    results = []
    for index, prop in enumerate(scene.objects):
        views = [camera[index] for camera in pixels]
        most = max(views, key=lambda view: view.seen)
        seen = any(view.seen >= SEEN_PIXELS and view.share >= SEEN_SHARE for view in views)
        point = keypoints.points[about[index]] if index in about else None
        error_m = float("nan") if point is None else float(np.linalg.norm(point.position - np.array(prop.position_m)))
        called = "" if point is None else stem(point.name)
        raised = prop.position_m[2] - prop.half_height_m > RAISED_M
        results.append(
            ObjectResult(
                prop.name, prop.position_m, seen, most.seen, most.share, raised, called=called, error_m=error_m
            )
        )
    return tuple(results), false_names(keypoints.points, about, scene.clutter)
