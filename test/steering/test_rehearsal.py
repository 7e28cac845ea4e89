"""The rehearsal goes through everything a steered tick does, and leaves nothing behind."""

from __future__ import annotations

import numpy as np
import pytest

from vls_steering.policies import load_policy, make_example_observation
from vls_steering.policies.shipped import SHIPPED_POLICY
from vls_steering.steering import Pilot, TickResult, preset
from vls_steering.steering.rehearsal import rehearse


def test_a_rehearsed_pilot_is_as_new() -> None:
    policy, settings = load_policy(SHIPPED_POLICY), preset("ours")
    rehearsed, fresh = (Pilot(policy, settings, seed=3) for _ in range(2))
    assert rehearse(rehearsed) > 0.0
    one, two = (pilot.tick(make_example_observation()) for pilot in (rehearsed, fresh))
    np.testing.assert_array_equal(one.chunk.positions, two.chunk.positions)
    assert one.telemetry.tick == two.telemetry.tick
    assert one.telemetry.stages == 0


def test_it_is_a_steered_tick_with_an_admissible_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    results: list[TickResult] = []
    tick = Pilot.tick

    def recorded(self: Pilot, *args, **named) -> TickResult:
        results.append(tick(self, *args, **named))
        return results[-1]

    monkeypatch.setattr(Pilot, "tick", recorded)
    rehearse(Pilot(load_policy(SHIPPED_POLICY), preset("ours"), seed=0))
    assert all(result.telemetry.steered and result.telemetry.durations_ms["guide"] > 0.0 for result in results)
    assert [result.telemetry.warm for result in results] == [False, True, False]
