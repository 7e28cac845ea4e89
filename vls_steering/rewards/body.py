"""The hand's body as spheres, so that keep-outs see the hand and not only the point between its fingers.

The Franka hand points down and is 20 cm wide along the finger axis (base frame y).  Centres are offsets from the TCP
in the base frame, which is right for the policies whose hand stays pointing down.
"""

from __future__ import annotations

import torch
from torch import Tensor

FINGER_RADIUS_M = 0.012
FINGER_HEIGHTS_M = (0.006, 0.032)
# (y, z, radius): the hand, 0.04-0.10 m above the TCP and 0.1 m to either side, then flange and wrist above it.
_SOLID = (
    (-0.072, 0.072, 0.030),
    (-0.045, 0.072, 0.035),
    (-0.015, 0.072, 0.035),
    (0.015, 0.072, 0.035),
    (0.045, 0.072, 0.035),
    (0.072, 0.072, 0.030),
    (0.0, 0.125, 0.045),
    (0.0, 0.180, 0.055),
)


def body_spheres(tcp: Tensor, gripper_width: Tensor) -> tuple[Tensor, Tensor]:
    """Centres (K, H, S, 3) m in the base frame and radii (S,) m.

    tcp (K, H, 3); gripper_width (K, H).  The fingers stand at the commanded width, without gradient: a keep-out is a
    reason to move the arm, not to close the gripper.
    """
    solid = tcp.new_tensor(_SOLID)
    rigid = torch.stack([torch.zeros_like(solid[:, 0]), solid[:, 0], solid[:, 1]], -1)  # (B, 3)
    reach = gripper_width.detach().clamp(0.0, 0.08).unsqueeze(-1) / 2 + FINGER_RADIUS_M
    heights = tcp.new_tensor(FINGER_HEIGHTS_M)
    side = torch.cat(
        [reach.expand(*reach.shape[:-1], len(heights)), -reach.expand(*reach.shape[:-1], len(heights))], -1
    )
    fingers = torch.stack([torch.zeros_like(side), side, heights.repeat(2).expand_as(side)], -1)  # (K, H, F, 3)
    offsets = torch.cat([rigid.expand(*fingers.shape[:2], *rigid.shape), fingers], -2)
    radii = torch.cat([solid[:, 2], solid.new_full((fingers.shape[-2],), FINGER_RADIUS_M)])
    return tcp.unsqueeze(-2) + offsets, radii


def box_distance(points: Tensor, center: Tensor, size: Tensor) -> Tensor:
    """Signed distance (...) m of points (..., 3) to an axis-aligned box; negative inside."""
    outside = (points - center).abs() - size / 2
    away = safe_norm(outside.clamp(min=0.0))
    return away + outside.amax(-1).clamp(max=0.0)


def safe_norm(vectors: Tensor) -> Tensor:
    """Euclidean norm over the last axis whose gradient is zero, not NaN, at zero (1 um off there at most)."""
    return (vectors.square().sum(-1) + 1e-12).sqrt()
