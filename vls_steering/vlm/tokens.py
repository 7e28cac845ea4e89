"""Words of an instruction with their places, and a cursor that matches phrases and measures."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from vls_steering.rewards.units import LENGTH, TIME, UNITS, Dimension
from vls_steering.vlm.lexicon import Phrases

_WORD = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+(?:['’][^\W\d_]+)*|[^\w\s]")
_LONGEST_PHRASE = 7


def _units(dimension: Dimension, spelled: Mapping[float, str]) -> Mapping[str, float]:
    words = {unit: factor for unit, (factor, found) in UNITS.items() if found == dimension}
    words |= {word: factor for factor, group in spelled.items() for word in group.split()}
    return MappingProxyType(words)


_LENGTHS = _units(
    LENGTH,
    {
        0.01: "centimetre centimetres centimeter centimeters cms",
        0.001: "millimetre millimetres millimeter millimeters",
        1.0: "metre metres meter meters",
    },
)
_TIMES = _units(TIME, {1.0: "second seconds sec secs", 60.0: "minute minutes min mins"})
_TO_TEN = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS = MappingProxyType(
    {word: float(i) for i, word in enumerate(_TO_TEN, start=1)}
    | {"twelve": 12.0, "fifteen": 15.0, "twenty": 20.0, "thirty": 30.0, "forty": 40.0, "sixty": 60.0, "half": 0.5}
)


@dataclass(frozen=True)
class Token:
    word: str
    start: int
    end: int


class Cursor:
    """Reads the tokens of one instruction from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._tokens = [Token(m.group().lower().replace("’", "'"), m.start(), m.end()) for m in _WORD.finditer(text)]
        self.at = 0

    @property
    def finished(self) -> bool:
        return self.at >= len(self._tokens)

    @property
    def word(self) -> str:
        """The next word; empty at the end."""
        return self._word(0)

    def _word(self, ahead: int) -> str:
        at = self.at + ahead
        return self._tokens[at].word if at < len(self._tokens) else ""

    def advance(self) -> str:
        word = self.word
        self.at += 1
        return word

    def peek(self, phrases: Phrases) -> tuple[str, int] | None:
        """(meaning, number of words) of the longest phrase that starts here."""
        ahead = [token.word for token in self._tokens[self.at : self.at + _LONGEST_PHRASE]]
        for length in range(len(ahead), 0, -1):
            meaning = phrases.get(tuple(ahead[:length]))
            if meaning is not None:
                return meaning, length
        return None

    def take(self, phrases: Phrases) -> str | None:
        """Step over the longest phrase that starts here and give its meaning."""
        found = self.peek(phrases)
        if found is None:
            return None
        self.at += found[1]
        return found[0]

    def skip(self, *words: str) -> None:
        """Step over any of these words."""
        while self.word in words:
            self.advance()

    def length_m(self) -> float | None:
        """Step over "5 cm" or "five centimetres"; None when no length starts here."""
        return self._amount(_LENGTHS)

    def duration_s(self) -> float | None:
        """Step over "20 s" or "one minute"; None when no time starts here."""
        return self._amount(_TIMES)

    def _amount(self, units: Mapping[str, float]) -> float | None:
        number, unit = self._word(0), self._word(1)
        value = float(number) if number[:1].isdigit() else _NUMBERS.get(number)
        if value is None or unit not in units:
            return None
        self.at += 2
        return round(value * units[unit], 6)

    def quote(self, start: int, end: int | None = None) -> str:
        """The instruction's own words between two positions of the cursor."""
        tokens = self._tokens[start : self.at if end is None else end]
        return self.text[tokens[0].start : tokens[-1].end] if tokens else ""
