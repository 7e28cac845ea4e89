"""A stream is judged by what arrived, against what was promised."""

from vls_steering.nodes.streams import Level, StreamMonitor


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


def test_a_stream_without_a_rate_never_goes_stale() -> None:
    monitor = StreamMonitor("reward_program")
    assert monitor.report(1e9).level is Level.OK
