"""Words of an instruction with their places, and a cursor that matches phrases."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vls_steering.rewards.units import LENGTH, UNITS
from vls_steering.vlm.lexicon import Phrases

_WORD = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+(?:['’][^\W\d_]+)*|[^\w\s]")
_UNIT_WORDS = {
    **{unit: factor for unit, (factor, dimension) in UNITS.items() if dimension == LENGTH},
    **dict.fromkeys(("centimetre", "centimetres", "centimeter", "centimeters", "cms"), 0.01),
    **dict.fromkeys(("millimetre", "millimetres", "millimeter", "millimeters"), 0.001),
    **dict.fromkeys(("metre", "metres", "meter", "meters"), 1.0),
}


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
        return "" if self.finished else self._tokens[self.at].word

    def advance(self) -> str:
        word = self.word
        self.at += 1
        return word

    def peek(self, phrases: Phrases) -> tuple[str, int] | None:
        """(meaning, number of words) of the longest phrase that starts here."""
        ahead = [token.word for token in self._tokens[self.at : self.at + 6]]
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

    def length_m(self) -> float | None:
        """Step over "5 cm"; None when no length starts here."""
        number, unit = (t.word for t in (*self._tokens[self.at : self.at + 2], *[Token("", 0, 0)] * 2)[:2])
        if not number[:1].isdigit() or unit not in _UNIT_WORDS:
            return None
        self.at += 2
        return float(number) * _UNIT_WORDS[unit]

    def quote(self, start: int, end: int | None = None) -> str:
        """The instruction's own words between two positions of the cursor."""
        tokens = self._tokens[start : self.at if end is None else end]
        return self.text[tokens[0].start : tokens[-1].end] if tokens else ""
