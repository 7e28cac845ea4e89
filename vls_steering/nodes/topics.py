"""Every topic, service and action of the node graph: name, type and quality of service, written once.

All names are relative, so that a namespace and remappings work.  The qualities of service:
- SENSOR: best effort, newest only; joint states, where a late message is worth nothing.
- PICTURES: best effort, a second of a 30 Hz camera; who receives them uses the newest, but loses none while the
  processor is elsewhere.
- NEWEST: reliable, newest only; chunks, status.
- LATCHED: reliable and transient local; what a node that starts late must still get.
- FRAMES, FIXED_FRAMES: tf's own; deep, because every node that knows a frame publishes on the same two topics.
- FROM_ANYBODY: what people and panels publish with whatever quality of service they have.  A latched subscription hears
  no volatile publisher and a reliable one no best-effort one, without a word; so there is one of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Bool, Float64MultiArray, String
from visualization_msgs.msg import MarkerArray

from vls_steering.msg import ActionChunk, Keypoints, RewardProgram, SafetyStatus, SetPoint, SteeringStatus, VlmStatus

try:
    from tf2_msgs.msg import TFMessage
except ImportError:  # not on the package index, and built by tools/build_tf2_msgs.sh: all but tf works without it
    TFMessage = None

MessageT = TypeVar("MessageT")


def _quality(reliability: ReliabilityPolicy, durability: DurabilityPolicy, depth: int) -> QoSProfile:
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=reliability, durability=durability)


SENSOR = _quality(ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE, 2)
PICTURES = _quality(ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE, 30)
NEWEST = _quality(ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE, 1)
LATCHED = _quality(ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL, 1)
FRAMES = _quality(ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE, 100)
FIXED_FRAMES = _quality(ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL, 100)
# Set-points are small, and a lost one is a jerk: reliable, with room for a scheduler's hiccup.
COMMAND = _quality(ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE, 10)
# A line that is missing makes those after it worthless: reliable, with room for a recorder that waits for its disk.
LEDGER = _quality(ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE, 200)


# Deep, because messages of several publishers share one queue and the second must not push out the first.
FROM_ANYBODY = (
    _quality(ReliabilityPolicy.RELIABLE, DurabilityPolicy.TRANSIENT_LOCAL, 100),
    _quality(ReliabilityPolicy.RELIABLE, DurabilityPolicy.VOLATILE, 100),
    _quality(ReliabilityPolicy.BEST_EFFORT, DurabilityPolicy.VOLATILE, 100),
)


@dataclass(frozen=True)
class Topic(Generic[MessageT]):
    name: str
    type: type[MessageT]
    quality: QoSProfile
    heard_in: tuple[QoSProfile, ...] = ()  # of its subscriptions, where they are several; empty: `quality`


@dataclass(frozen=True)
class CameraTopics:
    """Topics of one camera, named as the RealSense driver names them, plus the calibrated pose."""

    color: Topic[Any]  # rgb8
    depth: Topic[Any]  # 32FC1 m, or 16UC1 mm; aligned with the colour picture and of the same stamp
    info: Topic[Any]
    pose: Topic[Any]  # optical frame in the base frame; tf carries the same (frames.py)


# Camera of the pure rooms -> namespace of its topics.
CAMERA_NAMESPACES = {"front": "camera", "wrist": "wrist_camera"}


def camera_topics(camera: str) -> CameraTopics:
    """Topics of the camera that the pure rooms call `camera`."""
    space = CAMERA_NAMESPACES.get(camera, camera)
    return CameraTopics(
        color=Topic(f"{space}/color/image_raw", Image, PICTURES),
        depth=Topic(f"{space}/depth/image_rect_raw", Image, PICTURES),
        info=Topic(f"{space}/camera_info", CameraInfo, PICTURES),
        pose=Topic(f"{space}/pose", PoseStamped, PICTURES),
    )


CLOCK: Topic[Any] = Topic("/clock", Clock, SENSOR)
# One pair for all robots and namespaces, as everywhere in ROS; None where tf2_msgs is missing.
TF: Topic[Any] | None = Topic("/tf", TFMessage, FRAMES) if TFMessage is not None else None
TF_STATIC: Topic[Any] | None = Topic("/tf_static", TFMessage, FIXED_FRAMES) if TFMessage is not None else None
JOINT_STATES: Topic[Any] = Topic("joint_states", JointState, SENSOR)
GRIPPER_GRASPED: Topic[Any] = Topic("gripper/is_grasped", Bool, LATCHED)
# Everything MuJoCo needs to draw the instant elsewhere, so that rendering never delays the physics.
SIM_STATE: Topic[Any] = Topic("sim/state", Float64MultiArray, SENSOR)
SIM_LAYOUT: Topic[Any] = Topic("sim/layout", String, LATCHED)
ESTOP: Topic[Any] = Topic("estop", Bool, LATCHED, FROM_ANYBODY)

INSTRUCTION: Topic[Any] = Topic("instruction", String, LATCHED, FROM_ANYBODY)
KEYPOINTS: Topic[Any] = Topic("keypoints", Keypoints, NEWEST)
# Stamp: of the newest instant at which every camera's picture could be used; a line for each camera.
CAMERA_HEALTH: Topic[Any] = Topic("perception/cameras", DiagnosticArray, NEWEST)
OVERLAY: Topic[Any] = Topic("perception/overlay", Image, SENSOR)
KEYPOINT_MARKERS: Topic[Any] = Topic("perception/markers", MarkerArray, NEWEST)
REWARD_PROGRAM: Topic[Any] = Topic("reward_program", RewardProgram, LATCHED)
VLM_STATUS: Topic[Any] = Topic("vlm/status", VlmStatus, LATCHED)
ACTION_CHUNK: Topic[Any] = Topic("action_chunk", ActionChunk, NEWEST)
STEERING_STATUS: Topic[Any] = Topic("steering/status", SteeringStatus, NEWEST)
# What the pilot was told, call by call (steering/journal.py): `vls replay` makes the chunks again from it.
STEERING_JOURNAL: Topic[Any] = Topic("steering/journal", String, LEDGER)
STEERING_MARKERS: Topic[Any] = Topic("steering/markers", MarkerArray, NEWEST)
SAFETY_STATUS: Topic[Any] = Topic("executor/status", SafetyStatus, NEWEST)
SET_POINT: Topic[Any] = Topic("executor/set_point", SetPoint, COMMAND)

# Services of std_srvs/Trigger.
ARM_SERVICE = "executor/arm"
HOLD_SERVICE = "executor/hold"  # until somebody arms
END_TASK_SERVICE = "executor/end_task"  # a soft stop: the next good chunk moves the arm again
SIM_RESET_SERVICE = "sim/reset"
PERCEPTION_RESET_SERVICE = "perception/reset"
# Service of std_srvs/SetBool: engaged while true.
ESTOP_SERVICE = "executor/estop"
# Action of vls_steering/RunTask.
RUN_TASK_ACTION = "run_task"
# Action of vls_steering/RecoverAndArm.
RECOVER_ACTION = "executor/recover_and_arm"
