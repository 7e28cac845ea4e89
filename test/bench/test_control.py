"""The arithmetic of `vls bench control`."""

from __future__ import annotations

import numpy as np
import pytest

from vls_steering.bench.control import histogram, lag_s, quantile_rows


def test_the_longest_of_a_thousand_periods_is_seen_in_the_tail_alone() -> None:
    rows = {row["metric"]: row["value"] for row in quantile_rows("period", "ms", "busy", [10.0] * 999 + [40.0])}
    assert (rows["period_p50"], rows["period_p99"], rows["period_max"], rows["period_n"]) == (10.0, 10.0, 40.0, 1000)
    assert 10.0 <= rows["period_p99.9"] < 40.0
    assert quantile_rows("period", "ms", "busy", []) == []


def test_a_histogram_holds_every_value_and_no_empty_bin() -> None:
    found = histogram("period", "ms", "alone", [9.9, 10.0, 10.2, 10.3, 510.0], 0.25)
    assert found["bins"] == [[9.75, 1], [10.0, 2], [10.25, 1], [510.0, 1]]
    assert histogram("period", "ms", "alone", [], 0.25)["bins"] == []


@pytest.mark.parametrize("delay_s", [0.0, 0.046, 0.12])
def test_the_lag_is_found_again(delay_s: float) -> None:
    times = np.arange(0.0, 4.0, 0.01)

    def path(at: np.ndarray) -> np.ndarray:
        return np.stack([np.sin(2.0 * at), np.cos(3.0 * at)], axis=1)

    sent, measured = np.c_[times, path(times)], np.c_[times, path(times - delay_s)]
    assert lag_s(sent, measured) == pytest.approx(delay_s, abs=0.002)
