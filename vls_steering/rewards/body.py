"""The hand's body as spheres, so that keep-outs see the hand and not only the point between its fingers.

The Franka hand points down and is 20 cm wide along the finger axis (base frame y).  Centres are offsets from the TCP
in the base frame, which is right for the policies whose hand stays pointing down.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from vls_steering.rewards.geometry import box_parts, outward_normal

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
_FINGERS = tuple((side, height) for side in (1.0, -1.0) for height in FINGER_HEIGHTS_M)
# One row a sphere, solid ones first: its place with closed fingers, how it moves with half the opening, its radius.
_PLACES = tuple((0.0, y, z) for y, z, _ in _SOLID) + tuple((0.0, s * FINGER_RADIUS_M, z) for s, z in _FINGERS)
_SPREADS = tuple((0.0, 0.0, 0.0) for _ in _SOLID) + tuple((0.0, s, 0.0) for s, _ in _FINGERS)
_RADII = tuple(radius for *_, radius in _SOLID) + tuple(FINGER_RADIUS_M for _ in _FINGERS)
_MAX_WIDTH_M = 0.08


def body_spheres(tcp: Tensor, gripper_width: Tensor) -> tuple[Tensor, Tensor]:
    """Offsets (K, H, S, 3) m of the sphere centres from the TCP, base frame, and radii (S,) m.

    tcp (K, H, 3); gripper_width (K, H).  The fingers stand at the commanded width, without gradient: a keep-out is a
    reason to move the arm, not to close the gripper.
    """
    places, spreads, radii = _tables(tcp.dtype, tcp.device)
    half = gripper_width.detach().clamp(0.0, _MAX_WIDTH_M)[..., None, None] / 2
    return places + half * spreads, radii


def body_clearance(tcp: Tensor, gripper_width: Tensor, centers: Tensor, sizes: Tensor) -> Tensor:
    """(K, H, N) m: signed distance between the nearest body sphere and each of N axis-aligned boxes.

    tcp (K, H, 3); gripper_width (K, H); centers (K or 1, H or 1, N, 3); sizes (N, 3).
    """
    offsets, radii = body_spheres(tcp, gripper_width)
    relative = tcp.unsqueeze(-2) - centers
    result: Tensor = _BodyClearance.apply(relative, offsets, radii, sizes)  # type: ignore[no-untyped-call]
    return result


class _BodyClearance(torch.autograd.Function):
    """Only the nearest sphere of each step and box is differentiated."""

    @staticmethod
    def forward(ctx: Any, relative: Tensor, offsets: Tensor, radii: Tensor, sizes: Tensor) -> Tensor:
        """relative (K, H, N, 3), offsets (K, H, S, 3), radii (S,), sizes (N, 3) -> (K, H, N)."""
        spheres = relative.unsqueeze(-2) + offsets.unsqueeze(-3)  # (K, H, N, S, 3)
        outside = spheres.abs() - sizes.unsqueeze(-2) / 2
        away, inside = box_parts(outside)
        nearest, index = (away + inside - radii).min(-1)
        ctx.save_for_backward(spheres, outside, away, inside, index)
        return nearest

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        spheres, outside, away, inside, index = ctx.saved_tensors
        one = index.unsqueeze(-1)
        row = one.unsqueeze(-1).expand(*one.shape, 3)
        vectors = (value.gather(-2, row)[..., 0, :] for value in (spheres, outside))
        normal = outward_normal(*vectors, *(value.gather(-1, one)[..., 0] for value in (away, inside)))
        return normal * gradient.unsqueeze(-1), None, None, None


@lru_cache(maxsize=8)
def _tables(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Places (S, 3), spreads (S, 3) and radii (S,), m, uploaded once instead of in every gradient."""
    places, spreads, radii = (torch.tensor(rows, dtype=dtype, device=device) for rows in (_PLACES, _SPREADS, _RADII))
    return places, spreads, radii
