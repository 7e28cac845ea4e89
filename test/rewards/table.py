"""A table with the usual objects, and ways to make motions over it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vls_steering.core.types import DOWN_QUAT_XYZW, Keypoint, Keypoints, Observation, RobotState
from vls_steering.rewards import Rollout

SIZES = {
    "red cube": (0.038, 0.038, 0.038),
    "blue cube": (0.038, 0.038, 0.038),
    "green cylinder": (0.038, 0.038, 0.050),
    "yellow brick": (0.060, 0.036, 0.036),
    "white plate": (0.170, 0.170, 0.012),
    "purple box": (0.044, 0.044, 0.240),
}
PLACES = {
    "red cube": (0.50, -0.12, 0.019),
    "blue cube": (0.50, 0.12, 0.019),
    "green cylinder": (0.60, 0.00, 0.025),
    "yellow brick": (0.40, -0.24, 0.018),
    "white plate": (0.45, 0.25, 0.006),
    "purple box": (0.45, -0.05, 0.120),
}
HOME = (0.40, 0.0, 0.30)
TIMES = 0.1 * torch.arange(1, 17)


def keypoints(*names: str, **moved: tuple[float, float, float]) -> Keypoints:
    """The named objects (all but the post when none is named) at their places, or where `red_cube=...` says."""
    chosen = names or tuple(name for name in PLACES if name != "purple box")
    places = {**PLACES, **{name.replace("_", " "): place for name, place in moved.items()}}
    return Keypoints(0.0, tuple(Keypoint(n, np.array(places[n]), np.array(SIZES[n])) for n in chosen))


def observe(
    points: Keypoints, tcp: tuple[float, float, float] = HOME, width: float = 0.08, holds: bool = False
) -> Observation:
    robot = RobotState(0.0, np.zeros(7), np.zeros(7), np.array(tcp), np.array(DOWN_QUAT_XYZW), width, holds)
    return Observation(robot, points)


def straight(goals: list[tuple[float, float, float]], start: tuple[float, float, float] = HOME) -> Tensor:
    """(K, 16, 3) straight paths from `start`, arriving three steps before the end."""
    share = (torch.arange(1, 17) / 13).clamp(max=1.0).reshape(1, -1, 1)
    origin = torch.tensor(start).reshape(1, 1, 3)
    return origin + share * (torch.tensor(goals).reshape(-1, 1, 3) - origin)


def motion(tcp: Tensor, width: float | Tensor = 0.08) -> Rollout:
    """A rollout with a constant or given gripper width."""
    widths = width if isinstance(width, Tensor) else torch.full(tcp.shape[:2], width, dtype=tcp.dtype)
    return Rollout(tcp, widths, TIMES.to(tcp.dtype)[: tcp.shape[1]])
