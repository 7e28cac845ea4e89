"""The tick of the accelerator: the sampler's own, without what a CUDA graph cannot capture."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from bench.tiny_policy import policy, weights
from torch.utils._python_dispatch import TorchDispatchMode

from vls_steering.bench.latency_cases import (
    from_noise,
    program_of,
)
from vls_steering.bench.latency_device import Eager, FixedTick, Tick, device_rows, make_fixed_tick
from vls_steering.core.clocks import MonotonicClock
from vls_steering.policies import NetworkPolicy, make_example_observation
from vls_steering.steering.deadline import Deadline
from vls_steering.steering.noise import TickNoise
from vls_steering.steering.planner import Planner
from vls_steering.steering.presets import preset
from vls_steering.steering.sampler import Query
from vls_steering.steering.stopwatch import Stopwatch

__all__ = ["policy", "weights"]  # fixtures
NAMES = make_example_observation().keypoints.names


@pytest.fixture
def tick(policy: NetworkPolicy) -> FixedTick:
    settings = from_noise(preset("ours"), particles=4, steps=3)
    return make_fixed_tick(policy, settings, program_of(2, NAMES), make_example_observation(), "cpu")


def test_the_fixed_tick_plans_what_the_sampler_plans(tick: FixedTick, policy: NetworkPolicy) -> None:
    observation = make_example_observation()
    planner = Planner(policy, tick.settings)
    course = planner.course(tick.settings.cold_steps)
    drawn = TickNoise.draw(0, 0, 4, len(course.moves), 16, 4)
    query = Query(
        stamp_s=observation.stamp_s,
        encoding=tick.encoding,
        anchor=tick.objective.anchor,
        objective=tick.objective,
        strength_share=1.0,
        plan=None,
        turned=False,
        course=course,
        noise=drawn,
        deadline=Deadline(MonotonicClock(), math.inf),
    )
    wanted = planner.plan(query, Stopwatch()).samples.clean
    clean, best = replace(tick, start=drawn.start)()
    assert torch.allclose(clean, wanted, atol=1e-5)
    assert any(torch.equal(best, row) for row in clean)


def test_a_strategy_that_fails_leaves_the_others_their_rows(tick: FixedTick) -> None:
    @dataclass(frozen=True)
    class Broken:
        name: str = "broken"

        def prepare(self, tick: Tick) -> Tick:
            raise RuntimeError("no capture")

    eager, broken = device_rows(tick, (Eager(), Broken()), rounds=3)
    assert eager["tick_ms"]["n"] == 3
    assert broken["failure"] == "RuntimeError: no capture"
    assert "tick_ms" not in broken


class _Uploads(TorchDispatchMode):
    """Counts what is made out of numbers of the host: on a GPU each is a copy that a graph cannot capture."""

    count = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += str(operation).startswith("aten.lift_fresh")
        return operation(*args, **(kwargs or {}))


def test_the_fixed_tick_uploads_nothing(tick: FixedTick) -> None:
    tick()
    with _Uploads() as uploads:
        torch.tensor([1.0])
        assert uploads.count == 1
        tick()
    assert uploads.count == 1
