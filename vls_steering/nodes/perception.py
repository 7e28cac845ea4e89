"""The perception node: pictures and joint states in, labelled keypoints and the cameras' health out.

The node's thread only receives: it judges every picture as it comes and says so on `perception/cameras`, by which the
executor knows at once that the arm is blind, and why.  Finding the objects has a thread of its own that takes the
newest healthy picture; pictures that come meanwhile are counted and skipped, never queued.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass
from functools import partial
from typing import Literal

from pydantic import Field
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool

from vls_steering.core.config import Settings
from vls_steering.core.errors import ShapeError, StreamFault
from vls_steering.core.types import CameraFrame, Keypoints, RobotState
from vls_steering.nodes import topics
from vls_steering.nodes.base import NodeDefinition, RoomNode
from vls_steering.nodes.camera_health import camera_report, cameras_message
from vls_steering.nodes.conversions import keypoints_message, robot_state_of
from vls_steering.nodes.extrinsics import ExtrinsicsSettings, make_locate
from vls_steering.nodes.markers import keypoint_markers
from vls_steering.nodes.newest import NewestOnly
from vls_steering.nodes.pairing import FrameAssembler, JointHistory
from vls_steering.nodes.pictures import image_message, optical_frame
from vls_steering.nodes.run import run_node
from vls_steering.nodes.scheduling import Urgency
from vls_steering.perception import (
    CameraStream,
    FrameFault,
    FrameHealthSettings,
    PerceptionPipeline,
    PerceptionSettings,
    Segmenter,
    StreamHealth,
)
from vls_steering.perception.open_vocabulary import OpenVocabularySegmenter, OpenVocabularySettings
from vls_steering.robots.kinematics import ArmKinematics

JOINT_STATE_HZ = 100.0
TOGETHER_S = 0.02  # pictures this close in time show the same instant
OTHER_CAMERAS_PATIENCE_S = 1.0  # for /diagnostics: only the first camera's rate is known
LOOKED_AT_S = 0.01  # how often a silent camera is looked for


class PerceptionNodeSettings(Settings):
    cameras: tuple[str, ...] = Field(
        ("front",), min_length=1, description="cameras to use; the first sees the whole scene and sets the pace"
    )
    camera_hz: float = Field(10.0, gt=0.0, le=120.0, description="rate expected of the first camera")
    looks_hz: float = Field(15.0, gt=0.0, le=120.0, description="most updates a second, however fast the camera is")
    overlay_hz: float = Field(2.0, ge=0.0, le=30.0, description="rate of perception/overlay while somebody looks")
    seed: int = Field(0, ge=0, description="seed of the plane search")
    segmenter: Literal["geometric", "open_vocabulary"] = Field(
        "geometric", description="geometric: colour and shape, no weights; open_vocabulary: by prompts, with weights"
    )
    open_vocabulary: OpenVocabularySettings = OpenVocabularySettings()
    extrinsics: ExtrinsicsSettings = ExtrinsicsSettings()
    health: FrameHealthSettings = FrameHealthSettings()
    pipeline: PerceptionSettings = PerceptionSettings()


@dataclass(frozen=True)
class Sight:
    """What one update of the pipeline takes."""

    frames: tuple[CameraFrame, ...]  # the first camera's comes first
    robot: RobotState


class PerceptionBody:
    """Receives and judges on the node's thread; looks on its own."""

    def __init__(self, node: RoomNode, settings: PerceptionNodeSettings) -> None:
        self._node, self._settings = node, settings
        self._pipeline = PerceptionPipeline(settings.pipeline, settings.seed, _segmenter(settings))
        self._scene = threading.Lock()  # the pipeline belongs to one thread at a time
        self._kinematics = ArmKinematics()
        self._keypoints = node.publisher(topics.KEYPOINTS)
        self._health = node.publisher(topics.CAMERA_HEALTH)
        self._markers = node.publisher(topics.KEYPOINT_MARKERS)
        self._overlays = node.publisher(topics.OVERLAY)

    def start(self) -> None:
        node, settings = self._node, self._settings
        self._pipeline.reset()
        self._joints, self._holds = JointHistory(), False
        self._latest: dict[str, CameraFrame] = {}
        rates_hz = {name: settings.camera_hz if name == settings.cameras[0] else 0.0 for name in settings.cameras}
        self._streams = {name: CameraStream(name, settings.health, rate_hz) for name, rate_hz in rates_hz.items()}
        node.own(node.reports.clear)
        self._overlay_due_s = self._offered_s = 0.0
        self._looker = NewestOnly[Sight](node, "looking", self._look, niceness=5)
        # Publishing and logging may wait for other processes; receiving must not, or pictures are lost.
        # The executor's patience counts from what it heard.  A teller that loses the processor between its listeners
        # tells the simulated world to go on and leaves the executor to take the camera for silent.
        self._teller = NewestOnly[tuple[StreamHealth, ...]](
            node, "telling", self._publish_health, urgency=Urgency.CONTROLS
        )
        node.subscribe(topics.JOINT_STATES, self._receive_joints, JOINT_STATE_HZ)
        node.subscribe(topics.GRIPPER_GRASPED, self._receive_grasp)
        locate = make_locate(node, settings.extrinsics, settings.cameras, self._robot_at)
        for camera in settings.cameras:
            assembler = FrameAssembler(camera, self._receive_frame, locate[camera])
            names = topics.camera_topics(camera)
            for part in assembler.parts:
                node.subscribe(
                    getattr(names, part),
                    partial(self._add, camera, assembler, part),
                    rates_hz[camera],
                    OTHER_CAMERAS_PATIENCE_S,
                )
        node.every(LOOKED_AT_S, self._tell_silence)
        node.serve_trigger(topics.PERCEPTION_RESET_SERVICE, self._reset)

    def stop(self) -> None:
        """Silence is the safe state: who needs keypoints and cameras watches their age."""
        self._looker.end()
        self._teller.end()

    def tear_down(self) -> None:
        pass

    # The node's thread: receive and judge ----------------------------------------------------------------------------

    def _receive_joints(self, message: JointState) -> None:
        self._joints.add(message, self._holds)

    def _receive_grasp(self, message: Bool) -> None:
        self._holds = bool(message.data)

    def _robot_at(self, stamp_s: float) -> RobotState | None:
        measured = self._joints.at(stamp_s)
        return robot_state_of(measured[0], self._kinematics.tcp_pose, measured[1]) if measured is not None else None

    def _add(self, camera: str, assembler: FrameAssembler, part: str, message: object) -> None:
        try:
            assembler.add(part, message)
        except (ShapeError, StreamFault) as error:
            fault = FrameFault.CORRUPTED if isinstance(error, ShapeError) else FrameFault.UNLOCATED
            self._streams[camera].refuse(fault, str(error), self._node.now_s())
            self._tell_health()

    def _receive_frame(self, frame: CameraFrame) -> None:
        report = self._streams[frame.camera].receive(frame, self._node.now_s())
        self._tell_health()
        if not report.healthy:
            return
        self._latest[frame.camera] = frame
        if frame.camera == self._settings.cameras[0]:
            self._offer(frame)

    def _offer(self, first: CameraFrame) -> None:
        # A tenth of a period early is the jitter of a camera at that very rate.
        if 0 < first.stamp_s - self._offered_s < 0.9 / self._settings.looks_hz:
            return
        self._offered_s = first.stamp_s
        try:
            robot = self._robot_at(first.stamp_s)
        except ShapeError as error:
            self._skip(str(error))
            return
        if robot is None:
            self._skip(f"no joint state near the picture of {first.stamp_s:.3f} s")
            return
        others = [self._latest[name] for name in self._settings.cameras[1:] if name in self._latest]
        together = [frame for frame in others if abs(frame.stamp_s - first.stamp_s) < TOGETHER_S]
        self._looker.offer(Sight((first, *together), robot))

    def _tell_silence(self) -> None:
        """A picture that does not come calls nobody: only a clock notices."""
        now_s = self._node.now_s()
        if any(stream.health(now_s).fault is FrameFault.STOPPED for stream in self._streams.values()):
            self._tell_health()

    def _tell_health(self) -> None:
        now_s = self._node.now_s()
        healths = tuple(stream.health(now_s) for stream in self._streams.values())
        for health in healths:
            self._node.reports[f"{health.camera} camera"] = camera_report(health)
        self._teller.offer(healths)

    def _skip(self, reason: str) -> None:
        self._node.complaints["problem"] = reason
        self._node.get_logger().warning(f"picture not used: {reason}", throttle_duration_sec=5.0)

    def _reset(self) -> str:
        with self._scene:
            self._pipeline.reset()
        return "the scene is forgotten"

    # The telling thread ----------------------------------------------------------------------------------------------

    def _publish_health(self, healths: tuple[StreamHealth, ...]) -> None:
        self._health.publish(cameras_message(self._node.get_name(), healths))
        for health in healths:
            if health.fault is not None:
                self._skip(health.reason)

    # The looking thread ----------------------------------------------------------------------------------------------

    def _look(self, sight: Sight) -> None:
        try:
            with self._scene:
                keypoints = self._pipeline.update(sight.frames, sight.robot)
                self._keypoints.publish(keypoints_message(keypoints))
                self._show(sight.frames[0], keypoints)
        except (ShapeError, StreamFault) as error:
            self._skip(str(error))
            return
        self._node.complaints["problem"] = ""
        self._node.facts.update(objects=", ".join(keypoints.names), skipped=str(self._looker.skipped))

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


def _segmenter(settings: PerceptionNodeSettings) -> Segmenter | None:
    """None: the pipeline's own, which needs no weights."""
    return OpenVocabularySegmenter(settings.open_vocabulary) if settings.segmenter == "open_vocabulary" else None


# The process gives way to nobody: a camera that is heard late stops the arm.  Its looking does.
NODE = NodeDefinition("perception", PerceptionNodeSettings, PerceptionBody)


def main() -> int:
    return run_node(NODE)


if __name__ == "__main__":
    sys.exit(main())
