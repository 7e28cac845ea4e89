"""Intervals and paired tests, by statsmodels."""

from __future__ import annotations

from dataclasses import dataclass

from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint


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


def paired_p_value(first: list[bool], second: list[bool]) -> float:
    """Exact McNemar test that two methods on the same episodes succeed equally often."""
    if len(first) != len(second):
        raise ValueError(f"paired outcomes differ in length: {len(first)} and {len(second)}")
    table = [[0, 0], [0, 0]]
    for a, b in zip(first, second, strict=True):
        table[int(a)][int(b)] += 1
    return float(mcnemar(table, exact=True).pvalue)
