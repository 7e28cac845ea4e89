"""Ten thousand short hostile streams: no set-point breaks a limit, no rejection lacks its reason.

A million of them, and streams at 1 kHz: `tools/nightly.sh`.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from safety.hostile import KINDS, Stream, examine

from vls_steering.safety import FR3_LIMITS, violations

QUICK = settings(
    deadline=None,
    # A seed does not shrink to anything simpler than itself.
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
)


@pytest.mark.slow
@given(seed=st.integers(0, 2**48))
@settings(QUICK, max_examples=10_000)
def test_no_hostile_stream_breaks_a_limit(seed: int) -> None:
    stream = Stream(seed, period_s=0.01)
    stream.run(chunks=2)
    assert stream.violations() == (), stream.kinds


@given(seed=st.integers(0, 2**48))
@settings(QUICK, max_examples=30)
def test_nor_does_one_at_a_kilohertz(seed: int) -> None:
    stream = Stream(seed, period_s=0.001)
    stream.run(chunks=2)
    assert stream.violations() == (), stream.kinds


@pytest.mark.parametrize(
    ("first", "count", "period_s"), [(0, 25, 0.01), (0, 4, 0.001), (248, 1, 0.001), (297, 1, 0.001)]
)
def test_nor_does_one_on_the_real_arm_with_its_turning_hand_and_its_own_volume(
    first: int, count: int, period_s: float
) -> None:
    samples, found = examine(first, count, period_s, real=True)
    assert found == []
    assert samples > 40 * count


def test_every_kind_is_met_and_the_streams_do_move_the_arm() -> None:
    met, moved = set[str](), 0
    for seed in range(200):
        stream = Stream(seed, period_s=0.01)
        stream.run(chunks=2)
        met |= set(stream.kinds)
        moved += bool(len(stream.cell.sent) and abs(stream.cell.sent[-1] - stream.cell.sent[0]).max() > 1e-3)
    assert met == set(KINDS)
    assert moved > 20


def test_the_oracle_would_see_a_set_point_that_was_not_governed() -> None:
    stream = Stream(0, period_s=0.01)
    stream.run(chunks=1)
    assert violations([*stream.cell.sent, stream.cell.sent[-1] + 0.01], 0.01, FR3_LIMITS)
