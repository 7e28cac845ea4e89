"""Percentiles, paired ratios and fair turns: the arithmetic of a latency measurement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

RESAMPLES = 2000

T = TypeVar("T")


@dataclass(frozen=True)
class Spread:
    """Percentiles of n durations in milliseconds; with few samples p99 is the largest one."""

    n: int
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True)
class Speedup:
    """How many times longer another method takes: ratio of medians with its bootstrap 95 % interval."""

    n: int
    ratio: float
    low: float
    high: float


def spread(durations_ms: ArrayLike) -> Spread:
    """Percentiles of (n,) durations; raises ValueError when there are none."""
    values = np.asarray(durations_ms, dtype=float)
    if values.size == 0:
        raise ValueError("there is nothing to take percentiles of")
    p50, p95, p99 = (round(float(value), 3) for value in np.percentile(values, (50, 95, 99)))
    return Spread(int(values.size), p50, p95, p99)


def speedup(ours_ms: ArrayLike, other_ms: ArrayLike, seed: int) -> Speedup:
    """Median of `other_ms` over median of `ours_ms`, both (n,) and measured on the same n observations.

    Percentile bootstrap (Efron 1979) over the observations: a tick of one method and the tick of the other on the
    same observation are drawn together, so what slowed the machine down for both cancels.
    """
    ours, other = np.asarray(ours_ms, dtype=float), np.asarray(other_ms, dtype=float)
    if ours.shape != other.shape or ours.size == 0:
        raise ValueError(f"paired durations differ in number: {ours.shape} and {other.shape}")
    draws = np.random.default_rng(seed).integers(ours.size, size=(RESAMPLES, ours.size))
    ratios = np.median(other[draws], axis=1) / np.median(ours[draws], axis=1)
    low, high = np.percentile(ratios, (2.5, 97.5))
    ratio = float(np.median(other) / np.median(ours))
    return Speedup(int(ours.size), round(ratio, 2), round(float(low), 2), round(float(high), 2))


def rotated(items: Sequence[T], turn: int) -> list[T]:
    """The items in the order of round `turn`: each comes first, second, ... equally often.

    What follows an expensive neighbour finds a cold cache and a throttled clock; rotation spreads that evenly.
    """
    first = turn % len(items) if items else 0
    return [*items[first:], *items[:first]]
