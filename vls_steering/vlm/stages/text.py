"""Pieces of text that the stages of every skill share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Stage = dict[str, Any]


def approach(signal: str) -> list[str]:
    """Reward for bringing a distance down within the chunk, the sooner the better.

    Objectives come in pairs: the closest approach in the chunk picks the sample that gets there, the average picks the
    one that gets there soon.  Both are informative however far away the goal is.
    """
    return [f"minimize(lowest({signal})) * 2", f"minimize({signal}) * 0.5"]


def kp(name: str) -> str:
    return f"kp({quoted(name)})"


def quoted(name: str) -> str:
    return f'"{name}"' if "'" in name else f"'{name}'"


def point(position: Iterable[float]) -> str:
    """`position` (3,) m, base frame."""
    return f"point({', '.join(cm(float(value)) for value in position)})"


def cm(metres: float) -> str:
    return f"{round(100 * metres, 1):g} cm"
