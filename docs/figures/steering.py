"""docs/images/steering_*.png: what steering does to a policy whose answers are known exactly.

`python docs/figures/steering.py`; seeds are fixed, the pictures come out the same every time.  The policy is the fan of
`policies/analytic.py`: straight motions to the left, ahead and to the right, one mode each.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from vls_steering.bench.statistics import success_rate
from vls_steering.core.clocks import ManualClock
from vls_steering.core.types import Keypoint, Keypoints, Observation
from vls_steering.policies.analytic import MixturePolicy, make_fan
from vls_steering.policies.base import ActionSpace, Encoding, make_example_observation
from vls_steering.rewards import CompiledProgram, compile_program
from vls_steering.rewards.parse import parse_program
from vls_steering.rewards.rollout import Rollout, Scene
from vls_steering.steering import Pilot, SteeringSettings, preset
from vls_steering.steering.course import Move, make_course
from vls_steering.steering.deadline import Deadline
from vls_steering.steering.guide import Unguided
from vls_steering.steering.initialise import ColdStart
from vls_steering.steering.noise import TickNoise
from vls_steering.steering.objective import Objective
from vls_steering.steering.resample import Look, Resampler
from vls_steering.steering.sampler import Query, Sampler
from vls_steering.steering.stopwatch import Stopwatch
from vls_steering.steering.swarm import Swarm

IMAGES = Path(__file__).resolve().parent.parent / "images"
SPACE = ActionSpace(tuple(0.02 * (step + 1) for step in range(16)))
LEFT, RIGHT = 2, 0
WANTED, OTHER, GOAL = "#0f766e", "#9ca3af", "#d97706"
RUNS = 100


class Recorder:
    """The policy, and what it was asked and said."""

    def __init__(self, policy: MixturePolicy) -> None:
        self._policy = policy
        self.name, self.sha256 = policy.name, policy.sha256
        self.action_space, self.schedule = policy.action_space, policy.schedule
        self.levels: list[float] = []
        self.estimates: list[Tensor] = []

    def encode(self, observations: list[Observation]) -> Encoding:
        return self._policy.encode(observations)

    def predict_clean(self, encoding: Encoding, x: Tensor, level: Tensor) -> Tensor:
        clean = self._policy.predict_clean(encoding, x, level)
        self.levels.append(float(level.max()))
        self.estimates.append(clean.detach())
        return clean


def mode_end(policy: MixturePolicy, mode: int) -> np.ndarray:
    """(3,) m: where a mode ends, seen from the example observation's hand."""
    path, _ = SPACE.decode(policy.mixture.means[mode : mode + 1], torch.tensor([0.40, 0.0, 0.30]))
    return path[0, -1].double().numpy()


def observe(stamp_s: float, cube: np.ndarray) -> Observation:
    """The example scene with the red cube at `cube`."""
    example = make_example_observation(stamp_s)
    return replace(example, keypoints=Keypoints(stamp_s, (Keypoint("red cube", cube, np.full(3, 0.038)),)))


def reach() -> CompiledProgram:
    """End the motion at the red cube."""
    stage = {
        "name": "reach the red cube",
        "reward": ["minimize(at_end(dist(ee, kp('red cube'))))"],
        "done": "dist(ee, kp('red cube')) <= 1 cm",
    }
    return compile_program(parse_program({"version": 1, "instruction": "reach the red cube", "stages": [stage]}))


def vary(name: str, **changes: object) -> SteeringSettings:
    """A preset with some knobs turned; a dictionary changes those of a section."""
    knobs = preset(name).model_dump()
    for key, value in changes.items():
        knobs[key] = {**knobs[key], **value} if isinstance(value, dict) else value
    return SteeringSettings.model_validate(knobs)


def before_during_after() -> Figure:
    """The clean estimates of 24 particles on their way down, without and with guidance."""
    figure = Figure(figsize=(9.0, 4.4), layout="constrained")
    rows = figure.subplots(2, 5, sharex=True, sharey=True)
    for row, (title, mode) in zip(rows, (("the policy alone", "off"), ("guided", "x0")), strict=True):
        fan = make_fan(SPACE, weights=(0.475, 0.475, 0.05))
        policy, goal = Recorder(fan), mode_end(fan, LEFT)
        pilot = Pilot(policy, vary("ours", particles=24, guide={"mode": mode}), seed=1)
        pilot.set_program(reach())
        result = pilot.tick(observe(0.0, goal))
        wanted = np.linalg.norm(result.candidates[:, -1] - goal, axis=1) < 0.05
        anchor = torch.tensor([0.40, 0.0, 0.30])
        stages = [
            (f"level {policy.levels[i]:.2g}", SPACE.decode(policy.estimates[i], anchor)[0].numpy())
            for i in (0, 2, 4, 6)
        ]
        for axes, (name, paths) in zip(row, [*stages, ("result", result.candidates)], strict=True):
            draw_paths(axes, paths, wanted)
            axes.plot(goal[1], goal[2], "*", color=GOAL, markersize=12, zorder=5)
            axes.set_title(name, fontsize=9)
        row[-1].set_title(f"result: {wanted.sum()} of 24 there", fontsize=9)
        row[0].set_ylabel(f"{title}\nheight, m", fontsize=9)
    for axes in rows[1]:
        axes.set_xlabel("y, m", fontsize=9)
    return figure


def draw_paths(axes: Axes, paths: np.ndarray, wanted: np.ndarray) -> None:
    """(K, H, 3) m from above the table, seen from the robot; those that will reach the goal in colour."""
    start = np.array([[0.40, 0.0, 0.30]])
    for path, good in zip(paths, wanted, strict=True):
        whole = np.r_[start, path]
        axes.plot(whole[:, 1], whole[:, 2], color=WANTED if good else OTHER, linewidth=1.0, alpha=0.8, zorder=2 + good)
    axes.set(xlim=(-0.16, 0.16), ylim=(0.16, 0.31), xticks=(-0.1, 0.0, 0.1), yticks=(0.2, 0.25, 0.3))
    axes.grid(alpha=0.3)
    axes.tick_params(labelsize=8)


def mode_switch() -> Figure:
    """Share of runs that are right on the first tick after the goal jumps, against the share of scouts."""
    policy = make_fan(SPACE)
    figure = Figure(figsize=(6.4, 3.8), layout="constrained")
    axes = figure.subplots()
    low = {"ladder_low": 0.25, "ladder_high": 0.25, "jump_raise": 100.0, "jump_cold": 100.0}
    curves = (
        ("gradient, ladder of levels, jump test", {}, "x0", WANTED, "o"),
        ("gradient, all warm particles at level .25, no jump test", low, "x0", "#2563eb", "s"),
        ("no gradient, ladder, jump test", {}, "off", "#b45309", "^"),
        ("no gradient, level .25, no jump test", low, "off", OTHER, "v"),
    )
    for label, start, mode, colour, marker in curves:
        shares, successes, rows = [], [], 0
        for scouts in range(6):
            begin = {**start, "scouts": scouts} if scouts < 5 else {"mode": "cold"}
            settings = vary("ours", particles=5, recovery_ticks=1, cold_steps=4, start=begin, guide={"mode": mode})
            hits, rows = after_the_jump(policy, settings)
            shares.append(scouts / 5)
            successes.append(hits)
        rates = [success_rate([True] * hits + [False] * (RUNS - hits)) for hits in successes]
        axes.fill_between(
            shares, [r.wilson_low for r in rates], [r.wilson_high for r in rates], color=colour, alpha=0.12, linewidth=0
        )
        axes.plot(
            shares, [hits / RUNS for hits in successes], marker=marker, color=colour, label=f"{label} ({rows} rows)"
        )
    hits, rows = after_the_jump(policy, vary("best_of_k", particles=20, recovery_ticks=0, cold_steps=10, warm_steps=10))
    axes.axhline(
        hits / RUNS, color="black", linestyle=":", linewidth=1.0, label=f"cold best of 20, 10 steps ({rows} rows)"
    )
    axes.set(
        xlabel="share of scouts among 5 particles (1 = all cold)",
        ylabel="right mode on the first tick",
        ylim=(-0.03, 1.05),
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="lower right")
    return figure


def after_the_jump(policy: MixturePolicy, settings: SteeringSettings) -> tuple[int, int]:
    """Runs that are right on the first tick after the goal has gone from the right to the left; rows of that tick."""
    old, new = mode_end(policy, RIGHT), mode_end(policy, LEFT)
    hits = rows = 0
    for seed in range(RUNS):
        pilot = Pilot(policy, settings, seed)
        pilot.set_program(reach())
        for tick in range(3):
            pilot.tick(observe(0.05 * tick, old))
        result = pilot.tick(observe(0.15, new))
        rows = result.telemetry.network_rows
        hits += result.chosen >= 0 and float(np.linalg.norm(result.candidates[result.chosen, -1] - new)) < 0.06
    return hits, rows


class SquaredDistance:
    """Minus the squared distance of the end to a goal, m^2, as VLS's published rewards are."""

    def __init__(self, goal: np.ndarray) -> None:
        self._goal = torch.from_numpy(goal)

    def score(self, rollout: Rollout, scene: Scene) -> Tensor:
        return -(rollout.tcp[:, -1] - self._goal.to(rollout.tcp)).square().sum(dim=1)


class Witness:
    """A resampler that keeps what each look said, and after which step it was."""

    def __init__(self, inner: Resampler) -> None:
        self._inner = inner
        self.due = inner.due
        self.looks: dict[int, Look] = {}

    def look(self, swarm: Swarm, reward: Tensor, level: Tensor, column: int, move: Move, noise: TickNoise) -> Look:
        self.looks[move.step + 1] = self._inner.look(swarm, reward, level, column, move, noise)
        return self.looks[move.step + 1]


def effective_sizes() -> Figure:
    """Effective sample size and surviving lineages over the denoising steps, given and tempered temperatures."""
    policy, steps, particles = make_fan(SPACE, weights=(0.4, 0.4, 0.2)), 20, 20
    goal = mode_end(policy, LEFT)
    cases = (
        ("λ = 10, reward in m²", {"tilt": "fixed"}, SquaredDistance(goal), OTHER, "s"),
        ("λ = 10, program's reward", {"tilt": "fixed"}, reach().stages[0], "#b45309", "^"),
        ("tempered, reward in m²", {}, SquaredDistance(goal), "#2563eb", "v"),
        ("tempered, program's reward", {}, reach().stages[0], WANTED, "o"),
        ("tempered, every 4th step", {"every": 4}, reach().stages[0], "black", "D"),
    )
    figure = Figure(figsize=(9.0, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    for label, knobs, stage, colour, marker in cases:
        settings = vary("ours", eta=0.5, resample={"potential": "diff", **knobs})
        runs = [watched(policy, settings, stage, goal, particles, steps, seed) for seed in range(20)]
        times = sum(look.resampled for looks in runs for look in looks.values()) / len(runs)
        sizes = [np.mean([looks[step].ess for looks in runs]) / particles for step in runs[0]]
        kept = [np.mean([looks[step].swarm.lineage.unique().numel() for looks in runs]) for step in runs[0]]
        style = {"marker": marker, "markersize": 4, "color": colour, "linewidth": 1.2}
        left.plot(list(runs[0]), sizes, **style, label=f"{label} ({times:.1f} times)")
        right.plot([0, *runs[0]], [particles, *kept], **style)
    left.axhline(0.5, color="black", linestyle=":", linewidth=1.0)
    left.set(xlabel="denoising step", ylabel="ESS / K before resampling", ylim=(0.0, 1.05))
    right.set(xlabel="denoising step", ylabel=f"lineages alive, of {particles}", ylim=(0.0, particles + 1))
    for axes in (left, right):
        axes.set_xticks(range(0, steps + 1, 4))
        axes.grid(alpha=0.3)
    figure.legend(
        fontsize=8, loc="outside lower center", ncols=3, title="resampled ... times per tick", title_fontsize=8
    )
    return figure


def watched(
    policy: MixturePolicy,
    settings: SteeringSettings,
    stage: object,
    goal: np.ndarray,
    particles: int,
    steps: int,
    seed: int,
) -> dict[int, Look]:
    """The looks of one cold tick with resampling alone, by the step that they followed."""
    observation = observe(0.0, goal)
    anchor = torch.tensor(observation.robot.tcp_position, dtype=torch.float32)
    scene, times_s = Scene.from_observation(observation), 0.1 * torch.arange(1, 17)
    sampler = Sampler(policy, ColdStart(), settings)
    sampler.resampler = Witness(sampler.resampler)
    query = Query(
        stamp_s=0.0,
        encoding=policy.encode([observation]),
        anchor=anchor,
        objective=Objective(stage, scene, SPACE, anchor, times_s),
        strength_share=0.0,
        plan=None,
        turned=False,
        course=make_course([1] * steps),
        noise=TickNoise.draw(seed, 0, particles, steps, SPACE.horizon, SPACE.size),
        deadline=Deadline(ManualClock(), math.inf),
    )
    sampler.sample(query, lambda step: Unguided(), None, Stopwatch())
    return sampler.resampler.looks


def main() -> None:
    """Write the pictures."""
    IMAGES.mkdir(exist_ok=True)
    for name, make in (("fan", before_during_after), ("ess", effective_sizes), ("mode_switch", mode_switch)):
        target = IMAGES / f"steering_{name}.png"
        make().savefig(target, dpi=110, metadata={"Software": None})
        print(f"docs/images/{target.name}, {target.stat().st_size // 1000} kB")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
