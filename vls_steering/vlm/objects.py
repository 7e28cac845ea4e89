"""Which object of the scene does a phrase mean?  By words: colour, shape and their synonyms."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType

# word -> the word that stands for all of its kind; names of the scene are read through the same table.
SHAPES = MappingProxyType(
    {
        **dict.fromkeys(("cube", "block", "box", "brick", "cuboid", "post", "obstacle", "pillar"), "block"),
        **dict.fromkeys(("cylinder", "can", "tube", "drum"), "cylinder"),
        **dict.fromkeys(("plate", "dish", "saucer"), "plate"),
        **dict.fromkeys(("ball", "sphere"), "ball"),
        **dict.fromkeys(("bin", "tray", "container"), "bin"),
        **dict.fromkeys(("cup", "mug"), "cup"),
    }
)
COLOURS = MappingProxyType(
    {
        **dict.fromkeys(("red", "crimson", "scarlet"), "red"),
        **dict.fromkeys(("blue", "navy"), "blue"),
        **dict.fromkeys(("green",), "green"),
        **dict.fromkeys(("yellow", "golden"), "yellow"),
        **dict.fromkeys(("white",), "white"),
        **dict.fromkeys(("purple", "violet", "magenta"), "purple"),
        **dict.fromkeys(("orange",), "orange"),
        **dict.fromkeys(("black",), "black"),
        **dict.fromkeys(("grey", "gray", "silver"), "grey"),
        **dict.fromkeys(("brown",), "brown"),
        **dict.fromkeys(("pink",), "pink"),
    }
)
# Words that stand for any object.
ANYTHING = frozenset({"one", "object", "thing", "item", "piece", "toy"})
ARTICLES = frozenset({"the", "a", "an", "that", "this"})
PRONOUNS = frozenset({"it", "that", "this", "them"})


@dataclass(frozen=True)
class Description:
    """What a phrase says about an object."""

    words: tuple[str, ...]

    @property
    def colours(self) -> frozenset[str]:
        return frozenset(COLOURS[word] for word in self.words if word in COLOURS)

    @property
    def shapes(self) -> frozenset[str]:
        return frozenset(SHAPES[word] for word in self.words if word in SHAPES)

    @property
    def others(self) -> frozenset[str]:
        """Words that are neither colour, shape nor "thing"."""
        known = set(COLOURS) | set(SHAPES) | ANYTHING | ARTICLES
        return frozenset(self.words) - known

    def __str__(self) -> str:
        return " ".join(self.words)


def is_object_word(word: str, scene_words: frozenset[str]) -> bool:
    """May `word` be part of a phrase that names an object?"""
    return word in COLOURS or word in SHAPES or word in ANYTHING or word in scene_words


def candidates(description: Description, names: tuple[str, ...]) -> tuple[str, ...]:
    """Objects that fit the description, the literal ones alone when there are any.

    "the cube" means the cubes before other blocks; "the box" means the purple box before the cubes.
    """
    fitting = tuple(name for name in names if _fits(description, Description(tuple(name.lower().split()))))
    literal = tuple(
        name for name in fitting if set(description.words) - ANYTHING - ARTICLES <= set(name.lower().split())
    )
    return literal or fitting


def _fits(wanted: Description, thing: Description) -> bool:
    return wanted.colours <= thing.colours and wanted.shapes <= thing.shapes and wanted.others <= thing.others
