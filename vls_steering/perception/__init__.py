"""From RGB-D pictures to labelled, tracked keypoints, without privileged state and without weights."""

from vls_steering.perception.detection import Detection, Segmenter
from vls_steering.perception.frame_health import FrameFault, FrameHealth, FrameHealthSettings, FrameReport
from vls_steering.perception.mounts import Mount, load_mounts
from vls_steering.perception.pipeline import PerceptionPipeline
from vls_steering.perception.segment import GeometricSegmenter
from vls_steering.perception.settings import PerceptionSettings
from vls_steering.perception.stream_health import CameraStream, StreamHealth

__all__ = [
    "CameraStream",
    "Detection",
    "FrameFault",
    "FrameHealth",
    "FrameHealthSettings",
    "FrameReport",
    "GeometricSegmenter",
    "Mount",
    "PerceptionPipeline",
    "PerceptionSettings",
    "Segmenter",
    "StreamHealth",
    "load_mounts",
]
