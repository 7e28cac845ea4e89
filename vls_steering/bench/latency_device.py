"""The tick on an accelerator: eager, compiled, or as one CUDA graph.

The CUDA rows have not been run yet: no figure in the documentation comes from them.  A strategy that fails says so in
its row.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from vls_steering.bench.latency_statistics import rotated, spread
from vls_steering.core.types import Observation
from vls_steering.policies import FrozenPolicy, NetworkPolicy
from vls_steering.rewards import CompiledProgram, Scene
from vls_steering.steering.guide import Guided, Unguided
from vls_steering.steering.levels import denoise_step, descend
from vls_steering.steering.objective import Objective
from vls_steering.steering.settings import SteeringSettings

WARM_UP = 3

Tick: TypeAlias = Callable[[], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class FixedTick:
    """Denoise, reward gradient and choice by reward of one cold tick: the same loop as the sampler's without its host
    decisions (deadline, jump test, resampling), so that nothing waits for the device in between.

    Everything it reads lies in tensors that stay where they are.
    """

    policy: FrozenPolicy
    settings: SteeringSettings
    objective: Objective
    guided: Guided
    encoding: Tensor
    start: Tensor  # (K, H, A), noise
    levels: Tensor  # (K, S + 1)

    def __call__(self) -> tuple[Tensor, Tensor]:
        """Clean chunks (K, H, A), and the best of them (H, A)."""
        settings, schedule = self.settings, self.policy.schedule
        steps = self.levels.shape[1] - 1
        guided_steps = math.ceil(steps * (1.0 - settings.guide.stop_late))
        x = clean = self.start
        for column in range(steps):
            now, after = self.levels[:, column], self.levels[:, column + 1]
            estimator = self.guided if column < guided_steps else Unguided()
            predict = partial(self._predict, level=now)
            clean = estimator.estimate(predict, x, schedule.alpha(now), schedule.sigma(now)).clean
            x = denoise_step(x, clean, now, after, schedule, 0.0, x)
        with torch.no_grad():
            best = self.objective.score(clean).argmax(keepdim=True)
        return clean, clean.index_select(0, best)[0]

    def _predict(self, noisy: Tensor, level: Tensor) -> Tensor:
        return self.policy.predict_clean(self.encoding, noisy, level)


def make_fixed_tick(
    policy: NetworkPolicy, settings: SteeringSettings, program: CompiledProgram, seen: Observation, device: str
) -> FixedTick:
    """The tick for one observation with a copy of the policy on `device`."""
    moved = policy.on(device)
    encoding = moved.encode([seen])
    space = moved.action_space
    anchor = torch.tensor(seen.robot.tcp_position).to(encoding)
    times_s = space.step_s * torch.arange(1, space.horizon + 1).to(encoding)
    scene = Scene.from_observation(seen, dtype=encoding.dtype, device=encoding.device)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn((settings.count, space.horizon, space.size), generator=generator).to(encoding)
    objective = Objective(program.stages[0], scene, space, anchor, times_s, settings.reward_s)
    return FixedTick(
        policy=moved,
        settings=settings,
        objective=objective,
        guided=Guided(objective, settings.strength.maximum, 1.0, settings.guide),
        encoding=encoding,
        start=noise,
        levels=descend(torch.ones(settings.count).to(encoding), settings.cold_steps).levels,
    )


class Strategy(Protocol):
    """How a tick is launched."""

    @property
    def name(self) -> str: ...

    def prepare(self, tick: Tick) -> Tick:
        """The same tick, launched this way; may take long and may raise whatever its library raises."""
        ...


@dataclass(frozen=True)
class Eager:
    """Kernel by kernel."""

    name: str = "eager"

    def prepare(self, tick: Tick) -> Tick:
        return tick


@dataclass(frozen=True)
class Compiled:
    """torch.compile with its default back end."""

    name: str = "torch.compile"

    def prepare(self, tick: Tick) -> Tick:
        compiled: Tick = torch.compile(tick)
        return compiled


@dataclass(frozen=True)
class CudaGraph:
    """One graph for the whole tick; its inputs are overwritten in place between replays."""

    name: str = "CUDA graph"

    def prepare(self, tick: Tick) -> Tick:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                tick()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            result = tick()

        def replayed() -> tuple[Tensor, Tensor]:
            graph.replay()
            return result

        return replayed


STRATEGIES: tuple[Strategy, ...] = (Eager(), Compiled(), CudaGraph())


def device_rows(tick: FixedTick, strategies: Sequence[Strategy], rounds: int) -> list[dict[str, Any]]:
    """One row a strategy, measured in turns; one that cannot be prepared has a `failure` in place of times."""
    prepared, rows = dict[str, Tick](), dict[str, dict[str, Any]]()
    for strategy in strategies:
        rows[strategy.name] = {"strategy": strategy.name, "k": len(tick.start), "nfe": tick.levels.shape[1] - 1}
        try:
            launched = strategy.prepare(tick)
            for _ in range(WARM_UP):
                launched()
            prepared[strategy.name] = launched
        except Exception as error:  # noqa: BLE001 - a compiler that fails must not cost the other rows
            rows[strategy.name]["failure"] = f"{type(error).__name__}: {error}"[:300]
    times: dict[str, list[float]] = {name: [] for name in prepared}
    for turn in range(rounds):
        for name in rotated(list(prepared), turn):
            times[name].append(_timed_ms(prepared[name], tick.start.device))
    for name, spent in times.items():
        rows[name]["tick_ms"] = vars(spread(spent))
    return list(rows.values())


def _timed_ms(tick: Tick, device: torch.device) -> float:
    _wait(device)
    began = time.perf_counter()
    tick()
    _wait(device)
    return 1e3 * (time.perf_counter() - began)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
