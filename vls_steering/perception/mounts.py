"""Where cameras are mounted, as a hand-eye calibration found it; loaded from YAML, never written into code."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, field_validator

from vls_steering.core.arrays import FloatArray
from vls_steering.core.config import Settings, load_yaml, parse_settings
from vls_steering.core.errors import ConfigurationError
from vls_steering.core.frames import pose_matrix

TOOL_FRAME = "fr3_hand_tcp"


class Mount(Settings):
    """Pose of a camera's optical frame (REP-103: x right, y down, z into the scene) in its parent frame."""

    parent: Literal["fr3_link0", "fr3_hand_tcp"] = Field(
        "fr3_link0", description="what it is mounted to: the robot base, or the hand (the TCP's frame)"
    )
    position_m: tuple[float, float, float] = Field(description="origin of the optical frame in the parent, m")
    quat_xyzw: tuple[float, float, float, float] = Field(description="its orientation in the parent, unit quaternion")

    @field_validator("quat_xyzw")
    @classmethod
    def _unit(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if abs(np.linalg.norm(value) - 1.0) > 1e-3:
            raise ValueError(f"a unit quaternion has length 1, this one {np.linalg.norm(value):.4f}")
        return value

    @property
    def is_on_hand(self) -> bool:
        return self.parent == TOOL_FRAME

    @property
    def parent_from_camera(self) -> FloatArray:
        """(4, 4)."""
        return pose_matrix(self.position_m, self.quat_xyzw)


def load_mounts(path: Path) -> dict[str, Mount]:
    """Camera name -> mount, from a YAML mapping of that form; raises ConfigurationError naming the bad key."""
    mounts = {}
    for camera, values in load_yaml(path).items():
        if not isinstance(values, dict):
            raise ConfigurationError(f"{path}: {camera} is no mapping", "Give parent, position_m and quat_xyzw")
        mounts[str(camera)] = parse_settings(Mount, values, f"{path}, {camera}")
    return mounts
