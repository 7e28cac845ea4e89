"""The phrases that the offline grammar knows, as data."""

from __future__ import annotations

from types import MappingProxyType

Phrases = MappingProxyType[tuple[str, ...], str]


def _table(rows: dict[str, tuple[str, ...]]) -> Phrases:
    return MappingProxyType({tuple(phrase.split()): meaning for meaning, group in rows.items() for phrase in group})


VERBS = _table(
    {
        "pick": (
            "pick up", "pick", "lift up", "lift", "grab", "grasp", "take", "raise", "get", "fetch", "hold", "hold up",
        ),
        "put": (
            "put down", "put", "place", "set down", "set", "move", "bring", "carry", "stack", "lay", "drop", "transfer",
        ),
        "push": ("push", "shove", "slide", "nudge"),
    }
)  # fmt: skip

# Up to the object, without a distance ...
AVOIDS = _table(
    {
        "avoid": (
            "stay clear of", "keep clear of", "steer clear of", "staying clear of", "keeping clear of", "clear of",
            "stay away from", "keep away from", "staying away from", "keeping away from", "away from", "avoid",
            "avoiding", "mind", "watch out for", "go around", "going around", "do not touch", "don't touch",
            "without touching", "not touching", "do not hit", "don't hit", "without hitting", "not hitting",
            "do not bump into", "don't bump into", "without bumping into",
        )
    }
)  # fmt: skip

# ... and around a distance: "keep | at least | 5 cm | away from".
KEEPS = _table({"keep": ("keep", "stay", "keeping", "staying", "leave", "remain")})
AT_LEAST = _table({"at least": ("at least", "a minimum of", "more than")})
AWAY = _table({"from": ("away from", "clear of", "from", "of space to", "distance from", "distance to", "off")})

ONTO = _table(
    {
        "on": (
            "on top of",
            "onto",
            "on to",
            "on",
            "over to",
            "to",
            "into",
            "in",
            "inside",
            "upon",
            "at",
            "over",
            "back on",
        )
    }
)
TOWARDS = _table(
    {
        "forward": ("forward", "forwards", "away", "ahead", "away from you", "away from the robot", "to the front"),
        "backward": ("backward", "backwards", "back", "towards you", "towards the robot", "closer", "to the back"),
        "left": ("left", "to the left", "leftwards", "to your left"),
        "right": ("right", "to the right", "rightwards", "to your right"),
    }
)
LINKS = _table(
    {
        "then": ("and then", "then", "after that", "afterwards", "and afterwards", "next", ";", "."),
        "and": ("and", "but", "while", ",", ", and", ", but", ", then", ", and then", ", while", "and also", "also"),
    }
)
POLITENESS = _table(
    {
        "": (
            "please", "now", "just", "kindly", "robot", "hey", "can you", "could you", "would you", "will you",
            "i want you to", "go and", "you", "make sure to", "make sure you", "be sure to", ",", "!", "?", ".",
        )
    }
)  # fmt: skip

EXAMPLES = (
    "pick up the blue cube",
    "put the red cube on the plate",
    "push the yellow brick forward",
    "lift the green cylinder but stay clear of the purple box",
    "keep 5 cm from the purple box",
)
