"""The instruction suite: what each instruction must be understood as, and what the grammar makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from vls_steering.core.errors import Refusal
from vls_steering.core.types import Keypoint, Keypoints
from vls_steering.vlm import OfflineGrammar, PlanRequest, plan
from vls_steering.vlm.offline import read_instruction

SUITE = Path(__file__).with_name("instructions.yaml")


@dataclass(frozen=True)
class Case:
    """`means`: steps in order, then constraints in any order; empty: must be refused, with `says` in the reason."""

    part: str
    text: str
    scene: Keypoints
    means: tuple[str, ...] = ()
    says: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reading:
    """What came of one case; `understood` is None when it was refused."""

    understood: tuple[str, ...] | None
    reason: str
    verdict: str  # exact, refused, wrong


def load() -> tuple[Case, ...]:
    data = yaml.safe_load(SUITE.read_text(encoding="utf-8"))
    scenes = {name: _scene(rows) for name, rows in data["scenes"].items()}
    parts = ("simple", "compound", "refused")
    return tuple(_case(part, row, scenes) for part in parts for row in data[part])


def read(case: Case) -> Reading:
    """Understood means: the program passed every check as well."""
    try:
        outline = read_instruction(case.text, case.scene)
        plan(PlanRequest(case.text, case.scene), OfflineGrammar())
    except Refusal as refusal:
        return Reading(None, str(refusal), "refused")
    steps = tuple(map(str, outline.steps))
    understood = (*steps, *sorted(map(str, outline.constraints)))
    wanted = (*case.means[: len(steps)], *sorted(case.means[len(steps) :]))
    return Reading(understood, "", "exact" if understood == wanted else "wrong")


def _case(part: str, row: dict[str, Any], scenes: dict[str, Keypoints]) -> Case:
    return Case(part, row["text"], scenes[row["scene"]], tuple(row.get("means", ())), tuple(row.get("says", ())))


def _scene(rows: dict[str, list[list[float]]]) -> Keypoints:
    points = (Keypoint(name, np.array(at) / 100, np.array(size) / 100) for name, (at, size) in rows.items())
    return Keypoints(0.0, tuple(points))
