"""Which object a stage is about is no longer known well enough to steer by."""

from __future__ import annotations

from collections.abc import Iterator

from vls_steering.core.types import Keypoints
from vls_steering.rewards import Stage
from vls_steering.rewards.expression import Expression, Text, walk


def stale_object(stage: Stage, keypoints: Keypoints, max_age_s: float, max_sigma_m: float) -> str:
    """The reason not to steer by `stage`: an object it names was seen too long ago or is known too badly; else empty.

    An object that no keypoint names is not judged here: the program itself says that it is missing.
    """
    names = {node.value for expression in _expressions(stage) for node in walk(expression) if isinstance(node, Text)}
    for point in keypoints.points:
        if point.name not in names:
            continue
        if point.age_s > max_age_s:
            return f"guidance is frozen: {point.name!r} was last seen {point.age_s:.1f} s ago"
        if float(point.sigma_m.max()) > max_sigma_m:
            return f"guidance is frozen: {point.name!r} is known to {100 * point.sigma_m.max():.0f} cm only"
    return ""


def _expressions(stage: Stage) -> Iterator[Expression]:
    for term in (*stage.reward, *stage.safety, *stage.preference):
        yield term.expression
    yield stage.done
    yield stage.gripper
    if stage.requires is not None:
        yield stage.requires
