"""`vls bench control`: how long it looks at what, and what it makes of what was heard."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy")

from vls_steering.core.errors import VlsError
from vls_steering.msg import SafetyStatus
from vls_steering.nodes.control_bench import Listener, Trace, histograms_of, loads_of, rows_of
from vls_steering.nodes.conversions import header
from vls_steering.safety import ReasonCode

pytestmark = pytest.mark.ros

TRACKING, FAULT = SafetyStatus.STATE_TRACKING, SafetyStatus.STATE_FAULT
VIOLATION = "communication_constraints_violation"


def status(at_s: float, chunk_age_s: float = 0.0, state: int = TRACKING, **fields: object) -> SafetyStatus:
    return SafetyStatus(header=header(at_s), state=state, chunk_age_s=chunk_age_s, period_ms=10.0, **fields)


def heard(*statuses: SafetyStatus) -> Trace:
    listener = Listener()
    for one in statuses:
        listener.status(one)
    times = np.arange(0.0, 2.0, 0.01)
    listener.trace.sent += np.c_[times, np.tile(np.sin(times)[:, None], 7)].tolist()
    listener.trace.measured += np.c_[times, np.tile(np.sin(times - 0.04)[:, None], 7)].tolist()
    return listener.trace


def values(trace: Trace) -> dict[str, object]:
    return {row["metric"]: row["value"] for row in rows_of(trace, "busy")}


def test_a_long_run_is_long_beside_the_load_alone() -> None:
    assert [(load.name, load.seconds) for load in loads_of(600.0)] == [("alone", 60.0), ("busy", 600.0)]
    assert [(load.name, load.seconds) for load in loads_of(5.0)] == [("alone", 5.0), ("busy", 5.0)]
    alone, busy = loads_of(600.0)
    assert alone.processes == 0
    assert busy.processes >= 1


def test_a_set_point_is_as_old_as_the_chunk_that_was_there_when_it_was_sent() -> None:
    """The status of 1.02 tells of a chunk that came after the set-point of 1.02 had gone out."""
    trace = heard(status(1.00, 0.030), status(1.01, 0.040), status(1.02, 0.005), status(1.03, 0.015))
    np.testing.assert_allclose(trace.chunk_ages_ms, [40.0, 50.0, 15.0])


def test_an_age_is_not_told_from_a_status_that_was_missed() -> None:
    trace = heard(status(1.00, 0.030), status(1.01, 0.040), status(2.00, 0.005), status(2.01, 0.015))
    np.testing.assert_allclose(trace.chunk_ages_ms, [40.0, 15.0])


def test_stops_are_told_with_their_reason_and_counted_once() -> None:
    fault = {"state": FAULT, "reason_code": int(ReasonCode.ROBOT_FAULT), "reason": VIOLATION}
    stopped = values(heard(status(1.0), status(1.01, **fault), status(1.02, **fault)))
    assert (stopped["stops"], stopped["aborts"], stopped[f"{VIOLATION}s"]) == (1, 1, 1)
    assert stopped["stop_reason"] == f"ROBOT_FAULT: {VIOLATION}"
    late = {"state": SafetyStatus.STATE_STOPPING, "reason_code": int(ReasonCode.CHUNK_TIMEOUT), "reason": "no chunk"}
    soft = values(heard(status(1.0), status(1.01, **late)))
    assert (soft["stops"], soft["aborts"]) == (1, 0)


def test_counts_are_those_since_the_load_began() -> None:
    first = status(1.0, chunks_passed=100, chunks_rejected=2, deadline_misses=7)
    why = int(ReasonCode.START_GAP)
    last = status(1.01, chunks_passed=130, chunks_rejected=3, deadline_misses=9, last_reason_code=why)
    found = values(heard(first, last))
    assert (found["chunks_passed"], found["chunks_rejected"], found["periods_over_15_ms"]) == (30, 1, 2)
    assert found["refused_for_START_GAP"] == 1
    assert found["tracking_lag"] == pytest.approx(40.0, abs=2.0)


def test_the_histograms_are_of_the_values_that_the_quantiles_are_of() -> None:
    trace = heard(*(status(1.0 + 0.01 * k, 0.02) for k in range(5)))
    found = {one["metric"]: sum(count for _, count in one["bins"]) for one in histograms_of(trace, "busy")}
    assert found == {"set_point_period": 5, "chunk_to_set_point_age": 4}
    assert values(trace)["set_point_period_n"] == 5


def test_an_arm_that_is_not_heard_is_an_error() -> None:
    with pytest.raises(VlsError, match="no set-points"):
        rows_of(Trace(), "alone")
