"""Which object of the scene does a phrase mean?  By words: colour, shape and their synonyms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

from vls_steering.core.types import Keypoint
from vls_steering.rewards.promises import PRESSED

# What stands at least this tall can be called a post.
POST_HEIGHT_M = 0.10
# word -> the word that stands for all of its kind; names of the scene are read through the same table.
SHAPES = MappingProxyType(
    {
        **dict.fromkeys(("cube", "block", "box", "brick", "cuboid"), "block"),
        **dict.fromkeys(("post", "obstacle", "pillar", "tower", "pole"), "post"),
        **dict.fromkeys(("cylinder", "can", "tube", "drum"), "cylinder"),
        **dict.fromkeys(("plate", "dish", "saucer"), "plate"),
        **dict.fromkeys(("ball", "sphere"), "ball"),
        **dict.fromkeys(("bin", "tray", "container", "crate"), "bin"),
        **dict.fromkeys(("bowl", "basin"), "bowl"),
        **dict.fromkeys(("button", "switch"), "button"),
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
        **dict.fromkeys(("cyan", "turquoise", "teal"), "cyan"),
    }
)
# Words that stand for any object.
ANYTHING = frozenset({"one", "object", "thing", "item", "piece", "toy"})
ARTICLES = frozenset({"the", "a", "an", "that", "this"})
PRONOUNS = frozenset({"it", "that", "this", "them"})
# What skills apply to, by the words of a name.
SLIDING = frozenset({"drawer"})
CONTAINERS = frozenset({"bin", "tray", "container", "crate", "bowl", "basin", "basket", "box", "cup", "mug", "pot"})
FLAT = frozenset({"plate", "dish", "saucer"})


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

    @property
    def kinds(self) -> frozenset[str]:
        """Every word, reduced to what it stands for."""
        return self.colours | self.shapes | self.others

    def __str__(self) -> str:
        return " ".join(self.words)


def describe(thing: Keypoint) -> Description:
    """What the name of an object says about it, and "post" when it is one."""
    words = tuple(thing.name.lower().split())
    return Description((*words, "post") if thing.size[2] > POST_HEIGHT_M else words)


def candidates(description: Description, things: Sequence[Keypoint]) -> tuple[str, ...]:
    """Names of the objects that fit the description, those that fit it to the letter alone when there are any.

    "the cube" means the cubes before other blocks; "the box" means the purple box before the cubes.
    """
    fitting = tuple(thing.name for thing in things if _fits(description, thing))
    said = set(description.words) - ANYTHING - ARTICLES
    literal = tuple(name for name in fitting if said <= set(name.lower().split()))
    return literal or fitting


def is_pressed(name: str) -> bool:
    return not PRESSED.isdisjoint(name.lower().split())


def slides(name: str) -> bool:
    return not SLIDING.isdisjoint(name.lower().split())


def is_flat(name: str) -> bool:
    """In it means on it."""
    return not FLAT.isdisjoint(name.lower().split())


def holds_things(container: Keypoint, thing: Keypoint) -> bool:
    """The container is one by name, no post, and wide enough for the thing."""
    named = not CONTAINERS.isdisjoint(container.name.lower().split())
    return named and container.size[2] <= POST_HEIGHT_M and bool((container.size[:2] > thing.size[:2] + 0.01).all())


def _fits(wanted: Description, thing: Keypoint) -> bool:
    name = describe(thing)
    return wanted.colours <= name.colours and wanted.shapes <= name.shapes and wanted.others <= name.others
