"""Heartbeats."""

from __future__ import annotations

import pytest

from vls_steering.safety import Watchdog


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
