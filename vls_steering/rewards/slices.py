"""What a program rewards, drawn: for each stage, the score of going straight to every place of a scene."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from vls_steering.core.arrays import FloatArray
from vls_steering.core.errors import MissingExtra
from vls_steering.core.types import GRIPPER_OPEN_M, Keypoints
from vls_steering.rewards.compile import CompiledStage, compile_program
from vls_steering.rewards.dialect import GuidanceProgram, compile_guidance
from vls_steering.rewards.dialect.program import CompiledGuidanceStage
from vls_steering.rewards.document import RewardProgram
from vls_steering.rewards.rehearse import HOME_M, World
from vls_steering.rewards.rollout import Rollout, Scene

_AnyStage: TypeAlias = "CompiledStage | CompiledGuidanceStage"
RESOLUTION = 48
STEPS, STEP_S = 16, 0.1
# The part of the table that is drawn, base frame, m.
X_M, Y_M, Z_M = (0.20, 0.75), (-0.40, 0.40), (0.0, 0.45)
SLICE_HEIGHT_M = 0.05


def slice_scores(stage: _AnyStage, scene: Scene, goals: Tensor) -> Tensor:
    """(G,) score of going from the hand straight to each goal (G, 3) m with an open gripper."""
    share = (torch.arange(1, STEPS + 1) / (STEPS - 2)).clamp(max=1.0).reshape(1, -1, 1).to(goals.dtype)
    tcp = scene.tcp + share * (goals.unsqueeze(1) - scene.tcp)
    width = torch.full_like(tcp[..., 0], GRIPPER_OPEN_M)
    with torch.no_grad():
        return stage.score(Rollout(tcp, width, STEP_S * torch.arange(1, STEPS + 1).to(goals.dtype)), scene)


def draw_slices(program: RewardProgram | GuidanceProgram, keypoints: Keypoints, path: Path) -> None:
    """Write a PNG: a row a stage, from above at 5 cm height and from the side through the hand's line.

    Raises MissingExtra without matplotlib.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.patches import Rectangle
    except ImportError as error:
        raise MissingExtra("matplotlib", "bench") from error
    stages = _stages(program)
    scene = Scene.from_observation(World(keypoints, np.array(HOME_M)).observation)
    figure = Figure(figsize=(11, 3.6 * len(stages)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(stages), 2, squeeze=False)
    for row, stage in enumerate(stages):
        middle = _centre(stage, keypoints)
        for axis, (across, up, fixed, at) in zip(
            axes[row], ((1, 0, 2, SLICE_HEIGHT_M), (0, 2, 1, middle)), strict=True
        ):
            image = slice_scores(stage, scene, _plane(across, up, fixed, at)).reshape(RESOLUTION, RESOLUTION)
            window = (*_EXTENTS[across], *_EXTENTS[up])
            shown = axis.imshow(image.numpy(), origin="lower", extent=window, aspect="equal", cmap="viridis")
            figure.colorbar(shown, ax=axis, label="score")
            for point in keypoints.points:
                left, bottom = (point.position - point.size / 2)[[across, up]].tolist()
                size = point.size[[across, up]].tolist()
                axis.add_patch(Rectangle((left, bottom), *size, fill=False, edgecolor="white"))
                axis.annotate(point.name, (left, bottom), color="white", fontsize=6)
            axis.plot(scene.tcp[across], scene.tcp[up], "r+", markersize=10)
            axis.set_xlabel(f"{'xyz'[across]} [m]")
            axis.set_ylabel(f"{'xyz'[up]} [m]")
            axis.set_title(f"{stage.name}: {'xyz'[fixed]} = {100 * at:.0f} cm", fontsize=9)
    figure.savefig(path, dpi=110)


_EXTENTS = {0: X_M, 1: Y_M, 2: Z_M}


def _stages(program: RewardProgram | GuidanceProgram) -> tuple[_AnyStage, ...]:
    if isinstance(program, GuidanceProgram):
        return compile_guidance(program).stages
    return compile_program(program).stages


def _plane(across: int, up: int, fixed: int, at: float) -> Tensor:
    """(RESOLUTION ** 2, 3) m: points of a plane, rows along `up`."""
    rows, columns = torch.meshgrid(
        torch.linspace(*_EXTENTS[up], RESOLUTION), torch.linspace(*_EXTENTS[across], RESOLUTION), indexing="ij"
    )
    points = torch.full((RESOLUTION * RESOLUTION, 3), at)
    points[:, across], points[:, up] = columns.reshape(-1), rows.reshape(-1)
    return points


def _centre(stage: _AnyStage, keypoints: Keypoints) -> float:
    """y of the first object the stage speaks of, m; else the hand's."""
    names: frozenset[str] = getattr(stage, "objects", frozenset())
    places: list[FloatArray] = [point.position for point in keypoints.points if point.name in names]
    return float(places[0][1]) if places else HOME_M[1]
