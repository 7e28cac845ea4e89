"""Which methods are timed, and what the sweeps vary."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vls_steering.bench.latency_trial import Entrant
from vls_steering.policies import ActionSpace, NetworkPolicy
from vls_steering.policies.unet import ConditionalUNet, UNetSettings, parameter_count
from vls_steering.rewards import CompiledProgram, compile_program, parse_program
from vls_steering.steering.presets import preset
from vls_steering.steering.settings import SteeringSettings

OURS, OURS_COLD, RELEASED, FULL = "ours", "ours_cold", "vls_released", "full_denoising"
FULL_STEPS = 100
# (channels, condition size): about 0.9 M, 4.7 M and, on demand, 66 M parameters.
SMALL, MEDIUM, LARGE = ((56, 96, 160), 160), ((96, 224, 400), 320), ((512, 768, 1536), 1152)


@dataclass(frozen=True)
class Grid:
    """What a run covers."""

    rounds: int  # counted observations of the methods
    sweep_rounds: int  # counted observations of every sweep point
    particles: tuple[int, ...]
    steps: tuple[int, ...]
    horizons: tuple[int, ...]
    networks: tuple[tuple[tuple[int, ...], int], ...]
    terms: tuple[int, ...]


COMPLETE = Grid(
    rounds=40,
    sweep_rounds=20,
    particles=(1, 4, 8, 16, 32),
    steps=(1, 2, 4, 10, 20, 100),
    horizons=(8, 16, 32, 64),
    networks=(SMALL, MEDIUM),
    terms=(1, 5, 20),
)
QUICK = Grid(
    rounds=4, sweep_rounds=2, particles=(1, 8), steps=(1, 4), horizons=(8, 16), networks=(SMALL,), terms=(1, 5)
)


@dataclass(frozen=True)
class SweepPoint:
    """One value of one swept quantity; `entrant` differs from `ours` from noise in nothing else."""

    sweep: str
    value: int
    entrant: Entrant


def methods(policy: NetworkPolicy, seed: int) -> list[Entrant]:
    """The driver first: ours as it runs, ours from noise on every tick, and what both are compared with."""
    settings = {name: preset(name) for name in (OURS, OURS_COLD, RELEASED)}
    settings[FULL] = from_noise(preset(OURS), steps=FULL_STEPS)
    # What is timed is the whole tick, however long it takes.
    return [
        Entrant(name, policy, chosen.model_copy(update={"deadline_ms": 0.0}), seed) for name, chosen in settings.items()
    ]


def from_noise(settings: SteeringSettings, particles: int = 0, steps: int = 0) -> SteeringSettings:
    """The same method with a cold start on every tick; another number of particles or steps where one is given."""
    changes = {
        "start": settings.start.model_copy(update={"mode": "cold", "scouts": 0}),
        "particles": particles or settings.particles,
        "k_cap": max(particles, settings.k_cap),
        "deadline_ms": 0.0,
        "cold_steps": steps or settings.cold_steps,
    }
    return settings.model_copy(update=changes)


def sweep_points(policy: NetworkPolicy, grid: Grid, objects: tuple[str, ...], seed: int) -> list[SweepPoint]:
    """Every point at ours' particles and warm number of steps, unless swept; always from noise.

    From noise, because then a tick does the same work whatever the network has learned: fresh ones have learned
    nothing, and a horizon that the weights were not trained for is as good as nothing learned.
    """
    ours = preset(OURS)
    base = from_noise(ours, steps=ours.warm_steps)

    def point(
        sweep: str, value: int, on: NetworkPolicy, settings: SteeringSettings, program: CompiledProgram | None = None
    ) -> SweepPoint:
        return SweepPoint(sweep, value, Entrant(f"{sweep} {value}", on, settings, seed, program))

    fresh_ones = [fresh(policy, channels, condition_size, seed) for channels, condition_size in grid.networks]
    # All of them in torch: an exported graph has one size and one horizon.
    networks = {parameter_count(one.network): one for one in (policy.on("cpu"), *fresh_ones)}
    return [
        *(point("particles", count, policy, from_noise(base, particles=count)) for count in grid.particles),
        *(point("steps", count, policy, from_noise(base, steps=count)) for count in grid.steps),
        *(point("horizon", steps, with_horizon(policy, steps), base) for steps in grid.horizons),
        *(point("parameters", size, networks[size], base) for size in sorted(networks)),
        *(point("terms", count, policy, base, program_of(count, objects)) for count in grid.terms),
    ]


def with_horizon(policy: NetworkPolicy, horizon: int) -> NetworkPolicy:
    """The same weights on chunks of another length: the network is convolutional, its weights know no H."""
    shape = policy.network.settings.model_copy(update={"horizon": horizon})
    network = ConditionalUNet(shape)
    network.load_state_dict(policy.network.state_dict())
    return _rebuilt(policy, network, f"{policy.name} H={horizon}")


def fresh(policy: NetworkPolicy, channels: tuple[int, ...], condition_size: int, seed: int) -> NetworkPolicy:
    """An untrained network of another size in the policy's place: it costs what a trained one costs."""
    changes = {"channels": channels, "condition_size": condition_size}
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        network = ConditionalUNet(UNetSettings(**{**policy.network.settings.model_dump(), **changes}))
    return _rebuilt(policy, network, f"untrained {parameter_count(network) / 1e6:.1f} M")


def program_of(count: int, objects: tuple[str, ...]) -> CompiledProgram:
    """A one-stage program of `count` different reward terms about the given objects."""
    first = objects[0]
    terms = [_term(index, objects) for index in range(count)]
    stage = {"name": "approach", "reward": terms, "gripper": "open", "done": f"grasped('{first}')"}
    return compile_program(parse_program({"version": 1, "instruction": f"{count} terms", "stages": [stage]}))


def _term(index: int, objects: tuple[str, ...]) -> str:
    name, round_ = objects[index % len(objects)], index // len(objects)
    forms = (
        f"minimize(lowest(dist(ee, kp('{name}')))) * {1 + round_}",
        f"always(clearance(body, kp('{name}')) >= {1 + round_} cm)",
        f"eventually(height(ee) - height(kp('{name}')) >= {8 + round_} cm)",
    )
    return forms[index % len(forms)]


def _rebuilt(policy: NetworkPolicy, network: ConditionalUNet, name: str) -> NetworkPolicy:
    scale = policy.action_space.position_scale_m
    horizon = network.settings.horizon
    padded = (*scale, *[scale[-1]] * max(horizon - len(scale), 0))[:horizon]
    space = ActionSpace(padded, policy.action_space.step_s)
    parameter = next(policy.network.parameters())
    return NetworkPolicy(network.to(parameter), policy.normaliser, space, policy.process, name, "")
