"""Repulsion: away from one another, by the median distance, early, and nothing where there is nobody else."""

from __future__ import annotations

import pytest
import torch
from steering.worlds import SPACE
from torch import Tensor

from vls_steering.policies.base import CosineSchedule
from vls_steering.steering.bounds import Bounds
from vls_steering.steering.diversity import Apart, repulsion
from vls_steering.steering.guide import Unguided
from vls_steering.steering.released import InverseDistance

SCALE = SPACE.scale(torch.zeros(1))
SCHEDULE = CosineSchedule()


def chunks(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 16, 4, generator=torch.Generator().manual_seed(seed))


def everybody(clean: Tensor) -> Tensor:
    return torch.ones(len(clean), dtype=torch.bool)


def distances(clean: Tensor) -> Tensor:
    """(K, K) m."""
    paths = (clean[..., :3] * SCALE).flatten(1)
    return torch.cdist(paths, paths)


def test_it_is_the_gradient_of_the_kernel_at_the_median_bandwidth() -> None:
    clean = chunks(5)
    pairs = distances(clean)[torch.ones(5, 5, dtype=torch.bool).triu(1)]
    bandwidth = pairs.square().median() / torch.log(torch.tensor(6.0))
    moved = clean.clone().requires_grad_()
    paths, still = ((part[..., :3] * SCALE).flatten(1) for part in (moved, clean))
    kernel = torch.exp(-(paths[:, None] - still[None]).square().sum(2) / bandwidth)
    (slope,) = torch.autograd.grad(kernel.sum() / 5, moved)
    torch.testing.assert_close(repulsion(clean, SCALE, everybody(clean)), -slope, atol=1e-5, rtol=1e-4)


def test_it_spreads_the_particles_and_leaves_the_gripper_alone() -> None:
    clean = 0.2 * chunks(6)
    push = repulsion(clean, SCALE, everybody(clean))
    assert not push[..., 3].any()
    assert distances(clean + 0.05 * push / push.abs().max()).sum() > distances(clean).sum()


def test_its_strength_does_not_depend_on_the_unit_but_for_the_unit() -> None:
    """SVGD's median: particles ten times closer are pushed ten times harder, so that they part alike."""
    clean = chunks(6)
    far, near = (repulsion(share * clean, SCALE, everybody(clean)) for share in (1.0, 0.1))
    torch.testing.assert_close(near, 10.0 * far, rtol=1e-3, atol=1e-4)


def test_one_particle_alone_and_dead_ones_push_nobody() -> None:
    clean = chunks(4)
    assert not repulsion(clean[:1], SCALE, everybody(clean[:1])).any()
    alive = torch.tensor([True, False, True, False])
    living = repulsion(clean[alive], SCALE, everybody(clean[:2]))
    found = repulsion(clean, SCALE, alive)[alive]
    torch.testing.assert_close(found / found.norm(), living / living.norm(), atol=1e-5, rtol=1e-4)


def test_it_stays_within_the_bounds_of_guidance() -> None:
    level = torch.full((6,), 0.7)
    alpha, sigma = SCHEDULE.alpha(level), SCHEDULE.sigma(level)
    apart = Apart(Unguided(), 1000.0, Bounds(0.5, 0.1, SCALE))
    found = apart.estimate(lambda x: x, chunks(6), alpha, sigma)
    shift = found.clean - found.raw
    assert bool((shift.norm(dim=2).amax(1) <= 0.5 * sigma + 1e-5).all())
    assert float(found.shift_m.max()) <= 0.1 + 1e-6
    assert bool((found.shift_m > 0.0).all())


@pytest.mark.parametrize(("path_s", "steps"), [(0.0, 16), (0.8, 8)])
def test_the_released_repulsion_is_the_gradient_of_inverse_distance_on_the_noisy_paths(
    path_s: float, steps: int
) -> None:
    x = chunks(4)
    level = torch.full((4,), 0.9)
    alpha, sigma = SCHEDULE.alpha(level), SCHEDULE.sigma(level)
    noisy = x.clone().requires_grad_()
    paths = (noisy[:, :steps, :3] * SCALE[:steps]).flatten(1)
    distance = ((paths[:, None] - paths[None]).square().sum(2) + 1e-6).sqrt()
    potential = ((1.0 / (distance + 1e-6)) * (1.0 - torch.eye(4))).sum()
    (slope,) = torch.autograd.grad(potential, noisy)
    found = InverseDistance(SPACE, 20.0, 0.0, path_s, x).estimate(torch.zeros_like, x, alpha, sigma)
    expected = -(20.0 * sigma / alpha)[:, None, None] * slope
    torch.testing.assert_close(found.clean - found.raw, expected, rtol=1e-3, atol=1e-4)
