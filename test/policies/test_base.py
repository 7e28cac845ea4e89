"""The action space and the noise schedules."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vls_steering.core.errors import ShapeError
from vls_steering.core.types import GRIPPER_OPEN_M
from vls_steering.policies.base import (
    GRIPPER_MAGNITUDE,
    ActionSpace,
    CosineSchedule,
    FlowSchedule,
    make_example_observation,
)

SPACE = ActionSpace(tuple(0.02 * (h + 1) for h in range(16)))


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31), rows=st.integers(1, 4))
def test_decode_and_encode_are_inverse_inside_the_gripper_range(seed: int, rows: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    anchor = torch.rand(3, generator=generator, dtype=torch.float64)
    tcp = anchor + 0.3 * torch.randn(rows, 16, 3, generator=generator, dtype=torch.float64)
    width = GRIPPER_OPEN_M * torch.rand(rows, 16, generator=generator, dtype=torch.float64)
    chunk = SPACE.encode(tcp, width, anchor)
    decoded_tcp, decoded_width = SPACE.decode(chunk, anchor)
    torch.testing.assert_close(decoded_tcp, tcp)
    torch.testing.assert_close(decoded_width, width)


def test_open_and_closed_sit_at_plus_and_minus_a_third() -> None:
    widths = torch.tensor([0.0, GRIPPER_OPEN_M]).repeat(1, 8)
    chunk = SPACE.encode(torch.zeros(1, 16, 3), widths, torch.zeros(3))
    torch.testing.assert_close(chunk[0, :2, 3], torch.tensor([-GRIPPER_MAGNITUDE, GRIPPER_MAGNITUDE]))


def test_a_saturated_gripper_is_clamped_in_value_but_keeps_its_gradient() -> None:
    chunk = torch.full((1, 16, 4), 2.0, requires_grad=True)
    _, width = SPACE.decode(chunk, torch.zeros(3))
    assert float(width.detach().max()) == pytest.approx(GRIPPER_OPEN_M)
    (gradient,) = torch.autograd.grad(width.sum(), chunk)
    assert (gradient[..., 3] > 0).all()


def test_decode_passes_gradcheck_inside_the_gripper_range() -> None:
    generator = torch.Generator().manual_seed(0)
    chunk = (0.6 * torch.rand(2, 16, 4, generator=generator, dtype=torch.float64) - 0.3).requires_grad_()
    assert torch.autograd.gradcheck(lambda c: SPACE.decode(c, torch.ones(3, dtype=torch.float64)), chunk)


def test_a_chunk_of_the_wrong_horizon_is_refused() -> None:
    with pytest.raises(ShapeError, match="16"):
        SPACE.decode(torch.zeros(1, 8, 4), torch.zeros(3))


@pytest.mark.parametrize("schedule", [CosineSchedule(), FlowSchedule()])
def test_schedules_run_from_clean_to_noise_and_never_lose_the_signal(schedule: CosineSchedule | FlowSchedule) -> None:
    level = torch.linspace(0.0, 1.0, 101, dtype=torch.float64)
    alpha, sigma = schedule.alpha(level), schedule.sigma(level)
    assert float(alpha[0]) == 1.0
    assert float(sigma[0]) == 0.0
    assert (alpha.diff() < 0).all()
    assert (sigma.diff() > 0).all()
    assert float(alpha[-1]) == pytest.approx(schedule.alpha_floor)


def test_the_cosine_schedule_preserves_variance() -> None:
    level = torch.rand(50, dtype=torch.float64)
    power = CosineSchedule().alpha(level).square() + CosineSchedule().sigma(level).square()
    torch.testing.assert_close(power, torch.ones_like(level))


def test_the_example_observation_is_valid() -> None:
    assert make_example_observation(3.0).stamp_s == 3.0
