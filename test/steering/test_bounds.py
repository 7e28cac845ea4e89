"""How far guidance may move a chunk: in units of the noise, and in metres."""

from __future__ import annotations

import torch

from vls_steering.steering.bounds import Bounds

BOUNDS = Bounds(clip_sigma=1.0, trust_m=0.1, scale_m=torch.full((16, 1), 0.2))
SIGMA = torch.tensor([0.5])


def shift(path: float, gripper: float) -> torch.Tensor:
    wanted = torch.zeros(1, 16, 4)
    wanted[..., 0], wanted[..., 3] = path, gripper
    return wanted


def test_a_shift_within_bounds_is_left_alone() -> None:
    torch.testing.assert_close(BOUNDS.within(shift(0.3, 0.1), SIGMA), shift(0.3, 0.1))


def test_the_path_is_clipped_to_the_noise_and_to_the_trust_region() -> None:
    wide = Bounds(clip_sigma=1.0, trust_m=1.0, scale_m=BOUNDS.scale_m)
    torch.testing.assert_close(wide.within(shift(3.0, 0.0), SIGMA), shift(0.5, 0.0))
    torch.testing.assert_close(BOUNDS.within(shift(3.0, 0.0), 10 * SIGMA), shift(0.5, 0.0))  # 0.1 m


def test_a_hand_with_a_long_way_to_go_may_still_close_its_fingers() -> None:
    alone, beside = BOUNDS.within(shift(0.0, -0.4), SIGMA), BOUNDS.within(shift(30.0, -0.4), SIGMA)
    torch.testing.assert_close(beside[..., 3], alone[..., 3])


def test_the_gripper_is_clipped_to_the_noise() -> None:
    torch.testing.assert_close(BOUNDS.within(shift(0.0, -7.0), SIGMA), shift(0.0, -0.5))
