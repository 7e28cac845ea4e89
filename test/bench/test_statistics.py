"""Intervals and paired tests against published values."""

from __future__ import annotations

import pytest

from vls_steering.bench.statistics import paired_p_value, success_rate


def test_the_wilson_interval_of_eight_in_ten() -> None:
    # Newcombe 1998, table I: 81/263 has the interval 0.2553 .. 0.3662.
    rate = success_rate([True] * 81 + [False] * 182)
    assert (rate.n, rate.successes) == (263, 81)
    assert rate.wilson_low == pytest.approx(0.2553, abs=5e-4)
    assert rate.wilson_high == pytest.approx(0.3662, abs=5e-4)


def test_no_episode_tells_nothing() -> None:
    assert (success_rate([]).wilson_low, success_rate([]).wilson_high) == (0.0, 1.0)


def test_the_paired_test_looks_at_disagreements_only() -> None:
    # Ten disagreements, all in favour of one method: two-sided exact p = 2 / 2^10.
    first, second = [True] * 10 + [True] * 50, [False] * 10 + [True] * 50
    assert paired_p_value(first, second) == pytest.approx(2 / 1024)


def test_unpaired_lists_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        paired_p_value([True], [True, False])
