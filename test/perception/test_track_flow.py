"""Between two segmentations, points carry the objects: followed forth and back, lifted, and dropped when in doubt."""

from __future__ import annotations

import numpy as np
import pytest
from perception.pictures import BLUE, EYE, GREY, RED, Box, picture, robot_far_away, standing

from vls_steering.core.types import CameraFrame
from vls_steering.perception import GeometricSegmenter, PerceptionPipeline, PerceptionSettings
from vls_steering.perception.detection import Detection
from vls_steering.perception.flow import PointFlow, Seed
from vls_steering.perception.object_flow import ObjectFlow
from vls_steering.perception.self_mask import robot_capsules
from vls_steering.perception.settings import FlowSettings

FLOW = FlowSettings(segment_every=4)
SIZE = (0.05, 0.05, 0.05)
CUBE = 7  # its key


def _frame(y: float, *others: Box, stamp_s: float = 0.0, seed: int = 1) -> CameraFrame:
    return picture([standing(0.50, y, SIZE, RED), *others], stamp_s=stamp_s, seed=seed)


def _red(frame: CameraFrame) -> np.ndarray:
    red, green, _ = (frame.color[..., i].astype(int) for i in range(3))
    return red - green > 60


def _seed(frame: CameraFrame) -> Seed:
    return Seed(_red(frame), np.array([0.50, 0.0, 0.025]), np.array(SIZE))


def _before(y: float, share: float) -> Box:
    """Something grey at the camera's side of the cube at (0.5, y), as wide as `share` of it, from its right end on."""
    between = np.array([0.50, y, 0.025]) + 0.35 * (EYE - [0.50, y, 0.025])
    half, width = 0.05, 0.10 * share
    lower = (between[0] - 0.005, between[1] - half, between[2] - half)
    return Box(lower, (between[0] + 0.005, between[1] - half + width, between[2] + half), GREY)


def _follow(first: CameraFrame, second: CameraFrame):
    flow = ObjectFlow(FLOW, seed=0)
    flow.seed([first], {"front": {CUBE: _seed(first)}}, robot_far_away())
    return flow, flow.follow([second], robot_far_away())


@pytest.mark.parametrize("step_m", [0.005, 0.02, 0.04])
def test_a_shift_is_measured(step_m: float) -> None:
    _, motions = _follow(_frame(0.0), _frame(step_m, seed=2))
    centre = np.array([0.50, 0.0, 0.025])
    assert motions[CUBE].apply(centre) == pytest.approx(centre + [0.0, step_m, 0.0], abs=0.003)


def test_what_stands_still_does_not_tremble() -> None:
    _, motions = _follow(_frame(0.0), _frame(0.0, seed=2))
    centre = np.array([0.50, 0.0, 0.025])
    assert np.array_equal(motions[CUBE].apply(centre), centre)


def test_points_that_an_occluder_covers_are_dropped() -> None:
    """Forth and back, and no jump in depth: of the points that are left, none moved."""
    first, second = _frame(0.0), _frame(0.0, _before(0.0, 0.5), seed=2)
    points = PointFlow(FLOW)
    points.seed(first, {CUBE: _seed(first)}, ())
    free = PointFlow(FLOW)
    free.seed(first, {CUBE: _seed(first)}, ())
    seen, all_of_it = points.follow(second, ())[CUBE], free.follow(_frame(0.0, seed=2), ())[CUBE]
    assert 0 < len(seen.before) < len(all_of_it.before)
    assert np.median(np.linalg.norm(seen.after - seen.before, axis=1)) < 0.004


def test_an_occluder_that_moves_on_does_not_take_the_object_along() -> None:
    flow = ObjectFlow(FLOW, seed=0)
    first = _frame(0.0, _before(0.0, 0.2))
    flow.seed([first], {"front": {CUBE: _seed(first)}}, robot_far_away())
    for i, share in enumerate((0.3, 0.4, 0.5)):
        for motion in flow.follow([_frame(0.0, _before(0.0, share), seed=2 + i)], robot_far_away()).values():
            assert motion.apply(np.array([0.5, 0.0, 0.025])) == pytest.approx([0.5, 0.0, 0.025], abs=0.004)


def test_a_covered_object_is_lost() -> None:
    flow, motions = _follow(_frame(0.0), _frame(0.0, _before(0.0, 1.0), seed=2))
    assert motions == {}
    assert flow.lost == {CUBE}


def test_points_in_the_hands_volume_belong_to_the_hand() -> None:
    first = _frame(0.0)
    fingers = robot_capsules(robot_far_away((0.525, 0.0, 0.03), 0.05))
    free, beside_fingers = PointFlow(FLOW), PointFlow(FLOW)
    free.seed(first, {CUBE: _seed(first)}, ())
    beside_fingers.seed(first, {CUBE: _seed(first)}, fingers)
    second = _frame(0.0, seed=2)
    assert len(beside_fingers.follow(second, ())[CUBE].before) < len(free.follow(second, ())[CUBE].before)


def test_a_camera_that_missed_the_last_pictures_says_nothing() -> None:
    flow = ObjectFlow(FLOW, seed=0)
    first = _frame(0.0)
    flow.seed([first], {"front": {CUBE: _seed(first)}}, robot_far_away())
    assert flow.follow([], robot_far_away()) == {}
    assert flow.follow([_frame(0.02, seed=2)], robot_far_away()) == {}


def test_the_same_pictures_give_the_same_motion() -> None:
    _, first = _follow(_frame(0.0), _frame(0.02, seed=2))
    _, again = _follow(_frame(0.0), _frame(0.02, seed=2))
    assert np.array_equal(first[CUBE].translation, again[CUBE].translation)


class _Counting:
    """The shipped segmenter, and how often it was asked."""

    def __init__(self) -> None:
        settings = PerceptionSettings()
        self._inner, self.calls = GeometricSegmenter(settings.segment, settings.workspace), 0

    def segment(self, *args) -> tuple[Detection, ...]:
        self.calls += 1
        return self._inner.segment(*args)


@pytest.fixture
def segmenter() -> _Counting:
    return _Counting()


@pytest.fixture
def pipeline(segmenter: _Counting) -> PerceptionPipeline:
    return PerceptionPipeline(PerceptionSettings(flow=FLOW), seed=0, segmenter=segmenter)


def test_between_segmentations_the_flow_carries_the_keypoints(
    pipeline: PerceptionPipeline, segmenter: _Counting
) -> None:
    blue = standing(0.45, -0.2, SIZE, BLUE)
    for i in range(4):
        frame = _frame(0.012 * i, blue, stamp_s=0.1 * i, seed=i)
        keypoints = pipeline.update([frame], robot_far_away(stamp_s=0.1 * i))
    assert segmenter.calls == 1
    cube = keypoints.find("red cube")
    assert cube.position == pytest.approx([0.50, 0.036, 0.025], abs=0.006)
    assert (cube.visible, cube.age_s) == (True, 0.0)
    assert keypoints.find("blue cube").position == pytest.approx([0.45, -0.2, 0.025], abs=0.005)


def test_each_step_of_the_flow_is_less_certain_until_the_next_segmentation(pipeline: PerceptionPipeline) -> None:
    sigmas = []
    for i in range(9):
        frame = _frame(0.01 * i, stamp_s=0.1 * i, seed=i)
        keypoints = pipeline.update([frame], robot_far_away(stamp_s=0.1 * i))
        sigmas.append(float(keypoints.find("red cube").sigma_m.max()))
    assert sigmas[4] < sigmas[5] < sigmas[6] < sigmas[7]
    assert sigmas[8] < sigmas[7]


def test_a_lost_object_calls_for_a_segmentation_at_once(pipeline: PerceptionPipeline, segmenter: _Counting) -> None:
    pipeline.update([_frame(0.0)], robot_far_away())
    keypoints = pipeline.update([_frame(0.0, _before(0.0, 1.0), stamp_s=0.1)], robot_far_away(stamp_s=0.1))
    assert segmenter.calls == 2
    assert not keypoints.find("red cube").visible


def test_the_same_pictures_give_the_same_keypoints() -> None:
    frames = [_frame(0.012 * i, stamp_s=0.1 * i, seed=i) for i in range(6)]
    runs = []
    for _ in range(2):
        pipeline = PerceptionPipeline(PerceptionSettings(flow=FLOW), seed=3)
        runs.append([pipeline.update([frame], robot_far_away(stamp_s=frame.stamp_s)) for frame in frames])
    for one, other in zip(*runs, strict=True):
        assert all(np.array_equal(a.position, b.position) for a, b in zip(one.points, other.points, strict=True))
