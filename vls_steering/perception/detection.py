"""What a segmenter hands on, and the seam that every segmenter implements."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from vls_steering.core.arrays import FloatArray
from vls_steering.perception.lift import LiftedFrame, MaskImage, PointImage
from vls_steering.perception.plane import SupportPlane

UNKNOWN_SHAPE = "thing"


def _no_face() -> FloatArray:
    return np.zeros((0, 2))


@dataclass(frozen=True)
class Detection:
    """One object in one picture.

    `lower` and `upper` bound what was seen of it.  A side is free when the object is known to end there, and not free
    when something hides the rest, or the picture ends.
    """

    colour: str
    shape: str  # UNKNOWN_SHAPE when it fits no name
    camera: str
    mask: MaskImage = field(repr=False)  # (H, W)
    points: PointImage = field(repr=False)  # (N, 3) m, base frame
    lower: FloatArray  # (3,) m, base frame
    upper: FloatArray
    free: NDArray[np.bool_]  # (2, 2): [lower, upper] x [x, y]
    grounded: bool  # its lower end reaches the support plane
    face: FloatArray = field(default_factory=_no_face, repr=False)  # (M, 2) m, base frame: the pixels of its top face

    @property
    def name(self) -> str:
        return f"{self.colour} {self.shape}".strip()

    @property
    def complete(self) -> bool:
        """Every side is free: the bounds are the object's own."""
        return bool(self.free.all())

    @property
    def centroid(self) -> FloatArray:
        """(3,) m: of the object, not of its visible surface."""
        return 0.5 * (self.lower + self.upper)

    @property
    def size(self) -> FloatArray:
        """(3,) m, axis-aligned extents in the base frame."""
        return self.upper - self.lower


class Segmenter(Protocol):
    """Splits a picture into named objects."""

    def segment(self, view: LiftedFrame, plane: SupportPlane, robot: MaskImage) -> tuple[Detection, ...]:
        """`robot` (H, W) marks the robot's own pixels."""
        ...
