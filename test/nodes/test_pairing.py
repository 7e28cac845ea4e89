"""What belongs together by stamp is put together, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy")

from sensor_msgs.msg import JointState

from vls_steering.core.errors import ShapeError
from vls_steering.core.types import CameraFrame
from vls_steering.nodes.conversions import header
from vls_steering.nodes.pairing import PARTS, FrameAssembler, JointHistory
from vls_steering.nodes.pictures import camera_messages


def parts(stamp_s: float) -> dict[str, object]:
    color, depth = np.full((4, 6, 3), 100, np.uint8), np.ones((4, 6), np.float32)
    frame = CameraFrame(stamp_s, "front", color, depth, np.diag([5.0, 5.0, 1.0]), np.eye(4))
    return dict(zip(PARTS, camera_messages(frame), strict=True))


@pytest.fixture
def whole() -> list[CameraFrame]:
    return []


@pytest.fixture
def assembler(whole: list[CameraFrame]) -> FrameAssembler:
    return FrameAssembler("front", whole.append)


@pytest.mark.parametrize("order", [PARTS, PARTS[::-1], ("info", "color", "pose", "depth")])
def test_a_frame_is_whole_when_its_four_parts_are_there(assembler, whole, order: tuple[str, ...]) -> None:
    message = parts(1.5)
    for part in order[:-1]:
        assembler.add(part, message[part])
    assert whole == []
    assembler.add(order[-1], message[order[-1]])
    assert [frame.stamp_s for frame in whole] == [1.5]


def test_parts_of_different_instants_are_not_mixed(assembler, whole) -> None:
    first, second = parts(1.0), parts(1.1)
    for part in PARTS:
        assembler.add(part, (first if part == "color" else second)[part])
    assert whole == []
    assembler.add("color", second["color"])
    assert [frame.stamp_s for frame in whole] == [1.1]


def test_a_late_part_of_an_overtaken_frame_changes_nothing(assembler, whole) -> None:
    first, second = parts(1.0), parts(1.1)
    for part in PARTS[:-1]:
        assembler.add(part, first[part])
    for part in PARTS:
        assembler.add(part, second[part])
    assembler.add(PARTS[-1], first[PARTS[-1]])
    assert [frame.stamp_s for frame in whole] == [1.1]


def test_lost_parts_do_not_pile_up(assembler) -> None:
    for tick in range(100):
        assembler.add("color", parts(1.0 + 0.1 * tick)["color"])
    assert len(assembler._partial) <= 10


def test_one_calibration_serves_every_picture(assembler, whole) -> None:
    assembler.add("info", parts(1.0)["info"])
    for tick in range(3):
        for part in ("color", "depth", "pose"):
            assembler.add(part, parts(2.0 + 0.1 * tick)[part])
    assert [frame.stamp_s for frame in whole] == pytest.approx([2.0, 2.1, 2.2])


def test_depth_stamped_a_few_milliseconds_beside_its_colour_belongs_to_it(assembler, whole) -> None:
    color, depth = parts(1.0), parts(1.004)
    for part in ("info", "color", "pose"):
        assembler.add(part, color[part])
    assembler.add("depth", depth["depth"])
    assert [frame.stamp_s for frame in whole] == [1.0]


def test_where_somebody_knows_the_pose_none_is_waited_for(whole) -> None:
    asked: list[tuple[str, float]] = []

    def locate(frame_id: str, stamp_s: float) -> np.ndarray:
        asked.append((frame_id, stamp_s))
        return np.diag([1.0, -1.0, -1.0, 1.0])

    assembler = FrameAssembler("front", whole.append, locate)
    for part in assembler.parts:
        assembler.add(part, parts(1.0)[part])
    assert asked == [("front_color_optical_frame", 1.0)]
    np.testing.assert_allclose(whole[0].base_from_camera, np.diag([1.0, -1.0, -1.0, 1.0]))


def test_a_calibration_of_another_size_is_refused(assembler) -> None:
    message = parts(1.0)
    message["info"].width = 640
    for part in PARTS[:-1]:
        assembler.add(part, message[part])
    with pytest.raises(ShapeError, match="640x4 pixels, the picture of 6x4"):
        assembler.add(PARTS[-1], message[PARTS[-1]])


def joints(stamp_s: float) -> JointState:
    return JointState(header=header(stamp_s))


def test_the_joint_state_nearest_to_a_stamp_is_found() -> None:
    history = JointHistory()
    for tick in range(20):
        history.add(joints(0.01 * tick), holds=tick >= 10)
    message, holds = history.at(0.104)
    assert (message.header.stamp.nanosec, holds) == (100_000_000, True)


def test_without_a_near_one_there_is_none() -> None:
    history = JointHistory(gap_s=0.05)
    assert history.at(0.0) is None
    history.add(joints(1.0), holds=False)
    assert history.at(1.06) is None


def test_a_clock_that_was_set_back_starts_a_new_history() -> None:
    history = JointHistory()
    history.add(joints(5.0), holds=True)
    history.add(joints(0.01), holds=False)
    assert history.at(5.0) is None
