"""The whole pipeline on the simulator's cameras, against its truth; `vls bench perception` runs the same at length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from vls_steering.perception import PerceptionPipeline, PerceptionSettings
from vls_steering.sim.cameras import CameraRig
from vls_steering.sim.layout import SceneLayout
from vls_steering.sim.privileged import true_keypoints
from vls_steering.sim.scenes import draw_layout
from vls_steering.sim.world import World


class Bench:
    """One world and its cameras, shared because they take a second to build."""

    def __init__(self) -> None:
        self.world = World(draw_layout("play", 0))
        self.rig = CameraRig(self.world, 0)

    def show(self, layout: SceneLayout) -> None:
        self.world.reset(layout)
        self.rig.reset(layout, layout.seed)

    def look(self, pipeline: PerceptionPipeline, cameras: tuple[str, ...] = ("front", "wrist")):
        state = self.world.full_state()
        return pipeline.update([self.rig.render(state, camera) for camera in cameras], self.world.robot_state())


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.rig.close()


@pytest.mark.parametrize(("scene", "seed"), [("play", 31), ("play", 32), ("obstacle", 33), ("obstacle", 34)])
def test_every_object_is_named_and_placed(bench: Bench, scene: str, seed: int) -> None:
    bench.show(draw_layout(scene, seed))
    pipeline = PerceptionPipeline(PerceptionSettings(), seed=0)
    for _ in range(4):
        keypoints = bench.look(pipeline)
    truth = true_keypoints(bench.world.truth())
    assert set(keypoints.names) == set(truth.names)
    for true in truth.points:
        found = keypoints.find(true.name)
        assert found is not None
        assert np.linalg.norm(found.position - true.position) < 0.010, true.name
        if true.name == "purple box":
            assert found.size == pytest.approx(true.size, abs=0.010)


@pytest.mark.parametrize(
    ("target", "seed"),
    [("red cube", 1002), ("red cube", 1006), ("blue cube", 1003), ("yellow brick", 1004), ("green cylinder", 1005)],
)
def test_what_stands_on_a_support_has_its_own_name_from_the_first_look(bench: Bench, target: str, seed: int) -> None:
    """Seen from above, its sides hide: it does not reach down to the table, and the support is one box, not two."""
    bench.show(draw_layout("raised", seed, target))
    pipeline = PerceptionPipeline(PerceptionSettings(), seed=0)
    truth = true_keypoints(bench.world.truth())
    for _ in range(4):
        keypoints = bench.look(pipeline)
        assert set(keypoints.names) == set(truth.names)
    for true in truth.points:
        found = keypoints.find(true.name)
        assert found is not None
        assert np.linalg.norm(found.position - true.position) < 0.010, true.name
        assert abs(found.size[2] - true.size[2]) < 0.010, true.name


def test_the_front_camera_alone_is_enough(bench: Bench) -> None:
    bench.show(draw_layout("play", 35))
    keypoints = bench.look(PerceptionPipeline(PerceptionSettings(), seed=0), ("front",))
    truth = true_keypoints(bench.world.truth())
    errors = [np.linalg.norm(keypoints.find(p.name).position - p.position) for p in truth.points]
    assert max(errors) < 0.010


def test_an_empty_table_shows_nothing(bench: Bench) -> None:
    """Neither the arm nor the cameras' noise becomes an object."""
    bench.show(replace(draw_layout("play", 36), objects=(), plate_xy_m=None))
    pipeline = PerceptionPipeline(PerceptionSettings(), seed=0)
    for _ in range(6):
        keypoints = bench.look(pipeline)
    assert keypoints.points == ()


def test_the_same_pictures_give_the_same_keypoints(bench: Bench) -> None:
    bench.show(draw_layout("play", 37))
    state, robot = bench.world.full_state(), bench.world.robot_state()
    frames = [bench.rig.render(state, camera) for camera in ("front", "wrist")]
    first = PerceptionPipeline(PerceptionSettings(), seed=5).update(frames, robot)
    again = PerceptionPipeline(PerceptionSettings(), seed=5).update(frames, robot)
    assert all(np.array_equal(a.position, b.position) for a, b in zip(first.points, again.points, strict=True))


def test_the_overlay_numbers_the_keypoints(bench: Bench) -> None:
    bench.show(draw_layout("play", 38))
    pipeline = PerceptionPipeline(PerceptionSettings(), seed=0)
    bench.look(pipeline)
    clean = bench.rig.render(bench.world.full_state(), "front").color
    overlay = pipeline.overlay()
    assert overlay.shape == clean.shape
    assert (np.abs(overlay.astype(int) - clean).max(axis=-1) > 60).sum() > 200
