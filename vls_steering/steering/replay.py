"""A journal read back: another pilot is told what the first one was told, and makes its chunks again."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from vls_steering.core.clocks import Clock
from vls_steering.core.config import parse_settings
from vls_steering.core.errors import ConfigurationError
from vls_steering.core.types import ActionChunk
from vls_steering.rewards import CompiledProgram, compile_program, parse_program
from vls_steering.steering.journal import FORMAT, Origin, chunk_of, observation_of
from vls_steering.steering.pilot import Pilot

MakePilot = Callable[[Origin, Clock], Pilot]


class PlayedClock:
    """Says again what a TapedClock said; stands still where nothing was noted."""

    def __init__(self) -> None:
        self._left_s: list[float] = []
        self._said_s = 0.0

    def load(self, readings_s: Sequence[float]) -> None:
        self._left_s = list(reversed(readings_s))

    def now_s(self) -> float:
        self._said_s = self._left_s.pop() if self._left_s else self._said_s
        return self._said_s

    def sleep_until(self, stamp_s: float) -> None:
        """Time passes by the tape alone."""


class Replay:
    """Plays the lines of a journal in their order.

    A line that is missing changes what comes after it: ticks are skipped from there to the next reset, and before the
    first one.
    """

    def __init__(self, make_pilot: MakePilot) -> None:
        """`make_pilot` builds what the origin names, with the clock given; it raises VlsError when it cannot."""
        self._make_pilot = make_pilot
        self._clock = PlayedClock()
        self._made: tuple[Origin, Pilot] | None = None
        self._pilot: Pilot | None = None
        self._next = -1
        self.skipped = 0  # ticks
        self.origin: Origin | None = None  # of the ticks played last

    def play(self, line: str) -> ActionChunk | None:
        """The chunk of a tick, with the sequence that it had outside; None for every other line and a skipped tick.

        Raises ConfigurationError for what is no line of a journal that this version reads.
        """
        call, record = _parsed(line)
        if call == "reset":
            self._reset(record)
        elif record["number"] != self._next:
            self._pilot = None
        self._next = record["number"] + 1
        return self._apply(call, record)

    def _apply(self, call: str, record: dict[str, Any]) -> ActionChunk | None:
        if self._pilot is None:
            self.skipped += call == "tick"
            return None
        if call == "tick":
            self._clock.load(record["clock_s"])
            result = self._pilot.tick(observation_of(record["observation"]), record["delay_s"])
            return replace(result.chunk, sequence=record["sequence"])
        if call == "set_program":
            self._pilot.set_program(_program(record["program"]))
        elif call == "commit":
            self._pilot.commit(chunk_of(record["chunk"]))
        elif call != "reset":
            raise ConfigurationError(f"the journal has a call that this version does not know: {call!r}")
        return None

    def _reset(self, record: dict[str, Any]) -> None:
        if record["format"] != FORMAT:
            cure = f"This version reads format {FORMAT}: replay with the version that recorded it"
            raise ConfigurationError(f"the journal has format {record['format']}", cure)
        origin = parse_settings(Origin, record["origin"], "the journal's origin")
        if self._made is None or self._made[0] != origin:
            self._made = origin, self._make_pilot(origin, self._clock)
        self.origin, self._pilot = self._made
        self._pilot.set_program(_program(record["program"]))
        self._pilot.reset()


def _parsed(line: str) -> tuple[str, dict[str, Any]]:
    """Name of the call and the whole record."""
    try:
        record = json.loads(line)
        return str(record["call"]), {**record, "number": int(record["number"])}
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"this is no line of a journal: {line[:80]!r}") from error


def _program(document: str) -> CompiledProgram | None:
    return compile_program(parse_program(document)) if document else None
