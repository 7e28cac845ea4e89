"""With a running clock the world does not wait: a slow sampler's chunk arrives late, with its true stamp."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import pytest
from bench.runs import FREE, LIFT

from vls_steering.bench.clock import Clock, PausedClock, RunningClock, clock
from vls_steering.bench.episode import EpisodeRunner, EpisodeSpec, TickView
from vls_steering.bench.pace import TICK_S, Pace, StopAndGo, Streaming
from vls_steering.core.errors import ConfigurationError
from vls_steering.core.types import ActionChunk
from vls_steering.policies import load_policy
from vls_steering.policies.shipped import SHIPPED_POLICY
from vls_steering.steering.pilot import Pilot
from vls_steering.steering.presets import preset

SLOW_S = 0.25


@pytest.fixture(scope="module")
def runner() -> EpisodeRunner:
    return EpisodeRunner(load_policy(SHIPPED_POLICY), FREE)


@dataclass(frozen=True)
class FixedDelay:
    """A running clock on a machine whose every tick takes the same time."""

    seconds: float
    name: str = "fixed"

    def delay_s(self, computing_s: float) -> float:
        return self.seconds

    def pace(self, plan_every_s: float, stops: bool) -> Pace:
        return Streaming()


def stamps(runner: EpisodeRunner, given: Clock, limit_s: float = 1.0) -> tuple[list[float], list[float]]:
    """Stamps of the observations, and of the chunks that were planned from them."""
    views: list[TickView] = []
    spec = EpisodeSpec(FREE, None, LIFT, preset("base"), seed=0, limit_s=limit_s, privileged=True, clock=given)
    runner.run(spec, views.append)
    return [view.observation.stamp_s for view in views], [view.result.chunk.stamp_s for view in views]


def test_a_paused_world_is_seen_at_every_tick(runner: EpisodeRunner) -> None:
    seen, planned = stamps(runner, PausedClock())
    np.testing.assert_allclose(seen, TICK_S * np.arange(10), atol=1e-6)
    np.testing.assert_array_equal(planned, seen)


def test_a_fast_sampler_keeps_the_rate(runner: EpisodeRunner) -> None:
    seen, _ = stamps(runner, FixedDelay(0.04))
    np.testing.assert_allclose(seen, TICK_S * np.arange(10), atol=1e-6)


def test_a_slow_sampler_sees_less_often_and_its_chunks_keep_their_stamps(runner: EpisodeRunner) -> None:
    seen, planned = stamps(runner, FixedDelay(SLOW_S))
    np.testing.assert_allclose(np.diff(seen), SLOW_S, atol=1e-6)
    np.testing.assert_array_equal(planned, seen)


def test_a_hopelessly_slow_sampler_moves_nothing(runner: EpisodeRunner) -> None:
    spec = EpisodeSpec(FREE, None, LIFT, preset("base"), 0, limit_s=3.0, privileged=True, clock=FixedDelay(1.0))
    result = runner.run(spec)
    assert result.interventions == {"STALE_CHUNK": result.rejected}
    assert result.passed == result.scaled == 0
    assert result.delay_ms


def test_the_running_clock_takes_the_measured_time(runner: EpisodeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    think = Pilot.tick

    def slowly(self: Pilot, *args, **named):
        end_s = time.thread_time() + 0.12
        while time.thread_time() < end_s:
            pass
        return think(self, *args, **named)

    monkeypatch.setattr(Pilot, "tick", slowly)
    seen, _ = stamps(runner, RunningClock())
    assert (np.diff(seen) >= 0.12 - 1e-6).all()
    seen, _ = stamps(runner, RunningClock(time_scale=2.0))
    assert (np.diff(seen) >= 0.24 - 1e-6).all()


def test_a_scaled_clock_says_so() -> None:
    assert clock("running", 1.0).name == "running"
    assert "0.5" in clock("running", 0.5).name
    with pytest.raises(ConfigurationError, match="paused, running"):
        clock("stopped", 1.0)


def test_a_method_published_for_a_slower_loop_executes_more_of_each_chunk(runner: EpisodeRunner) -> None:
    views: list[TickView] = []
    pace = PausedClock().pace(0.4, stops=True)
    spec = EpisodeSpec(FREE, None, LIFT, preset("base"), seed=0, limit_s=1.2, privileged=True, pace=pace)
    runner.run(spec, views.append)
    np.testing.assert_allclose([view.observation.stamp_s for view in views], [0.0, 0.4, 0.8], atol=1e-6)


def test_a_slow_method_that_stops_to_think_moves_and_every_chunk_begins_where_the_arm_stands(
    runner: EpisodeRunner,
) -> None:
    views: list[TickView] = []
    pace, thinks = RunningClock().pace(0.8, stops=True), FixedDelay(0.77)
    assert isinstance(pace, StopAndGo)
    cold = preset("ours_cold")
    spec = EpisodeSpec(FREE, None, LIFT, cold, 0, limit_s=6.0, privileged=True, clock=thinks, pace=pace)
    result = runner.run(spec, views.append)
    assert result.rejected == 0
    assert result.passed + result.scaled == len(views)
    for view in views:
        assert np.abs(view.observation.robot.joint_velocities).max() < 0.1
        assert view.result.chunk.times_s[0] > view.observation.stamp_s + 0.77


def test_only_a_method_that_does_not_reckon_with_its_latency_stops_and_only_where_the_world_does_not() -> None:
    assert RunningClock().pace(0.1, stops=False) == PausedClock().pace(0.1, stops=True) == Streaming(0.1)


def test_stop_and_go_hands_out_the_steps_that_it_executes() -> None:
    times = 3.0 + 0.1 * np.arange(1, 17)
    chunk = ActionChunk(2.5, times, np.zeros((16, 3)), np.tile([1.0, 0.0, 0.0, 0.0], (16, 1)), np.zeros(16))
    pace = StopAndGo(0.8)
    np.testing.assert_allclose(pace.executed(chunk).times_s, times[:8])
    assert pace.next_look_s(10.0, 0.5) > 11.3
