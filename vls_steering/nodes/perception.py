"""The perception node: pictures and joint states in, labelled keypoints out."""

from __future__ import annotations

import sys
from functools import partial

from pydantic import Field
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool

from vls_steering.core.config import Settings
from vls_steering.core.errors import ShapeError, StreamFault
from vls_steering.core.types import CameraFrame, Keypoints
from vls_steering.nodes import topics
from vls_steering.nodes.base import NodeDefinition, RoomNode
from vls_steering.nodes.conversions import keypoints_message, robot_state_of
from vls_steering.nodes.markers import keypoint_markers
from vls_steering.nodes.pairing import PARTS, FrameAssembler, JointHistory
from vls_steering.nodes.pictures import image_message, optical_frame
from vls_steering.nodes.run import run_node
from vls_steering.perception import FrameHealth, FrameHealthSettings, PerceptionPipeline, PerceptionSettings
from vls_steering.robots.kinematics import ArmKinematics

JOINT_STATE_HZ = 100.0
TOGETHER_S = 0.02  # pictures this close in time show the same instant


class PerceptionNodeSettings(Settings):
    cameras: tuple[str, ...] = Field(
        ("front",), min_length=1, description="cameras to use; the first sees the whole scene and sets the pace"
    )
    camera_hz: float = Field(10.0, gt=0.0, le=60.0, description="rate expected of the first camera")
    overlay_hz: float = Field(2.0, ge=0.0, le=30.0, description="rate of perception/overlay while somebody looks")
    seed: int = Field(0, ge=0, description="seed of the plane search")
    health: FrameHealthSettings = FrameHealthSettings()
    pipeline: PerceptionSettings = PerceptionSettings()


class PerceptionBody:
    """One update for each healthy frame of the first camera, with the others' of the same instant."""

    def __init__(self, node: RoomNode, settings: PerceptionNodeSettings) -> None:
        self._node, self._settings = node, settings
        self._pipeline = PerceptionPipeline(settings.pipeline, settings.seed)
        self._kinematics = ArmKinematics()
        self._keypoints = node.publisher(topics.KEYPOINTS)
        self._markers = node.publisher(topics.KEYPOINT_MARKERS)
        self._overlays = node.publisher(topics.OVERLAY)

    def start(self) -> None:
        node, settings = self._node, self._settings
        self._pipeline.reset()
        self._joints, self._holds = JointHistory(), False
        self._latest: dict[str, CameraFrame] = {}
        self._health = {camera: FrameHealth(camera, settings.health) for camera in settings.cameras}
        self._overlay_due_s = 0.0
        node.subscribe(topics.JOINT_STATES, self._receive_joints, JOINT_STATE_HZ)
        node.subscribe(topics.GRIPPER_GRASPED, self._receive_grasp)
        for camera in settings.cameras:
            assembler = FrameAssembler(camera, self._receive_frame)
            rate_hz = settings.camera_hz if camera == settings.cameras[0] else 0.0
            names = topics.camera_topics(camera)
            for part in PARTS:
                node.subscribe(getattr(names, part), partial(self._add, assembler, part), rate_hz)
        node.serve_trigger(topics.PERCEPTION_RESET_SERVICE, self._reset)

    def stop(self) -> None:
        """Silence is the safe state: who needs keypoints watches their age."""

    def tear_down(self) -> None:
        pass

    def _receive_joints(self, message: JointState) -> None:
        self._joints.add(message, self._holds)

    def _receive_grasp(self, message: Bool) -> None:
        self._holds = bool(message.data)

    def _add(self, assembler: FrameAssembler, part: str, message: object) -> None:
        try:
            assembler.add(part, message)
        except ShapeError as error:
            self._skip(str(error))

    def _receive_frame(self, frame: CameraFrame) -> None:
        report = self._health[frame.camera].check(frame, self._node.now_s())
        self._node.facts[f"{frame.camera} camera"] = report.reason or "healthy"
        if not report.healthy:
            self._skip(report.reason)
            return
        self._latest[frame.camera] = frame
        if frame.camera == self._settings.cameras[0]:
            self._update(frame)

    def _update(self, first: CameraFrame) -> None:
        measured = self._joints.at(first.stamp_s)
        if measured is None:
            self._skip(f"no joint state near the picture of {first.stamp_s:.3f} s")
            return
        others = [self._latest[name] for name in self._settings.cameras[1:] if name in self._latest]
        frames = [first, *(frame for frame in others if abs(frame.stamp_s - first.stamp_s) < TOGETHER_S)]
        message, holds = measured
        try:
            robot = robot_state_of(message, self._kinematics.tcp_pose, holds)
            keypoints = self._pipeline.update(frames, robot)
        except (ShapeError, StreamFault) as error:
            self._skip(str(error))
            return
        self._keypoints.publish(keypoints_message(keypoints))
        self._node.facts.update(problem="", objects=", ".join(keypoints.names))
        self._show(first, keypoints)

    def _show(self, frame: CameraFrame, keypoints: Keypoints) -> None:
        """Pictures for people, at a low rate and only when somebody looks."""
        if self._settings.overlay_hz == 0 or 0 < self._overlay_due_s - frame.stamp_s < 1 / self._settings.overlay_hz:
            return
        self._overlay_due_s = frame.stamp_s + 1 / self._settings.overlay_hz
        if self._overlays.get_subscription_count():
            overlay = self._pipeline.overlay()
            self._overlays.publish(image_message(overlay, "rgb8", frame.stamp_s, optical_frame(frame.camera)))
        if self._markers.get_subscription_count():
            self._markers.publish(keypoint_markers(keypoints))

    def _skip(self, reason: str) -> None:
        self._node.facts["problem"] = reason
        self._node.get_logger().warning(f"picture not used: {reason}", throttle_duration_sec=5.0)

    def _reset(self) -> str:
        self._pipeline.reset()
        return "the scene is forgotten"


NODE = NodeDefinition("perception", PerceptionNodeSettings, PerceptionBody, niceness=5)


def main() -> int:
    return run_node(NODE)


if __name__ == "__main__":
    sys.exit(main())
