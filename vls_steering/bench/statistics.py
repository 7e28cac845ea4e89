"""Intervals and paired tests, by statsmodels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

NORMAL_975 = 1.959964  # quantile of the standard normal distribution


@dataclass(frozen=True)
class Rate:
    """Successes among n trials with the 95 % Wilson interval."""

    n: int
    successes: int
    wilson_low: float
    wilson_high: float


def success_rate(outcomes: list[bool]) -> Rate:
    """The rate of a list of outcomes; an empty list has the whole interval."""
    if not outcomes:
        return Rate(0, 0, 0.0, 1.0)
    successes = sum(outcomes)
    low, high = proportion_confint(successes, len(outcomes), alpha=0.05, method="wilson")
    return Rate(len(outcomes), successes, float(low), float(high))


def quantile_interval(values: Sequence[float], share: float) -> tuple[float, float]:
    """95 % interval of a quantile from order statistics; whatever the distribution, independent values assumed."""
    ordered = np.sort(values)
    low, high = binom.ppf([0.025, 0.975], len(ordered), share)
    last = len(ordered) - 1
    return float(ordered[min(max(int(low) - 1, 0), last)]), float(ordered[min(int(high), last)])


def paired_p_value(first: list[bool], second: list[bool]) -> float:
    """Exact McNemar test that two methods on the same episodes succeed equally often."""
    if len(first) != len(second):
        raise ValueError(f"paired outcomes differ in length: {len(first)} and {len(second)}")
    table = [[0, 0], [0, 0]]
    for a, b in zip(first, second, strict=True):
        table[int(a)][int(b)] += 1
    return float(mcnemar(table, exact=True).pvalue)


@dataclass(frozen=True)
class PairedDifference:
    """The first method's rate less the second's on the same episodes, with a 95 % interval and a test."""

    n: int
    only_first: int  # episodes that only the first method solved
    only_second: int
    difference: float
    low: float
    high: float
    p_value: float  # McNemar, exact, two-sided


def paired_difference(first: list[bool], second: list[bool]) -> PairedDifference:
    """Compare two methods episode by episode.

    The interval is Bonett and Price's adjusted Wald interval for paired proportions (Psychological Methods 17, 2012).
    """
    p_value = paired_p_value(first, second)
    n = len(first)
    only_first = sum(a and not b for a, b in zip(first, second, strict=True))
    only_second = sum(b and not a for a, b in zip(first, second, strict=True))
    one, other = (only_first + 1) / (n + 2), (only_second + 1) / (n + 2)
    half_width = NORMAL_975 * ((one + other - (one - other) ** 2) / (n + 2)) ** 0.5
    middle = one - other
    return PairedDifference(
        n=n,
        only_first=only_first,
        only_second=only_second,
        difference=(only_first - only_second) / n if n else 0.0,
        low=max(middle - half_width, -1.0),
        high=min(middle + half_width, 1.0),
        p_value=p_value,
    )
