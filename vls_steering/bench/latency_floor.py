"""The shortest time that the arithmetic allows on this machine: counted operations over a measured peak."""

from __future__ import annotations

import time

import torch
from torch.utils.flop_counter import FlopCounterMode

from vls_steering.policies import FrozenPolicy, make_example_observation

MATMUL_SIZE = 1024
REPEATS = 8


def flop_per_evaluation(policy: FrozenPolicy, particles: int) -> int:
    """Floating-point operations of one forward pass of `particles` rows (a multiply-add counts two)."""
    encoding = policy.encode([make_example_observation()])
    x = torch.zeros(particles, policy.action_space.horizon, policy.action_space.size).to(encoding)
    level = torch.full((particles,), 0.5).to(encoding)
    with FlopCounterMode(display=False) as counter:
        # The counter sees torch's operations only, and one that may be differentiated is torch's.
        policy.predict_clean(encoding, x.requires_grad_(), level)
    return int(counter.get_total_flops())


def matmul_peak_gflop_s(device: str, size: int = MATMUL_SIZE) -> float:
    """Best of several square single-precision products on `device`, with the threads that torch has now."""
    left, right = torch.rand(size, size, device=device), torch.rand(size, size, device=device)
    best_s = min(_product_s(left, right) for _ in range(REPEATS))
    return 2e-9 * size**3 / best_s


def floor_ms(flop: int, evaluations: float, peak_gflop_s: float) -> float:
    """Time of `evaluations` passes at the peak, ms."""
    return 1e3 * evaluations * flop / (1e9 * peak_gflop_s)


def _product_s(left: torch.Tensor, right: torch.Tensor) -> float:
    _wait(left)
    began = time.perf_counter()
    torch.mm(left, right)
    _wait(left)
    return time.perf_counter() - began


def _wait(tensor: torch.Tensor) -> None:
    if tensor.is_cuda:
        torch.cuda.synchronize(tensor.device)
