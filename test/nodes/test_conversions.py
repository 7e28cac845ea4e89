"""What goes onto the wire comes back as it was."""

from __future__ import annotations

import timeit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("rclpy")

from rclpy.serialization import deserialize_message, serialize_message

from vls_steering.core.errors import ShapeError
from vls_steering.core.frames import pose_matrix
from vls_steering.core.types import ActionChunk, CameraFrame, ChunkSource, Keypoint, Keypoints, RobotState, SetPoint
from vls_steering.nodes import conversions, pictures
from vls_steering.safety.reasons import ReasonCode
from vls_steering.safety.status import Band, ExecutorState, SafetyStatus, Verdict

pytestmark = pytest.mark.ros

STAMPS = st.floats(0.0, 2.1e9)  # builtin_interfaces/Time counts int32 seconds: it ends in January 2038
RESOLUTION_S = 1e-6  # a double resolves 0.24 us at today's wall-clock times


def over_the_wire(message):
    """Through the middleware's own serialisation, where a wrong type or size would show."""
    return deserialize_message(serialize_message(message), type(message))


@given(STAMPS)
def test_stamps(stamp_s: float) -> None:
    message = conversions.time_message(stamp_s)
    assert 0 <= message.nanosec < conversions.NANOSECONDS
    assert conversions.stamp_seconds(message) == pytest.approx(stamp_s, abs=RESOLUTION_S)


def test_a_stamp_just_below_a_second_carries_over() -> None:
    message = conversions.time_message(1.9999999999)
    assert (message.sec, message.nanosec) == (2, 0)


def test_keypoints() -> None:
    before = Keypoints(
        12.25,
        (
            Keypoint("red cube", (0.4, -0.1, 0.02), (0.038, 0.038, 0.038)),
            Keypoint("white plate", (0.5, 0.2, 0.006), (0.17, 0.17, 0.012), 0.5, False, (0.01, 0.02, 0.005)),
        ),
    )
    after = conversions.keypoints_of(over_the_wire(conversions.keypoints_message(before)))
    assert after.stamp_s == before.stamp_s
    assert after.names == before.names
    for one, other in zip(before.points, after.points, strict=True):
        np.testing.assert_array_equal(one.position, other.position)
        np.testing.assert_array_equal(one.size, other.size)
        np.testing.assert_array_equal(one.sigma_m, other.sigma_m)
        assert (one.age_s, one.visible) == (other.age_s, other.visible)


@given(STAMPS, st.integers(1, 16), st.sampled_from(ChunkSource))
def test_action_chunks(stamp_s: float, horizon: int, source: ChunkSource) -> None:
    random = np.random.default_rng(horizon)
    quats = random.normal(size=(horizon, 4))
    before = ActionChunk(
        stamp_s=stamp_s,
        times_s=stamp_s + 0.1 * np.arange(1, horizon + 1),
        positions=random.normal(size=(horizon, 3)),
        quats_xyzw=quats / np.linalg.norm(quats, axis=1, keepdims=True),
        gripper_widths_m=random.uniform(0, 0.08, horizon),
        source=source,
        program_sha256="ab" * 32,
        sequence=2**40,
    )
    after = conversions.chunk_of(over_the_wire(conversions.chunk_message(before)))
    assert after.stamp_s == pytest.approx(before.stamp_s, abs=RESOLUTION_S)
    np.testing.assert_allclose(after.times_s, before.times_s, atol=RESOLUTION_S)
    np.testing.assert_array_equal(after.positions, before.positions)
    np.testing.assert_array_equal(after.quats_xyzw, before.quats_xyzw)
    np.testing.assert_array_equal(after.gripper_widths_m, before.gripper_widths_m)
    assert (after.source, after.program_sha256, after.sequence) == (source, "ab" * 32, 2**40)


def example_chunk() -> ActionChunk:
    return ActionChunk(0.0, (0.1, 0.2), np.zeros((2, 3)), np.tile([1.0, 0, 0, 0], (2, 1)), (0.08, 0.08))


def test_a_chunk_with_lists_of_different_lengths_is_refused() -> None:
    message = conversions.chunk_message(example_chunk())
    message.poses = message.poses[:1]
    with pytest.raises(ShapeError, match="positions"):
        conversions.chunk_of(message)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_chunk_that_is_not_finite_is_refused(value: float) -> None:
    message = conversions.chunk_message(example_chunk())
    message.poses[1].position.x = value
    with pytest.raises(ShapeError, match="not finite"):
        conversions.chunk_of(message)


def test_a_chunk_of_unknown_source_is_refused() -> None:
    message = conversions.chunk_message(example_chunk())
    message.source = 77
    with pytest.raises(ShapeError, match="unknown source 77"):
        conversions.chunk_of(message)


def example_robot() -> RobotState:
    return RobotState(3.5, np.linspace(-1, 1, 7), np.linspace(0, 0.6, 7), (0.4, 0, 0.3), (1, 0, 0, 0), 0.05)


def test_joint_states_in_any_order() -> None:
    robot = example_robot()
    message = over_the_wire(conversions.joint_state_message(robot))
    order = np.random.default_rng(0).permutation(len(message.name))
    message.name = [message.name[i] for i in order]
    message.position = [message.position[i] for i in order]
    message.velocity = [message.velocity[i] for i in order]
    after = conversions.robot_state_of(message, lambda _: (robot.tcp_position, robot.tcp_quat_xyzw), gripper_holds=True)
    np.testing.assert_array_equal(after.joint_positions, robot.joint_positions)
    np.testing.assert_array_equal(after.joint_velocities, robot.joint_velocities)
    assert after.gripper_width_m == pytest.approx(robot.gripper_width_m)
    assert after.gripper_holds


def test_joint_states_that_lack_a_joint_are_refused() -> None:
    message = conversions.joint_state_message(example_robot())
    message.name[3] = "somebody_elses_joint"
    with pytest.raises(ShapeError, match="lack fr3_joint4"):
        conversions.robot_state_of(message, lambda _: (np.zeros(3), np.array([0, 0, 0, 1.0])))


def test_joint_states_with_fewer_positions_than_names_are_refused() -> None:
    message = conversions.joint_state_message(example_robot())
    message.position = message.position[:5]
    with pytest.raises(ShapeError, match="lack fr3_joint6, fr3_joint7"):
        conversions.robot_state_of(message, lambda _: (np.zeros(3), np.array([0, 0, 0, 1.0])))


def test_set_points() -> None:
    before = SetPoint(1.25, np.linspace(-2, 2, 7), np.linspace(-0.1, 0.1, 7), 0.04)
    after = conversions.set_point_of(over_the_wire(conversions.set_point_message(before)))
    np.testing.assert_array_equal(after.joint_positions, before.joint_positions)
    np.testing.assert_array_equal(after.joint_velocities, before.joint_velocities)
    assert (after.stamp_s, after.gripper_width_m) == (before.stamp_s, before.gripper_width_m)


@pytest.mark.parametrize("state", list(ExecutorState))
@pytest.mark.parametrize("verdict", [None, Verdict(Band.SCALE, ReasonCode.JOINT_VELOCITY, "joint 4 too fast", 0.5)])
def test_safety_status(state: ExecutorState, verdict: Verdict | None) -> None:
    before = SafetyStatus(
        stamp_s=7.5,
        state=state,
        reason=ReasonCode.POLICY_SILENT,
        reason_text="the policy sent nothing",
        latched=True,
        passed=10,
        scaled=2,
        rejected=1,
        gaps=3,
        braked_steps=4,
        chunk_age_s=float("inf"),
        joint_state_age_s=0.01,
        scale=0.5,
        last_verdict=verdict,
    )
    assert conversions.safety_status_of(over_the_wire(conversions.safety_status_message(before))) == before


def test_message_constants_are_the_safety_rooms_numbers() -> None:
    from vls_steering.msg import SafetyStatus as Message

    for state in ExecutorState:
        assert getattr(Message, f"STATE_{state.name}") == state.value


def example_frame(height: int = 24, width: int = 32) -> CameraFrame:
    random = np.random.default_rng(5)
    return CameraFrame(
        stamp_s=2.5,
        camera="front",
        color=random.integers(0, 256, (height, width, 3), dtype=np.uint8),
        depth=random.uniform(0.2, 1.5, (height, width)).astype(np.float32),
        intrinsics=np.array([[300.0, 0, width / 2], [0, 300.0, height / 2], [0, 0, 1]]),
        base_from_camera=pose_matrix((1.0, 0.1, 0.6), (0.5, -0.5, 0.5, -0.5)),
    )


def test_camera_frames() -> None:
    before = example_frame()
    messages = [over_the_wire(message) for message in pictures.camera_messages(before)]
    after = pictures.camera_frame_of("front", *messages)
    np.testing.assert_array_equal(after.color, before.color)
    np.testing.assert_array_equal(after.depth, before.depth)
    np.testing.assert_array_equal(after.intrinsics, before.intrinsics)
    np.testing.assert_allclose(after.base_from_camera, before.base_from_camera, atol=1e-12)
    assert (after.stamp_s, after.camera) == (before.stamp_s, before.camera)


def test_pictures_with_padded_rows_and_other_encodings() -> None:
    message = pictures.image_message(np.arange(24, dtype=np.uint8).reshape(2, 4, 3), "bgr8", 0.0, "camera")
    np.testing.assert_array_equal(pictures.color_of(message)[0, 0], [2, 1, 0])
    padded = np.zeros((2, 6), np.uint16)
    padded[:, :4] = [[1000, 2000, 0, 500]] * 2
    message = pictures.image_message(padded, "16UC1", 0.0, "camera")
    message.width = 4
    np.testing.assert_allclose(pictures.depth_of(message), [[1.0, 2.0, 0.0, 0.5]] * 2)


def test_a_truncated_picture_is_refused() -> None:
    color, *_ = pictures.camera_messages(example_frame())
    color.data = color.data[:100]
    with pytest.raises(ShapeError, match="holds 100 bytes"):
        pictures.color_of(color)


def test_pictures_of_different_instants_are_refused() -> None:
    color, depth, info, pose = pictures.camera_messages(example_frame())
    depth.header.stamp = conversions.time_message(2.6)
    with pytest.raises(ShapeError, match="pair them by stamp"):
        pictures.camera_frame_of("front", color, depth, info, pose)


def test_a_picture_becomes_a_message_without_touching_every_pixel() -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    # 0.1-0.3 ms each; element by element it would be hundreds.  The best of several, since the host may be busy.
    seconds = timeit.repeat(lambda: pictures.image_message(picture, "rgb8", 0.0, "camera"), repeat=10, number=1)
    assert min(seconds) < 0.02
