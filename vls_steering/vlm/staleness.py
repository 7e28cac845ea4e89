"""Has the scene changed since a question about it was asked?"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from vls_steering.core.types import Keypoints


def scene_change(asked: Keypoints, now: Keypoints, names: Iterable[str], tolerance_m: float) -> str:
    """What happened to the named objects meanwhile, in words; empty when they are where they were."""
    for name in sorted(names):
        before, after = asked.find(name), now.find(name)
        if after is None:
            return f"the {name} is no longer seen"
        if before is not None:
            moved_m = float(np.linalg.norm(after.position - before.position))
            if moved_m > tolerance_m:
                return f"the {name} moved by {100 * moved_m:.0f} cm"
    return ""
