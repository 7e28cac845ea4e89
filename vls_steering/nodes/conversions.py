"""Core types to ROS messages and back; total, and tested by round trip.

Stamps travel as integer seconds and nanoseconds: a round trip is exact to a nanosecond (or to the resolution of a
double, 0.24 microseconds for today's wall-clock times).  Conversions towards core raise ShapeError, through the core
types' own checks, when a message is malformed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion, Vector3
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import JointState
from std_msgs.msg import Header

from vls_steering.core.arrays import FloatArray
from vls_steering.core.errors import ShapeError
from vls_steering.core.frames import pose_matrix, quat_from_matrix
from vls_steering.core.types import (
    ARM_JOINTS,
    BASE_FRAME,
    FINGER_JOINTS,
    ActionChunk,
    ChunkSource,
    Keypoint,
    Keypoints,
    RobotState,
    SetPoint,
)
from vls_steering.msg import ActionChunk as ActionChunkMessage
from vls_steering.msg import Keypoint as KeypointMessage
from vls_steering.msg import Keypoints as KeypointsMessage
from vls_steering.msg import SafetyStatus as SafetyStatusMessage
from vls_steering.msg import SetPoint as SetPointMessage
from vls_steering.nodes.streams import StreamReport
from vls_steering.safety.chunks import Chunk, DeltaChunk, JointChunk
from vls_steering.safety.reasons import ReasonCode
from vls_steering.safety.status import Band, ExecutorState, SafetyStatus, Verdict

NANOSECONDS = 1_000_000_000

# Stamps ---------------------------------------------------------------------------------------------------------------


def time_message(stamp_s: float) -> Time:
    seconds, nanoseconds = divmod(round(stamp_s * NANOSECONDS), NANOSECONDS)
    return Time(sec=seconds, nanosec=nanoseconds)


def stamp_seconds(message: Time) -> float:
    return float(message.sec + message.nanosec / NANOSECONDS)


def header(stamp_s: float, frame: str = BASE_FRAME) -> Header:
    return Header(stamp=time_message(stamp_s), frame_id=frame)


# Geometry -------------------------------------------------------------------------------------------------------------


def pose_message(position: FloatArray, quat_xyzw: FloatArray) -> Pose:
    return Pose(position=Point(**_xyz(position)), orientation=Quaternion(**_xyz(quat_xyzw[:3]), w=float(quat_xyzw[3])))


def pose_arrays(message: Pose) -> tuple[FloatArray, FloatArray]:
    """(position (3,), quaternion xyzw (4,))."""
    orientation = message.orientation
    return _array(message.position), np.array([orientation.x, orientation.y, orientation.z, orientation.w])


def matrix_message(stamp_s: float, matrix: FloatArray, frame: str = BASE_FRAME) -> PoseStamped:
    """A (4, 4) pose as PoseStamped, for example CameraFrame.base_from_camera."""
    return PoseStamped(header=header(stamp_s, frame), pose=pose_message(matrix[:3, 3], quat_from_matrix(matrix)))


def matrix_of(message: PoseStamped) -> FloatArray:
    return pose_matrix(*pose_arrays(message.pose))


def _xyz(values: Any) -> dict[str, float]:
    return {"x": float(values[0]), "y": float(values[1]), "z": float(values[2])}


def _array(message: Any) -> FloatArray:
    return np.array([message.x, message.y, message.z])


# Keypoints and chunks -------------------------------------------------------------------------------------------------


def keypoints_message(keypoints: Keypoints) -> KeypointsMessage:
    points = [
        KeypointMessage(
            name=point.name,
            position=Point(**_xyz(point.position)),
            size=Vector3(**_xyz(point.size)),
            age_s=float(point.age_s),
            visible=bool(point.visible),
            sigma=Vector3(**_xyz(point.sigma_m)),
        )
        for point in keypoints.points
    ]
    return KeypointsMessage(header=header(keypoints.stamp_s), points=points)


def keypoints_of(message: KeypointsMessage) -> Keypoints:
    points = tuple(
        Keypoint(
            point.name, _array(point.position), _array(point.size), point.age_s, point.visible, _array(point.sigma)
        )
        for point in message.points
    )
    return Keypoints(stamp_seconds(message.header.stamp), points)


def chunk_message(chunk: ActionChunk) -> ActionChunkMessage:
    return ActionChunkMessage(
        header=header(chunk.stamp_s),
        times_from_stamp_s=(chunk.times_s - chunk.stamp_s).tolist(),
        poses=[pose_message(p, q) for p, q in zip(chunk.positions, chunk.quats_xyzw, strict=True)],
        gripper_widths_m=chunk.gripper_widths_m.tolist(),
        source=chunk.source.value,
        program_sha256=chunk.program_sha256,
        sequence=chunk.sequence,
    )


def chunk_of(message: ActionChunkMessage) -> Chunk:
    """The chunk in the space that the message names; raises ShapeError."""
    stamp_s = stamp_seconds(message.header.stamp)
    times_s = np.asarray(message.times_from_stamp_s) + stamp_s
    widths_m = np.asarray(message.gripper_widths_m)
    poses = [pose_arrays(pose) for pose in message.poses]
    positions = np.array([position for position, _ in poses]).reshape(-1, 3)
    quats = np.array([quat for _, quat in poses]).reshape(-1, 4)
    if message.space == ActionChunkMessage.SPACE_JOINTS:
        joints = np.asarray(message.joint_positions)
        if len(joints) % len(ARM_JOINTS):
            raise ShapeError(f"{len(joints)} joint positions are not whole steps of {len(ARM_JOINTS)}")
        return JointChunk(stamp_s, times_s, joints.reshape(-1, len(ARM_JOINTS)), widths_m)
    if message.space == ActionChunkMessage.SPACE_DELTAS:
        return DeltaChunk(stamp_s, times_s, positions, _rotation_vectors(quats), widths_m)
    if message.space != ActionChunkMessage.SPACE_POSES:
        raise ShapeError(f"action chunk has the unknown space {message.space}")
    try:
        source = ChunkSource(message.source)
    except ValueError as error:
        raise ShapeError(f"action chunk has the unknown source {message.source}") from error
    return ActionChunk(
        stamp_s=stamp_s,
        times_s=times_s,
        positions=positions,
        quats_xyzw=quats,
        gripper_widths_m=widths_m,
        source=source,
        program_sha256=message.program_sha256,
        sequence=message.sequence,
    )


def _rotation_vectors(quats_xyzw: FloatArray) -> FloatArray:
    """(N, 3) rad of (N, 4) unit quaternions; raises ShapeError for what is none."""
    if not np.allclose(np.linalg.norm(quats_xyzw, axis=1), 1.0, atol=1e-2):
        raise ShapeError("a turn of the action chunk is no unit quaternion")
    return np.asarray(Rotation.from_quat(quats_xyzw).as_rotvec())


# The arm --------------------------------------------------------------------------------------------------------------


def joint_state_message(robot: RobotState) -> JointState:
    """Seven arm joints and two fingers; each finger's position is half the width, as franka_ros2 publishes it."""
    finger = robot.gripper_width_m / 2
    return JointState(
        header=header(robot.stamp_s),
        name=[*ARM_JOINTS, *FINGER_JOINTS],
        position=[*robot.joint_positions.tolist(), finger, finger],
        velocity=[*robot.joint_velocities.tolist(), 0.0, 0.0],
    )


def robot_state_of(
    message: JointState,
    tcp_pose: Callable[[FloatArray], tuple[FloatArray, FloatArray]],
    gripper_holds: bool = False,
) -> RobotState:
    """Joints by name, in any order; the TCP by the forward kinematics `tcp_pose`, as joint states do not carry it.

    Raises ShapeError when an arm joint is missing.  Fingers are optional (the width is then 0), so are velocities.
    """
    index = {name: i for i, name in enumerate(message.name)}
    missing = [name for name in ARM_JOINTS if index.get(name, len(message.position)) >= len(message.position)]
    if missing:
        raise ShapeError(f"joint states lack {', '.join(missing)}")
    positions = np.array([message.position[index[name]] for name in ARM_JOINTS])
    has_velocity = len(message.velocity) == len(message.name)
    velocities = [message.velocity[index[name]] if has_velocity else 0.0 for name in ARM_JOINTS]
    width = sum(message.position[index[name]] for name in FINGER_JOINTS if name in index)
    position, quat = tcp_pose(positions)
    return RobotState(
        stamp_s=stamp_seconds(message.header.stamp),
        joint_positions=positions,
        joint_velocities=np.array(velocities),
        tcp_position=position,
        tcp_quat_xyzw=quat,
        gripper_width_m=float(width),
        gripper_holds=gripper_holds,
    )


def set_point_message(set_point: SetPoint) -> SetPointMessage:
    return SetPointMessage(
        header=header(set_point.stamp_s),
        joint_positions=set_point.joint_positions,
        joint_velocities=set_point.joint_velocities,
        gripper_width_m=float(set_point.gripper_width_m),
    )


def set_point_of(message: SetPointMessage) -> SetPoint:
    stamp_s = stamp_seconds(message.header.stamp)
    return SetPoint(stamp_s, message.joint_positions, message.joint_velocities, message.gripper_width_m)


BAND_CODES = {
    None: SafetyStatusMessage.BAND_NONE,
    Band.PASS: SafetyStatusMessage.BAND_PASS,
    Band.SCALE: SafetyStatusMessage.BAND_SCALE,
    Band.REJECT: SafetyStatusMessage.BAND_REJECT,
}
BANDS = {code: band for band, code in BAND_CODES.items()}


def safety_status_message(status: SafetyStatus) -> SafetyStatusMessage:
    """The executor's own view; tracking error and loop timing are filled in by the node that measures them."""
    verdict = status.last_verdict
    return SafetyStatusMessage(
        header=header(status.stamp_s),
        state=status.state.value,
        state_name=status.state.name,
        reason_code=status.reason.value,
        reason=status.reason_text,
        latched=status.latched,
        chunks_passed=status.passed,
        chunks_scaled=status.scaled,
        chunks_rejected=status.rejected,
        gaps=status.gaps,
        braked_steps=status.braked_steps,
        chunk_age_s=float(status.chunk_age_s),
        joint_state_age_s=float(status.joint_state_age_s),
        scale=float(status.scale),
        last_band=BAND_CODES[verdict.band if verdict else None],
        last_reason_code=verdict.reason.value if verdict else 0,
        last_reason=verdict.text if verdict else "",
        last_scale=float(verdict.scale) if verdict else 0.0,
        tracking_error_rad=-1.0,
    )


def safety_status_of(message: SafetyStatusMessage) -> SafetyStatus:
    band = BANDS[message.last_band]
    verdict = None
    if band is not None:
        verdict = Verdict(band, ReasonCode(message.last_reason_code), message.last_reason, message.last_scale)
    return SafetyStatus(
        stamp_s=stamp_seconds(message.header.stamp),
        state=ExecutorState(message.state),
        reason=ReasonCode(message.reason_code),
        reason_text=message.reason,
        latched=message.latched,
        passed=message.chunks_passed,
        scaled=message.chunks_scaled,
        rejected=message.chunks_rejected,
        gaps=message.gaps,
        braked_steps=message.braked_steps,
        chunk_age_s=message.chunk_age_s,
        joint_state_age_s=message.joint_state_age_s,
        scale=message.scale,
        last_verdict=verdict,
    )


# Diagnostics ----------------------------------------------------------------------------------------------------------


def diagnostic_status(node: str, report: StreamReport) -> DiagnosticStatus:
    return DiagnosticStatus(
        level=bytes([report.level]),
        name=f"{node}: {report.name}",
        message=report.message,
        hardware_id="vls_steering",
        values=[KeyValue(key=key, value=value) for key, value in report.values.items()],
    )
