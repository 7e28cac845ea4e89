"""Reads the constraints of an instruction: keep-outs, heights, upright, slowly, within a time."""

from __future__ import annotations

from collections.abc import Iterator

from vls_steering.core.errors import Refusal
from vls_steering.vlm import lexicon
from vls_steering.vlm.objects import PRONOUNS
from vls_steering.vlm.outline import Constraint, ConstraintKind
from vls_steering.vlm.phrases import Reading


def read_constraints(reading: Reading) -> tuple[Constraint, ...]:
    """The constraints stated at the cursor, which steps over them; none when something else stands there.

    Raises Refusal when a constraint begins and cannot be understood.
    """
    cursor, start = reading.cursor, reading.cursor.at
    if cursor.take(lexicon.AVOIDS) is not None:
        return tuple(_avoided(reading, start))
    if cursor.take(lexicon.NO_TILT) is not None:
        return (Constraint(ConstraintKind.UPRIGHT, cursor.quote(start), reading.last),)
    if cursor.take(lexicon.SLOWLY) is not None:
        return (Constraint(ConstraintKind.SLOWLY, cursor.quote(start)),)
    if cursor.take(lexicon.CEILING) is not None:
        return (_height(reading, start, ConstraintKind.BELOW, ""),)
    if cursor.take(lexicon.WITHIN) is not None:
        seconds = cursor.duration_s()
        if seconds is None:
            raise reading.not_understood(start, "a time is missing, e.g. 20 s")
        return (Constraint(ConstraintKind.WITHIN, cursor.quote(start), amount=seconds),)
    if cursor.take(lexicon.KEEPS) is not None:
        return (_kept(reading, start),)
    return ()


def _avoided(reading: Reading, start: int) -> Iterator[Constraint]:
    """ "avoid A", "avoid A by 4 cm", "without touching A or B"."""
    cursor = reading.cursor
    thing = reading.object(start)
    if cursor.word == "by":
        cursor.advance()
        cursor.take(lexicon.AT_LEAST)
        yield Constraint(ConstraintKind.KEEP_FROM, *_margin(reading, start, thing.name))
        return
    yield Constraint(ConstraintKind.AVOID, cursor.quote(start), thing.name)
    while (further := _further(reading)) is not None:
        yield Constraint(ConstraintKind.AVOID, cursor.quote(start), further)


def _further(reading: Reading) -> str | None:
    """The next object of a list, where nothing but an object can follow."""
    cursor, at = reading.cursor, reading.cursor.at
    if cursor.take(lexicon.OR) is not None and cursor.peek(lexicon.VERBS) is None and reading.starts_object:
        name = reading.object(at).name
        # "avoid the post, the red cube on the plate": that was no list.
        if cursor.peek(lexicon.RELATIONS) is None:
            return name
    cursor.at = at
    return None


def _kept(reading: Reading, start: int) -> Constraint:
    """What follows "keep" or "stay": a subject perhaps, then upright, a height, or a distance from something."""
    cursor = reading.cursor
    # "keep it", "keep the cup", "keep the hand"; "stay" has none, and neither has "keep 5 cm from".
    subject = "" if reading.hand() or not reading.starts_object else reading.object(start).name
    if cursor.take(lexicon.UPRIGHT) is not None:
        return Constraint(ConstraintKind.UPRIGHT, cursor.quote(start), subject or reading.last)
    if cursor.take(lexicon.AVOIDS) is not None:
        return Constraint(ConstraintKind.AVOID, cursor.quote(start), reading.object(start).name)
    if cursor.take(lexicon.BELOW) is not None:
        return _height(reading, start, ConstraintKind.BELOW, subject)
    at = cursor.at
    if cursor.take(lexicon.HIGHER) is not None:
        height_m = cursor.length_m()
        if height_m is not None and cursor.peek(lexicon.AWAY) is None:
            cursor.at = at
            cursor.take(lexicon.HIGHER)
            return _height(reading, start, ConstraintKind.ABOVE, subject)
        cursor.at = at
    cursor.take(lexicon.AT_LEAST)
    margin = cursor.length_m()
    if margin is None:
        raise reading.not_understood(start, "a length is missing, e.g. 5 cm")
    if cursor.take(lexicon.AWAY) is None:
        raise reading.not_understood(start, "keep what distance from what? Say: keep 5 cm from the ...")
    thing = reading.object(start)
    return Constraint(ConstraintKind.KEEP_FROM, cursor.quote(start), thing.name, margin)


def _height(reading: Reading, start: int, kind: ConstraintKind, subject: str) -> Constraint:
    cursor = reading.cursor
    height_m = cursor.length_m()
    if height_m is None:
        raise reading.not_understood(start, "a height is missing, e.g. 20 cm")
    cursor.skip("high")
    if cursor.word in ("above", "over", "from"):
        at = cursor.at
        cursor.advance()
        cursor.skip("the")
        if cursor.word in ("table", "ground", "surface", "tabletop"):
            cursor.advance()
        else:
            cursor.at = at
            raise reading.not_understood(start, "heights count from the table")
    return Constraint(kind, cursor.quote(start), subject, height_m)


def _margin(reading: Reading, start: int, name: str) -> tuple[str, str, float]:
    """(phrase, object, distance in m)."""
    margin = reading.cursor.length_m()
    if margin is None:
        raise reading.not_understood(start, "a length is missing, e.g. 5 cm")
    return reading.cursor.quote(start), name, margin


def stated_constraints(reading: Reading) -> tuple[Constraint, ...]:
    """Every constraint that can be read anywhere in an instruction, whatever the rest of it says.

    Nothing is known here of what "it" is: keep-outs around it are left out.
    """
    found: list[Constraint] = []
    cursor = reading.cursor
    reading.last = next(iter(reading.keypoints.names), "")
    while not cursor.finished:
        at = cursor.at
        try:
            read = read_constraints(reading)
        except Refusal:
            read = ()
        if not read:
            cursor.at = at + 1
        found += [constraint for constraint in read if not _is_around_it(constraint)]
    return tuple(found)


def _is_around_it(constraint: Constraint) -> bool:
    around = constraint.kind in (ConstraintKind.AVOID, ConstraintKind.KEEP_FROM)
    return around and not PRONOUNS.isdisjoint(constraint.phrase.lower().split())
