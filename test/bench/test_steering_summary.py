"""What a report says of the sampler: nothing where nothing ran, and every reason that was given."""

from __future__ import annotations

import numpy as np
import pytest

from vls_steering.bench.recording import TickTrace
from vls_steering.bench.steering_summary import steering_summary


def tick(reason: str = "", **numbers: float) -> TickTrace:
    return TickTrace(
        stamp_s=0.0,
        candidates=np.zeros((0, 16, 3)),
        scores=np.zeros(0),
        chosen=-1,
        stage=0,
        stages=1,
        stage_name="grasp",
        numbers={name: float(value) for name, value in numbers.items()},
        reason=reason,
    )


def test_it_adds_up_what_the_ticks_did() -> None:
    found = steering_summary(
        [
            tick(nfe=6, network_rows=48, warm=0, shift_m=0.03, level_mean=1.0, resamples=0, ess=8, deadline_misses=0),
            tick(nfe=3, network_rows=24, warm=1, shift_m=0.01, level_mean=0.5, resamples=1, ess=3, jumped=2),
            tick("the tick took 110 ms", nfe=3, network_rows=24, warm=1, shift_m=0.01, resamples=1, ess=5),
            tick("no candidate keeps clear", nfe=0, deadline_misses=1, cut_short=2),
        ]
    )
    assert (found["ticks"], found["sampled"], found["warm"]) == (4, 3, 2)
    assert (found["network_evaluations_p50"], found["network_rows_p50"]) == (3.0, 24.0)
    assert found["start_level_mean"] == pytest.approx(0.75)
    assert found["shift_m"] == {"p50": 0.01, "max": 0.03}
    assert (found["resamples"], found["ess_least"], found["restarted_by_jumps"]) == (2, 3.0, 2)
    assert (found["deadline_misses"], found["cut_short"]) == (1, 2)
    assert found["reasons"] == {"the tick took 110 ms": 1, "no candidate keeps clear": 1}


def test_a_run_in_which_nothing_was_sampled_has_no_figures_and_no_zeros_in_their_place() -> None:
    found = steering_summary([])
    assert (found["ticks"], found["sampled"], found["reasons"]) == (0, 0, {})
    assert found["shift_m"] == {"p50": None, "max": None}
    assert found["ess_least"] is None
