"""What the arm must stay clear of and perception sees: boxes that follow the objects which an integrator has named.

The names come from the configuration, never from a reward program: what a model writes neither widens nor narrows what
the executor enforces.
"""

from __future__ import annotations

from vls_steering.core.types import Keypoints
from vls_steering.robots.clearance import ArmClearance
from vls_steering.safety import Finding, Proposal, ReasonCode

SIGMAS = 2.0  # of its position on either side belong to an object
MOST_SIGMA_M = 0.03  # beyond, a guess moves no box


class KeepOutObjects:
    """Keeps the clearance's boxes where the objects were last seen.

    One that is hidden, by the arm most often, stays where it was; and until each was seen once, no chunk is followed.
    """

    def __init__(self, names: tuple[str, ...], clearance: ArmClearance) -> None:
        self._missing = list(names)
        self._names, self._clearance = names, clearance

    def hear(self, keypoints: Keypoints) -> None:
        """Everything that was seen now and is known well enough."""
        for name in self._names:
            point = keypoints.find(name)
            if point is None or not point.visible or float(point.sigma_m.max()) > MOST_SIGMA_M:
                continue
            self._clearance.place(name, point.position, point.size + 2 * SIGMAS * point.sigma_m)
            if name in self._missing:
                self._missing.remove(name)

    def check(self, proposal: Proposal) -> Finding | None:
        """A `ChunkCheck`: where an object was never seen there is no saying what is clear of it."""
        if not self._missing:
            return None
        return Finding(ReasonCode.KEEP_OUT, f"not seen yet, and so not kept clear of: {', '.join(self._missing)}")
