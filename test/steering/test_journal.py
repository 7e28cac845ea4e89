"""A journal holds all that a pilot was told: another pilot makes the same chunks from it, to the last bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from steering.worlds import SPACE, fan, observe, vary

from vls_steering.core.clocks import Clock
from vls_steering.core.errors import ConfigurationError
from vls_steering.core.types import ActionChunk, Observation
from vls_steering.rewards import CompiledProgram, compile_program, parse_program
from vls_steering.steering import Pilot
from vls_steering.steering.chunks import hold_chunk
from vls_steering.steering.journal import (
    JournaledPilot,
    Origin,
    TapedClock,
    chunk_json,
    chunk_of,
    observation_json,
    observation_of,
)
from vls_steering.steering.replay import Replay

POLICY = fan(1.0, 1.0, 1.0)
PROGRAM = """{
  "version": 1,
  "instruction": "go to the red cube",
  "stages": [{
    "name": "reach",
    "reward": ["minimize(dist(ee, kp('red cube')))"],
    "gripper": "open",
    "done": "dist(ee, kp('red cube')) <= 1 cm"
  }]
}"""


class Ticking:
    """Every look at it takes 3 ms, and the seventh of them 40."""

    def __init__(self) -> None:
        self._looks = 0

    def now_s(self) -> float:
        self._looks += 1
        return 0.003 * self._looks + 0.037 * (self._looks // 7)

    def sleep_until(self, stamp_s: float) -> None: ...


class Run:
    """A pilot with a journal, and what came of it."""

    def __init__(self, **changes: object) -> None:
        self.lines: list[str] = []
        self.sent: dict[int, ActionChunk] = {}
        settings = vary("ours", particles=4, **changes)
        clock = TapedClock(Ticking())
        origin = Origin(policy="fan", policy_sha256="0" * 64, steering=settings, seed=5)
        self.pilot = JournaledPilot(Pilot(POLICY, settings, 5, clock), clock, origin, self.lines.append)
        self.cut_short = 0

    def begin(self, program: CompiledProgram | None = None) -> None:
        self.pilot.reset()
        self.pilot.set_program(program)

    def tick(self, sequence: int, delay_s: float = 0.03) -> None:
        result = self.pilot.tick(scene(sequence), delay_s, sequence)
        self.cut_short = result.telemetry.cut_short
        self.sent[sequence] = replace(result.chunk, sequence=sequence)


def scene(tick: int) -> Observation:
    """A hand on its way, with numbers that no few digits can hold."""
    return observe(1e9 + tick / 9.7, tcp=(0.4 + tick / 301.0, np.sin(tick) / 97.0, 0.3))


def program() -> CompiledProgram:
    return compile_program(parse_program(PROGRAM))


def remake(origin: Origin, clock: Clock) -> Pilot:
    return Pilot(POLICY, origin.steering, origin.seed, clock)


def replayed(lines: list[str], player: Replay | None = None) -> dict[int, ActionChunk]:
    player = player or Replay(remake)
    return {chunk.sequence: chunk for line in lines if (chunk := player.play(line)) is not None}


def same(one: ActionChunk, other: ActionChunk) -> bool:
    return chunk_json(one) == chunk_json(other)


def a_run(**changes: object) -> Run:
    run = Run(**changes)
    run.begin(program())
    for sequence in range(3, 9):
        run.tick(sequence, delay_s=0.01 * sequence)
    return run


def test_every_chunk_is_made_again() -> None:
    run = a_run()
    made = replayed(run.lines)
    assert list(made) == [3, 4, 5, 6, 7, 8]
    assert all(same(made[sequence], chunk) for sequence, chunk in run.sent.items())
    assert len({json.dumps(chunk_json(chunk)) for chunk in made.values()}) == 6


@pytest.mark.parametrize(
    "change",
    [
        lambda tick: {**tick, "delay_s": tick["delay_s"] + 0.2},
        lambda tick: {**tick, "observation": observation_json(scene(40))},
    ],
)
def test_what_it_is_made_from_matters(change: Callable[[dict[str, object]], dict[str, object]]) -> None:
    run = a_run()
    made = replayed([*run.lines[:-1], json.dumps(change(json.loads(run.lines[-1])))])
    assert same(made[7], run.sent[7])
    assert not same(made[8], run.sent[8])


def test_a_commitment_is_part_of_it() -> None:
    """What the arm was told meanwhile decides when the next chunk begins."""
    run = a_run()
    run.pilot.commit(hold_chunk(scene(9), SPACE.horizon, True, SPACE.step_s, "", 9))
    run.tick(10, delay_s=0.05)
    assert same(replayed(run.lines)[10], run.sent[10])
    committed = json.loads(run.lines[-2])
    assert committed["call"] == "commit"
    unlike = chunk_of(committed["chunk"])
    assert unlike.sequence == 9


def test_a_tick_that_its_deadline_cut_short_is_cut_again() -> None:
    run = a_run(deadline_ms=20.0)
    assert run.cut_short > 0
    made = replayed(run.lines)
    assert all(same(made[sequence], chunk) for sequence, chunk in run.sent.items())


def test_a_reader_may_begin_at_any_reset() -> None:
    run = a_run()
    run.begin(None)
    run.tick(11)
    run.pilot.reset()  # the program, here none, stays
    run.tick(12)
    for first in (8, 11):
        made = replayed(run.lines[first:])
        assert 12 in made
        assert all(same(chunk, run.sent[sequence]) for sequence, chunk in made.items())


def test_a_reset_alone_keeps_the_program() -> None:
    run = a_run()
    begin = len(run.lines)
    run.pilot.reset()
    run.tick(11)
    assert run.sent[11].program_sha256 == program().sha256
    assert same(replayed(run.lines[begin:])[11], run.sent[11])


def test_ticks_before_the_first_reset_and_after_a_gap_are_skipped() -> None:
    run = a_run()
    run.begin(program())
    run.tick(20)
    player = Replay(remake)
    made = replayed([*run.lines[2:5], *run.lines[6:]], player)
    assert list(made) == [20]
    assert player.skipped == 5
    player = Replay(remake)
    assert list(replayed([*run.lines[:4], *run.lines[5:]], player)) == [3, 4, 20]
    assert player.skipped == 3


def test_observations_and_chunks_come_back_to_the_last_bit() -> None:
    run = a_run()
    for tick in range(5):
        document = observation_json(scene(tick))
        assert observation_json(observation_of(json.loads(json.dumps(document)))) == document
    again = chunk_of(json.loads(json.dumps(chunk_json(run.sent[4]))))
    np.testing.assert_array_equal(again.positions, run.sent[4].positions)
    np.testing.assert_array_equal(again.times_s, run.sent[4].times_s)
    assert again.source is run.sent[4].source


def test_another_format_is_refused() -> None:
    reset, *_ = a_run().lines
    with pytest.raises(ConfigurationError, match="format 2"):
        replayed([json.dumps({**json.loads(reset), "format": 2})])
    with pytest.raises(ConfigurationError, match="no line of a journal"):
        replayed(["hello"])
