"""What an instruction promises, read from its plain words: which objects, and what will have become of them.

No understanding: where a word is not known nothing is promised, and nothing is checked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vls_steering.core.types import Keypoints

LIFTS = frozenset({"pick", "lift", "grab", "grasp", "take", "raise", "fetch", "hold"})
PLACES = frozenset({"put", "place", "set", "stack", "bring", "move", "carry", "lay", "drop"})
PUSHES = frozenset({"push", "shove", "slide", "nudge"})
# What stays where it is when it is pushed.
PRESSED = frozenset({"button", "switch", "key", "bell"})
# Words that may stand between a verb and its object.
_BETWEEN = frozenset({"up", "down", "away", "hold", "of", "me", "the", "a", "an", "this", "that"})
# What is said first is not done first.
_REORDERS = frozenset({"before", "after"})
_DIRECTIONS = re.compile(r"\b(?:forward|backward|left|right)\b")
_AVOIDS = re.compile(r"\b(?:clear of|away from|avoid(?:ing)?|without touching|not touch|cm from|around)\b")
_VERBS = re.compile(rf"\b(?:{'|'.join(sorted(LIFTS | PLACES | PUSHES))})\b")


@dataclass(frozen=True)
class Promise:
    """One verb: its object ("" when the words do not say), where to, and which way; "" when nothing is said."""

    verb: str
    name: str
    target: str
    direction: str


def mentioned(instruction: str, keypoints: Keypoints) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(objects to act on, objects to keep clear of) of the instruction, in the order of their mention.

    An object is mentioned by its full name, or by its last word where only one object has it.
    """
    acted, avoided = _acted_and_avoided(_plain(instruction), keypoints)
    return tuple(name for _, name in acted), tuple(name for _, name in avoided)


def read_promises(instruction: str, keypoints: Keypoints) -> tuple[Promise, ...]:
    """What each verb that moves something promises, in order; empty where the order is not that of the words.

    "Move above the plate" moves no plate, a pushed button stays, and "the block" may be any of them.
    """
    text = _plain(instruction)
    if not _REORDERS.isdisjoint(text.split()):
        return ()
    verbs = list(_VERBS.finditer(text))
    ends = [*(verb.start() for verb in verbs), len(text)][1:]
    promises: list[Promise] = []
    name = ""
    for verb, end in zip(verbs, ends, strict=True):
        clause = text[verb.start() : end]
        acted = _acted_and_avoided(clause, keypoints)[0]
        if not re.match(r"\w+(?: up| down)? it\b", clause):
            name = _object_of(clause, acted)
        target = next((other for _, other in acted if other != name), "")
        way = _DIRECTIONS.search(clause)
        pressed = verb[0] in PUSHES and not PRESSED.isdisjoint(name.lower().split())
        promises.append(Promise(verb[0], "" if pressed else name, target, way[0] if way is not None else ""))
    return tuple(promises)


def _object_of(clause: str, acted: list[tuple[int, str]]) -> str:
    """The object right after the verb that begins the clause."""
    if not acted:
        return ""
    at, name = acted[0]
    between = set(clause[:at].split()[1:]) - _BETWEEN - set(name.lower().split())
    return "" if between else name


def _acted_and_avoided(text: str, keypoints: Keypoints) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Where each object is mentioned first, of those to act on and of those to keep clear of."""
    avoid = _AVOIDS.search(text)
    end = avoid.start() if avoid is not None else len(text)
    # "avoid the post and pick up the cube": what follows another verb is acted on again.
    resumed = _VERBS.search(text, end)
    back = resumed.start() if resumed is not None else len(text)
    found = sorted(_mentions(text, keypoints))
    acted = [(at, name) for at, name in found if at < end or at >= back]
    return acted, [(at, name) for at, name in found if end <= at < back]


def _mentions(text: str, keypoints: Keypoints) -> list[tuple[int, str]]:
    nouns = [name.lower().split()[-1] for name in keypoints.names]
    found: list[tuple[int, str]] = []
    for name, noun in zip(keypoints.names, nouns, strict=True):
        match = re.search(rf"\b{re.escape(name.lower())}\b", text)
        if match is None and nouns.count(noun) == 1:
            match = re.search(rf"\b{re.escape(noun)}\b", text)
        if match is not None:
            found.append((match.start(), name))
    return found


def _plain(instruction: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", instruction.lower()))
