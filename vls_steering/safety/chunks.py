"""The three spaces a policy may plan in, and how each becomes poses that can be checked.

TCP poses are `core.types.ActionChunk`.  Joint chunks keep their joints and get their poses by forward kinematics.
Delta chunks are summed up from where the arm was sent at the moment they were planned from, so that latency neither
adds a step nor swallows one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from vls_steering.core.arrays import FloatArray, frozen_array
from vls_steering.core.errors import ShapeError
from vls_steering.core.types import ActionChunk
from vls_steering.safety.kinematics import Kinematics
from vls_steering.safety.limits import DOF


@dataclass(frozen=True)
class JointChunk:
    """H future joint positions and gripper widths; times and stamp as in ActionChunk."""

    stamp_s: float
    times_s: FloatArray  # (H,) s, strictly increasing
    joint_positions: FloatArray  # (H, 7) rad
    gripper_widths_m: FloatArray  # (H,)

    def __post_init__(self) -> None:
        horizon = _horizon(self.times_s)
        object.__setattr__(self, "times_s", frozen_array("times_s", self.times_s, (horizon,)))
        joints = frozen_array("joint_positions", self.joint_positions, (horizon, DOF))
        object.__setattr__(self, "joint_positions", joints)
        widths = frozen_array("gripper_widths_m", self.gripper_widths_m, (horizon,))
        object.__setattr__(self, "gripper_widths_m", widths)


@dataclass(frozen=True)
class DeltaChunk:
    """H moves of the TCP, each from the step before it; the first from where the arm was sent at `stamp_s`."""

    stamp_s: float
    times_s: FloatArray  # (H,) s, strictly increasing
    translations: FloatArray  # (H, 3) m, base-frame axes
    rotations: FloatArray  # (H, 3) rad, rotation vectors about base-frame axes
    gripper_widths_m: FloatArray  # (H,)

    def __post_init__(self) -> None:
        horizon = _horizon(self.times_s)
        object.__setattr__(self, "times_s", frozen_array("times_s", self.times_s, (horizon,)))
        shapes = {"translations": (horizon, 3), "rotations": (horizon, 3), "gripper_widths_m": (horizon,)}
        for name, shape in shapes.items():
            object.__setattr__(self, name, frozen_array(name, getattr(self, name), shape))


Chunk = ActionChunk | JointChunk | DeltaChunk


@dataclass(frozen=True)
class PosedChunk:
    """A chunk of any space as TCP poses, with the joints that it came with."""

    chunk: ActionChunk
    joint_positions: FloatArray | None = None  # (H, 7) rad


class SentHistory:
    """Where the arm was sent during the last seconds: the origin of delta chunks."""

    def __init__(self, span_s: float, period_s: float) -> None:
        self._rows: deque[tuple[float, FloatArray]] = deque(maxlen=int(span_s / period_s) + 2)

    def restart(self, now_s: float, positions: FloatArray) -> None:
        self._rows.clear()
        self.add(now_s, positions)

    def add(self, now_s: float, positions: FloatArray) -> None:
        self._rows.append((now_s, positions))

    def at(self, stamp_s: float) -> FloatArray:
        """Joint positions (7,) rad of the last set-point sent at `stamp_s` or before; the oldest known otherwise."""
        for sent_s, positions in reversed(self._rows):
            if sent_s <= stamp_s:
                return positions
        return self._rows[0][1]


def posed(chunk: Chunk, kinematics: Kinematics, history: SentHistory) -> PosedChunk:
    """`chunk` in the base frame."""
    if isinstance(chunk, ActionChunk):
        return PosedChunk(chunk)
    if isinstance(chunk, JointChunk):
        poses = [kinematics.tcp_pose(q) for q in chunk.joint_positions]
        return PosedChunk(_with_poses(chunk, [p for p, _ in poses], [q for _, q in poses]), chunk.joint_positions)
    position, quat = kinematics.tcp_pose(history.at(chunk.stamp_s))
    positions, quats = [], []
    for translation, rotation in zip(chunk.translations, chunk.rotations, strict=True):
        position = position + translation
        quat = (Rotation.from_rotvec(rotation.copy()) * Rotation.from_quat(quat)).as_quat()
        positions.append(position)
        quats.append(quat)
    return PosedChunk(_with_poses(chunk, positions, quats))


def _with_poses(chunk: JointChunk | DeltaChunk, positions: list[FloatArray], quats: list[FloatArray]) -> ActionChunk:
    return ActionChunk(
        stamp_s=chunk.stamp_s,
        times_s=chunk.times_s,
        positions=np.array(positions),
        quats_xyzw=np.array(quats),
        gripper_widths_m=chunk.gripper_widths_m,
    )


def _horizon(times_s: FloatArray) -> int:
    times = frozen_array("times_s", times_s, (None,))
    if len(times) == 0:
        raise ShapeError("a chunk needs at least one step")
    if not (np.diff(times) > 0).all():
        raise ShapeError("times_s of a chunk must increase strictly")
    return len(times)
