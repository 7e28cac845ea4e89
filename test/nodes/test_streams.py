"""A stream is judged by what arrived, against what was promised."""

import pytest

from vls_steering.nodes.streams import ClockMonitor, Level, StreamMonitor


def fed(rate_hz: float, expected_hz: float, seconds: float = 2.0) -> tuple[StreamMonitor, float]:
    monitor = StreamMonitor("joint_states", expected_hz)
    count = int(seconds * rate_hz)
    for i in range(count):
        monitor.seen(i / rate_hz)
    return monitor, (count - 1) / rate_hz


def test_a_stream_at_its_rate_is_ok() -> None:
    monitor, now_s = fed(100.0, expected_hz=100.0)
    assert monitor.report(now_s).level is Level.OK
    assert abs(monitor.rate_hz() - 100.0) < 0.1


def test_a_slow_stream_is_warned_about() -> None:
    monitor, now_s = fed(50.0, expected_hz=100.0)
    report = monitor.report(now_s)
    assert report.level is Level.WARN
    assert "50.0 Hz, expected 100 Hz" in report.message


def test_a_silent_stream_is_stale() -> None:
    monitor, now_s = fed(100.0, expected_hz=100.0)
    assert monitor.report(now_s + 0.029).level is Level.OK
    assert monitor.report(now_s + 0.031).level is Level.STALE


def test_a_stream_that_never_spoke_is_stale_and_says_so() -> None:
    report = StreamMonitor("keypoints", 10.0).report(5.0)
    assert report.level is Level.STALE
    assert "nothing received yet" in report.message


def test_a_stream_that_nothing_was_promised_of_never_goes_stale() -> None:
    monitor = StreamMonitor("reward_program")
    assert monitor.report(1e9).level is Level.OK


def test_a_stream_that_may_begin_late_is_stale_only_once_it_has_begun_and_fallen_silent() -> None:
    monitor = StreamMonitor("action_chunk", silence_s=0.6)
    assert monitor.report(100.0).level is Level.OK
    monitor.seen(100.0)
    assert monitor.report(100.5).level is Level.OK
    report = monitor.report(100.7)
    assert (report.level, report.message) == (Level.STALE, "silent for 0.70 s")


@pytest.mark.parametrize("pace", [0.1, 1.0, 20.0])
def test_in_the_time_of_a_slowed_simulation_a_stream_at_its_rate_is_ok(pace: float) -> None:
    """What counts is the clock that the stream is promised in; the wall's does not occur."""
    monitor = StreamMonitor("keypoints", 10.0)
    simulated_s = 0.0
    for wall_s in (0.1 / pace * i for i in range(1, 30)):
        simulated_s = pace * wall_s
        monitor.seen(simulated_s)
    assert monitor.report(simulated_s).level is Level.OK
    assert monitor.rate_hz() == pytest.approx(10.0)


def test_what_came_before_the_clock_was_heard_does_not_count_into_the_rate() -> None:
    monitor = StreamMonitor("joint_states", 100.0)
    monitor.seen(0.0)
    for i in range(10):
        monitor.seen(1000.0 + 0.01 * i)
    assert monitor.report(1000.09).level is Level.OK
    assert monitor.count == 11


def test_a_clock_that_is_set_back_makes_a_stream_begin_anew() -> None:
    monitor, now_s = fed(100.0, expected_hz=100.0)
    report = monitor.report(now_s - 1.0)
    assert (report.level, report.message) == (Level.STALE, "silent since the clock changed")
    for i in range(3):
        monitor.seen(0.5 + 0.01 * i)
    assert monitor.report(0.52).level is Level.OK


def test_a_burst_at_one_instant_is_no_rate() -> None:
    monitor = StreamMonitor("joint_states", 100.0)
    for _ in range(5):
        monitor.seen(1.0)
    assert monitor.report(1.0).level is Level.OK


def test_a_simulated_clock_that_stands_still_is_stale_because_nothing_else_could_be() -> None:
    clock = ClockMonitor()
    assert clock.report(5.0, wall_s=100.0).level is Level.OK
    assert clock.report(5.0, wall_s=102.0).level is Level.OK
    assert clock.report(5.0, wall_s=103.5).level is Level.STALE
    running = clock.report(5.2, wall_s=104.5)
    assert (running.level, running.values["real_time_factor"]) == (Level.OK, "0.200")
