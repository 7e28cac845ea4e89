"""Do programs want the same?  Judged by what they prefer, not by how they are written.

Every program scores the same motions in the same situations; programs whose scores rank them alike belong together.
The largest group's medoid is the program to trust: an odd one out is more often wrong than the majority is
(self-consistency, Wang et al., arXiv 2203.11171; clusters by meaning, Kuhn et al., arXiv 2302.09664).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from vls_steering.core.arrays import FloatArray
from vls_steering.core.types import DOWN_QUAT_XYZW, GRIPPER_OPEN_M, Keypoint, Keypoints, Observation, RobotState
from vls_steering.rewards import CompiledProgram, CompiledStage, Rollout, Scene

SAME_BEHAVIOUR = 0.9  # Spearman's rank correlation
MOTIONS, STEPS, STEP_S = 48, 16, 0.1
# Where motions start and end, m, base frame.
WORKSPACE = np.array([[0.35, -0.30, 0.02], [0.65, 0.30, 0.35]])
HOME = np.array([0.40, 0.0, 0.30])
HELD_AT_M = 0.12
MOST_SITUATIONS = 7


@dataclass(frozen=True)
class Agreement:
    """`chosen` is the index of the medoid; `size` counts the programs that behave as it does, itself included."""

    chosen: int
    size: int


def agree(programs: Sequence[CompiledProgram], keypoints: Keypoints, seed: int = 0) -> Agreement:
    """Group programs by behaviour; of groups of equal size the one that was written first wins."""
    behaviours = [behaviour(program, keypoints, seed) for program in programs]
    alike = np.array([[likeness(a, b) for b in behaviours] for a in behaviours])
    same = alike >= SAME_BEHAVIOUR
    sizes = same.sum(1)
    chosen = int(np.lexsort((np.arange(len(programs)), -(alike * same).sum(1), -sizes))[0])
    return Agreement(chosen, int(sizes[chosen]))


def behaviour(program: CompiledProgram, keypoints: Keypoints, seed: int) -> FloatArray:
    """(situations, motions): ranks of the motions by the stage that would be in force; zeros where all is done."""
    rng = np.random.default_rng(seed)
    rows = []
    for observation in situations(keypoints):
        rollout = motions(observation, rng)
        stage = _in_force(program, observation)
        rows.append(np.zeros(MOTIONS) if stage is None else _ranks(stage, rollout, observation))
    return np.array(rows)


def likeness(a: FloatArray, b: FloatArray) -> float:
    """Spearman's correlation, averaged over situations; two programs that are both done there are alike."""
    return float(np.mean([_correlation(x, y) for x, y in zip(a, b, strict=True)]))


def situations(keypoints: Keypoints) -> list[Observation]:
    """The hand open over the table, and holding each object that fits into it."""
    found = [Observation(_robot(HOME, GRIPPER_OPEN_M, holds=False), keypoints)]
    graspable = Scene.from_observation(found[0]).graspable
    for point in [point for point in keypoints.points if point.name in graspable][: MOST_SITUATIONS - 1]:
        raised = np.array([*point.position[:2], HELD_AT_M])
        others = tuple(Keypoint(p.name, raised, p.size) if p is point else p for p in keypoints.points)
        robot = _robot(raised, float(point.size[:2].min()), holds=True)
        found.append(Observation(robot, Keypoints(keypoints.stamp_s, others)))
    return found


def motions(observation: Observation, rng: np.random.Generator) -> Rollout:
    """Straight, smooth motions from the hand: half to the objects and above them, half anywhere; some open or close."""
    places = [point.position + np.array([0.0, 0.0, up]) for point in observation.keypoints.points for up in (0.0, 0.1)]
    goals = rng.uniform(WORKSPACE[0], WORKSPACE[1], size=(MOTIONS, 3))
    if places:
        chosen = rng.integers(len(places), size=MOTIONS // 2)
        goals[: MOTIONS // 2] = np.array(places)[chosen] + rng.normal(0.0, 0.01, (MOTIONS // 2, 3))
    share = np.linspace(1.0 / STEPS, 1.0, STEPS)
    share = share**3 * (10.0 - 15.0 * share + 6.0 * share**2)  # minimum jerk
    start = observation.robot.tcp_position
    tcp = start + share[None, :, None] * (goals - start)[:, None, :]
    finally_open = rng.choice([0.0, 1.0, observation.robot.gripper_width_m / GRIPPER_OPEN_M], size=MOTIONS)
    width = observation.robot.gripper_width_m + share[None] * (
        finally_open[:, None] * GRIPPER_OPEN_M - observation.robot.gripper_width_m
    )
    return Rollout(_tensor(tcp), _tensor(width), STEP_S * torch.arange(1, STEPS + 1, dtype=torch.float32))


def _in_force(program: CompiledProgram, observation: Observation) -> CompiledStage | None:
    return next((stage for stage in program.stages if not stage.done(observation)), None)


def _ranks(stage: CompiledStage, rollout: Rollout, observation: Observation) -> FloatArray:
    with torch.no_grad():
        scores = stage.score(rollout, Scene.from_observation(observation)).double().numpy()
    # Scores that differ by rounding only are ties.
    ranks: FloatArray = rankdata(np.round(scores, 5))
    return ranks


def _correlation(a: FloatArray, b: FloatArray) -> float:
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    if norm == 0.0:
        return 1.0 if not a.any() and not b.any() else 0.0
    return float(a @ b) / norm


def _robot(tcp: FloatArray, width_m: float, holds: bool) -> RobotState:
    return RobotState(0.0, np.zeros(7), np.zeros(7), tcp, np.array(DOWN_QUAT_XYZW), width_m, holds)


def _tensor(values: FloatArray) -> Tensor:
    return torch.tensor(values.tolist(), dtype=torch.float32)
