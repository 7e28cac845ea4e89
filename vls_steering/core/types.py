"""The values that rooms hand to one another.

Units are SI, angles radians, stamps seconds of one clock (see core.clocks).  Positions are in the
robot base frame (`fr3_link0`: x forward, y left, z up, origin at the base flange) unless a name says otherwise.
Quaternions are (x, y, z, w) as in ROS.  The tool centre point (TCP) lies between the fingertips.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from vls_steering.core.arrays import FloatArray, frozen_array
from vls_steering.core.errors import ShapeError

BASE_FRAME = "fr3_link0"
ARM_JOINTS = tuple(f"fr3_joint{i}" for i in range(1, 8))
FINGER_JOINTS = ("fr3_finger_joint1", "fr3_finger_joint2")
GRIPPER_OPEN_M = 0.08
# Hand pointing straight down, fingers opening along the base frame's y axis.
DOWN_QUAT_XYZW = (1.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class RobotState:
    """What the arm measures at one instant."""

    stamp_s: float
    joint_positions: FloatArray  # (7,) rad
    joint_velocities: FloatArray  # (7,) rad/s
    tcp_position: FloatArray  # (3,) m, base frame
    tcp_quat_xyzw: FloatArray  # (4,)
    gripper_width_m: float  # distance between the fingers, 0 closed .. 0.08 open
    gripper_holds: bool = False  # the gripper reports a grasped object

    def __post_init__(self) -> None:
        object.__setattr__(self, "joint_positions", frozen_array("joint_positions", self.joint_positions, (7,)))
        object.__setattr__(self, "joint_velocities", frozen_array("joint_velocities", self.joint_velocities, (7,)))
        object.__setattr__(self, "tcp_position", frozen_array("tcp_position", self.tcp_position, (3,)))
        object.__setattr__(self, "tcp_quat_xyzw", frozen_array("tcp_quat_xyzw", self.tcp_quat_xyzw, (4,)))
        if not np.isfinite(self.gripper_width_m):
            raise ShapeError("gripper_width_m is not finite")


@dataclass(frozen=True)
class Keypoint:
    """One labelled, tracked point: the centroid of an object."""

    name: str  # e.g. "red cube"
    position: FloatArray  # (3,) m, base frame
    size: FloatArray  # (3,) m, axis-aligned extents in the base frame
    age_s: float = 0.0  # since the point was last measured
    visible: bool = True
    sigma_m: FloatArray = field(default_factory=lambda: np.zeros(3))  # (3,) standard deviation of the position

    def __post_init__(self) -> None:
        object.__setattr__(self, "position", frozen_array(f"position of {self.name!r}", self.position, (3,)))
        object.__setattr__(self, "size", frozen_array(f"size of {self.name!r}", self.size, (3,)))
        object.__setattr__(self, "sigma_m", frozen_array(f"sigma of {self.name!r}", self.sigma_m, (3,)))
        if (self.sigma_m < 0.0).any():
            raise ShapeError(f"sigma of {self.name!r} is negative")


@dataclass(frozen=True)
class Keypoints:
    """Every object the perception knows, at one acquisition stamp."""

    stamp_s: float
    points: tuple[Keypoint, ...] = ()

    def __post_init__(self) -> None:
        names = [point.name for point in self.points]
        if len(set(names)) != len(names):
            raise ShapeError(f"keypoint names repeat: {names}")

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(point.name for point in self.points)

    def find(self, name: str) -> Keypoint | None:
        return next((point for point in self.points if point.name == name), None)


@dataclass(frozen=True)
class Observation:
    """All that a policy and a reward program may look at, at one instant."""

    robot: RobotState
    keypoints: Keypoints

    @property
    def stamp_s(self) -> float:
        return self.robot.stamp_s


class ChunkSource(Enum):
    """Who shaped a chunk."""

    UNSTEERED = 0
    STEERED = 1
    HOLD = 2  # no candidate satisfies the program: stay where you are


@dataclass(frozen=True)
class ActionChunk:
    """H future TCP poses and gripper widths, each with its own time.

    `stamp_s` is the stamp of the observation it was planned from; `times_s[i]` is when step i
    should be reached, on the same clock, strictly increasing.
    """

    stamp_s: float
    times_s: FloatArray  # (H,) s
    positions: FloatArray  # (H, 3) m, base frame
    quats_xyzw: FloatArray  # (H, 4)
    gripper_widths_m: FloatArray  # (H,)
    source: ChunkSource = ChunkSource.UNSTEERED
    program_sha256: str = ""
    sequence: int = 0

    def __post_init__(self) -> None:
        times = frozen_array("times_s", self.times_s, (None,))
        horizon = len(times)
        if horizon == 0:
            raise ShapeError("an action chunk needs at least one step")
        if horizon > 1 and not (np.diff(times) > 0).all():
            raise ShapeError("times_s of an action chunk must increase strictly")
        object.__setattr__(self, "times_s", times)
        object.__setattr__(self, "positions", frozen_array("positions", self.positions, (horizon, 3)))
        object.__setattr__(self, "quats_xyzw", frozen_array("quats_xyzw", self.quats_xyzw, (horizon, 4)))
        widths = frozen_array("gripper_widths_m", self.gripper_widths_m, (horizon,))
        object.__setattr__(self, "gripper_widths_m", widths)

    @property
    def horizon(self) -> int:
        return len(self.times_s)


@dataclass(frozen=True)
class SetPoint:
    """What the executor really sends to the arm for one control period."""

    stamp_s: float
    joint_positions: FloatArray  # (7,) rad
    joint_velocities: FloatArray  # (7,) rad/s
    gripper_width_m: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "joint_positions", frozen_array("joint_positions", self.joint_positions, (7,)))
        object.__setattr__(self, "joint_velocities", frozen_array("joint_velocities", self.joint_velocities, (7,)))


@dataclass(frozen=True)
class CameraFrame:
    """One aligned RGB-D picture with everything needed to lift pixels into the base frame.

    The optical frame is REP-103's: x right, y down, z into the scene.
    """

    stamp_s: float
    camera: str
    color: np.ndarray = field(repr=False)  # (H, W, 3) uint8 RGB
    depth: np.ndarray = field(repr=False)  # (H, W) float32 m along the optical axis; 0 or NaN = no return
    intrinsics: FloatArray = field(repr=False)  # (3, 3) pinhole matrix
    base_from_camera: FloatArray = field(repr=False)  # (4, 4) pose of the optical frame in the base frame

    def __post_init__(self) -> None:
        if self.color.ndim != 3 or self.color.shape[2] != 3 or self.color.dtype != np.uint8:
            raise ShapeError(f"colour image is {self.color.shape} {self.color.dtype}, expected (H, W, 3) uint8")
        if self.depth.shape != self.color.shape[:2]:
            raise ShapeError(f"depth image is {self.depth.shape}, colour is {self.color.shape}: align them")
        object.__setattr__(self, "intrinsics", frozen_array("intrinsics", self.intrinsics, (3, 3)))
        object.__setattr__(self, "base_from_camera", frozen_array("base_from_camera", self.base_from_camera, (4, 4)))
