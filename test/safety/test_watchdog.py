"""Heartbeats."""

from __future__ import annotations

import numpy as np
import pytest

from vls_steering.safety import FloodGuard, Watchdog


def test_a_stream_that_never_speaks_trips() -> None:
    dog = Watchdog({"camera": 0.5})
    dog.start(10.0)
    assert dog.expired(10.4) is None
    assert dog.expired(10.6) == "camera"


def test_a_heartbeat_resets_its_own_stream_only() -> None:
    dog = Watchdog({"camera": 0.5, "policy": 1.0})
    dog.start(0.0)
    dog.beat("camera", 0.9)
    assert dog.expired(1.1) == "policy"
    assert dog.silence_s("camera", 1.1) == pytest.approx(0.2)


def test_the_most_overdue_stream_is_named() -> None:
    dog = Watchdog({"camera": 0.1, "perception": 1.0})
    dog.start(0.0)
    assert dog.expired(2.0) == "camera"


def test_a_heartbeat_from_the_past_does_not_count_back() -> None:
    dog = Watchdog({"camera": 0.5})
    dog.start(10.0)
    dog.beat("camera", 9.0)
    assert dog.silence_s("camera", 10.0) == 0.0


def test_an_unknown_stream_is_a_wiring_mistake() -> None:
    with pytest.raises(KeyError, match="lidar"):
        Watchdog({"camera": 0.5}).beat("lidar", 0.0)


def test_a_complaint_lasts_until_the_stream_is_in_order_again() -> None:
    dog = Watchdog({"camera": 0.5})
    dog.start(0.0)
    dog.beat("camera", 1.0, "black")
    assert dog.complaint("camera") == "black"
    dog.beat("camera", 1.1)
    assert dog.complaint("camera") == ""


def test_a_new_start_forgives_silence_but_not_a_complaint() -> None:
    dog = Watchdog({"camera": 0.5, "perception": 0.5})
    dog.start(0.0)
    dog.beat("camera", 1.0, "black")
    dog.start(9.0)
    assert dog.expired(9.1) == "camera"
    assert dog.silence_s("perception", 9.1) == pytest.approx(0.1)


@pytest.mark.parametrize(("rate_hz", "floods"), [(20.0, False), (150.0, False), (1000.0, True)])
def test_a_flood_is_told_from_an_ordinary_policy(rate_hz: float, floods: bool) -> None:
    guard = FloodGuard(most_hz=200.0)
    assert any(guard.counts(100.0 + arrival / rate_hz) for arrival in range(1000)) == floods


def test_a_clock_that_was_set_back_starts_the_count_again() -> None:
    guard = FloodGuard(most_hz=200.0)
    assert not any(guard.counts(now_s) for now_s in (*np.linspace(10.0, 10.2, 40), *np.linspace(5.0, 5.2, 40)))
