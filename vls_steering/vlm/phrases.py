"""What every part of the offline grammar reads with: one instruction, its scene, and phrases that name objects."""

from __future__ import annotations

from dataclasses import dataclass, field

from vls_steering.core.errors import Refusal
from vls_steering.core.types import Keypoint, Keypoints
from vls_steering.vlm import lexicon
from vls_steering.vlm.objects import ANYTHING, ARTICLES, COLOURS, PRONOUNS, SHAPES, Description, candidates
from vls_steering.vlm.tokens import Cursor

_STOPS = (
    lexicon.LINKS, lexicon.RELATIONS, lexicon.TOWARDS, lexicon.AVOIDS, lexicon.KEEPS, lexicon.AWAY, lexicon.POLITENESS,
    lexicon.SLOWLY, lexicon.WITHIN, lexicon.NO_TILT, lexicon.CEILING, lexicon.BELOW, lexicon.OR, lexicon.OPENED,
)  # fmt: skip
_HANDS = frozenset({"hand", "gripper", "arm", "fingers", "robot"})


@dataclass
class Reading:
    """The state of reading one instruction."""

    instruction: str
    keypoints: Keypoints
    cursor: Cursor = field(init=False)
    last: str = ""  # the object that the last action was about: "it"

    def __post_init__(self) -> None:
        self.cursor = Cursor(self.instruction)
        names = (word for name in self.keypoints.names for word in name.lower().split())
        self._scene_words = frozenset(names)
        self._nouns = set(SHAPES) | ANYTHING | (self._scene_words - set(COLOURS))

    @property
    def starts_object(self) -> bool:
        """The next word can only belong to the name of an object."""
        word = self.cursor.word
        return word in ARTICLES | self._nouns | set(COLOURS) | {"it"} or word == "both"

    def object(self, start: int, *, pronouns: bool = True) -> Keypoint:
        """Read a phrase that names an object and find the one it means; `start` is where its clause began."""
        cursor, first = self.cursor, self.cursor.at
        if cursor.word in PRONOUNS and self.last and pronouns:
            cursor.advance()
            return self._find(self.last)
        cursor.skip(*ARTICLES)
        words = self._object_words()
        if words == ["it"]:
            problem = f"{cursor.quote(start)!r}: no object has been named that 'it' could mean"
            raise Refusal(problem, examples())
        if not words:
            raise self.not_understood(start, "which object?")
        phrase = cursor.quote(first)
        found = candidates(Description(tuple(words)), self.keypoints.points)
        if not found:
            seen = ", ".join(self.keypoints.names) or "nothing"
            raise Refusal(f"there is no {' '.join(words)!r} in the scene", f"Seen: {seen}")
        if len(found) > 1:
            raise Refusal(f"{phrase!r} could be {' or '.join(map(repr, found))}", "Say which one")
        return self._find(found[0])

    def hand(self) -> bool:
        """Step over "the hand", "your gripper", "yourself"; False when that is not what comes."""
        at = self.cursor.at
        self.cursor.skip("the", "your")
        if self.cursor.word in _HANDS:
            self.cursor.advance()
            return True
        self.cursor.at = at
        return False

    def not_understood(self, start: int, hint: str = "") -> Refusal:
        """Quote the clause from `start` up to the next link."""
        cursor = self.cursor
        while not cursor.finished and (cursor.at <= start or cursor.peek(lexicon.LINKS) is None):
            cursor.advance()
        words = cursor.quote(start) or self.instruction
        return Refusal(f"I do not understand {words!r}" + (f" ({hint})" if hint else ""), examples())

    def _object_words(self) -> list[str]:
        """Words up to the next phrase of the grammar; what follows the noun is not part of the object."""
        cursor, words = self.cursor, list[str]()
        while not cursor.finished:
            if words and cursor.word in ("that", "which") and self._relative_colour(words):
                continue
            if any(cursor.peek(table) for table in _STOPS):
                break
            if words and words[-1] in self._nouns and cursor.word not in self._nouns:
                break
            if not cursor.word.isalpha() or cursor.word in ("up", "down", "by", "upright", "after"):
                break
            words.append(cursor.advance())
        return words

    def _relative_colour(self, words: list[str]) -> bool:
        """Step over "that is red"."""
        at = self.cursor.at
        self.cursor.advance()
        if self.cursor.word in ("is", "are") and self.cursor.advance() and self.cursor.word in COLOURS:
            words.append(self.cursor.advance())
            return True
        self.cursor.at = at
        return False

    def _find(self, name: str) -> Keypoint:
        found = self.keypoints.find(name)
        assert found is not None, name
        return found


def examples() -> str:
    return "I understand, for example: " + "; ".join(map(repr, lexicon.EXAMPLES))
