"""How hard the reward pulls, from measured progress."""

from __future__ import annotations

import math

from vls_steering.steering.settings import StrengthSettings


def strength_share(progress: float, settings: StrengthSettings) -> float:
    """Share of the maximum strength, VLS's logistic fall (arXiv 2602.03973) above a floor.

    `1 / (1 + exp(slope (progress - midpoint)))` with `progress` in [0, 1] measured from the robot and the
    keypoints, never the plan's own reward; nothing is latched, so guidance comes back when progress is lost.
    """
    share = 1.0 / (1.0 + math.exp(min(settings.slope * (progress - settings.midpoint), 700.0)))
    return max(share, settings.floor)
