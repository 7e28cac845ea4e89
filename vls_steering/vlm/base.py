"""The seam between an instruction and a reward program: who writes it, and what they are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from vls_steering.core.types import Keypoints
from vls_steering.rewards import Diagnostic


@dataclass(frozen=True)
class PlanRequest:
    """One instruction in one scene.

    After a rejected answer, `rejected` is that document and `diagnostics` what the checker said about it.
    """

    instruction: str
    keypoints: Keypoints
    image: np.ndarray | None = None  # (H, W, 3) uint8 RGB of the scene
    rejected: dict[str, Any] | None = None
    diagnostics: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True)
class PlanAnswer:
    """A document that nobody has checked yet, or why there is none."""

    document: dict[str, Any] | None
    refusal: str
    written_by: str


class Planner(Protocol):
    """Writes reward programs.  `name` goes into every log of what it wrote."""

    @property
    def name(self) -> str: ...

    def write(self, request: PlanRequest) -> PlanAnswer:
        """Answer a request; raises Refusal when the back end cannot be reached."""
        ...
