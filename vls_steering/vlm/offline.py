"""The offline planner: a grammar that grounds plain instructions against detected objects.

No model, no weights, no network.  It understands a small language completely and refuses the rest in the user's own
words; nothing is guessed.

    instruction := clause (link clause)*                      link: and, then, but, a comma ...
    clause      := pick object | put object on object | push object [direction] | keep-out
    keep-out    := avoid object [by length] | keep [at least] length from object
    object      := [article] words of colour, shape or name | it
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from vls_steering.core.errors import Refusal
from vls_steering.core.types import GRIPPER_OPEN_M, Keypoint, Keypoints
from vls_steering.rewards.document import LANGUAGE_VERSION
from vls_steering.vlm import lexicon, programs
from vls_steering.vlm.base import PlanAnswer, PlanRequest
from vls_steering.vlm.objects import (
    ANYTHING,
    ARTICLES,
    COLOURS,
    POST_HEIGHT_M,
    PRONOUNS,
    SHAPES,
    Description,
    candidates,
)
from vls_steering.vlm.tokens import Cursor

MAX_INSTRUCTION_CHARACTERS = 400
MAX_MARGIN_M = 0.30
_STOPS = (
    lexicon.LINKS, lexicon.ONTO, lexicon.TOWARDS, lexicon.AVOIDS, lexicon.KEEPS, lexicon.AWAY, lexicon.POLITENESS,
)  # fmt: skip


class OfflineGrammar:
    """Planner without a model."""

    name = "offline grammar"

    def write(self, request: PlanRequest) -> PlanAnswer:
        """A program, or a refusal that names the words that were not understood or the object that is not there."""
        try:
            document = _Reader(request.instruction, request.keypoints).document()
        except Refusal as refusal:
            return PlanAnswer(None, str(refusal), self.name)
        return PlanAnswer(document, "", self.name)


@dataclass
class _Task:
    """What has been read so far."""

    stages: list[programs.Stage] = field(default_factory=list)
    keep_outs: list[programs.KeepOut] = field(default_factory=list)
    involved: set[str] = field(default_factory=set)
    held: str | None = None  # in the hand when the stages so far are done
    last: str | None = None  # what "it" means


class _Reader:
    """Recursive descent over one instruction."""

    def __init__(self, instruction: str, keypoints: Keypoints) -> None:
        if len(instruction) > MAX_INSTRUCTION_CHARACTERS:
            raise Refusal(f"the instruction is longer than {MAX_INSTRUCTION_CHARACTERS} characters", _examples())
        self._instruction = instruction
        self._keypoints = keypoints
        self._cursor = Cursor(instruction)
        self._task = _Task()

    def document(self) -> dict[str, Any]:
        while self._cursor.take(lexicon.POLITENESS) is not None:
            pass
        if self._cursor.finished:
            raise Refusal("the instruction is empty", _examples())
        self._clause()
        while not self._cursor.finished:
            self._link()
            if not self._cursor.finished:
                self._clause()
        if not self._task.stages:
            raise Refusal(f"{self._instruction!r} says what to avoid, not what to do", _examples())
        return {
            "version": LANGUAGE_VERSION,
            "instruction": self._instruction,
            "stages": [self._guarded(stage) for stage in self._task.stages],
        }

    def _guarded(self, stage: programs.Stage) -> programs.Stage:
        for keep_out in (*self._task.keep_outs, *self._default_keep_outs()):
            stage = keep_out.apply(stage)
        return stage

    def _default_keep_outs(self) -> list[programs.KeepOut]:
        """Nobody has to mention a post for the arm to go around it."""
        spoken_for = self._task.involved | {keep_out.name for keep_out in self._task.keep_outs}
        return [
            programs.KeepOut(point.name, "default")
            for point in self._keypoints.points
            if point.name not in spoken_for and point.size[2] > POST_HEIGHT_M
        ]

    def _link(self) -> None:
        start = self._cursor.at
        linked = False
        while self._cursor.take(lexicon.LINKS) is not None or self._cursor.take(lexicon.POLITENESS) is not None:
            linked = True
        # "pick it up avoiding the box": a keep-out needs no link.
        if not linked and self._cursor.peek(lexicon.AVOIDS) is None and self._cursor.peek(lexicon.KEEPS) is None:
            raise self._not_understood(start)

    def _clause(self) -> None:
        start = self._cursor.at
        if self._cursor.take(lexicon.AVOIDS) is not None:
            self._avoid(start)
        elif self._cursor.take(lexicon.KEEPS) is not None:
            self._keep(start)
        else:
            verb = self._cursor.take(lexicon.VERBS)
            if verb is None:
                raise self._not_understood(start)
            {"pick": self._pick, "put": self._put, "push": self._push}[verb](start)

    # --- actions

    def _pick(self, start: int) -> None:
        thing = self._object(start)
        self._skip("up")
        height_m = self._cursor.length_m()
        self._skip("high", "up")
        self._grasp(thing)
        height_cm = programs.LIFT_HEIGHT_CM if height_m is None else round(100 * height_m + 50 * thing.size[2], 1)
        if height_cm > 50:
            raise Refusal(f"{self._cursor.quote(start)!r} is higher than the arm lifts", "Lift by at most 45 cm")
        self._task.stages.append(programs.lift(thing.name, height_cm))

    def _put(self, start: int) -> None:
        thing = self._object(start)
        self._skip("down")
        if self._cursor.take(lexicon.ONTO) is None:
            raise self._not_understood(start, "where to? Say: put ... on the ...")
        support = self._object(start, also_last=False)
        if support.name == thing.name:
            raise Refusal(f"{self._cursor.quote(start)!r} puts an object on itself", _examples())
        self._grasp(thing)
        self._task.involved.add(support.name)
        self._task.stages += programs.place(thing.name, support.name)
        self._task.held = None

    def _push(self, start: int) -> None:
        thing = self._object(start)
        # "push it" alone is away from the robot, as when a person says it.
        direction = self._cursor.take(lexicon.TOWARDS) or "forward"
        if self._task.held is not None:
            raise Refusal(f"the hand holds the {self._task.held}: it cannot push", "Put it down first")
        self._task.stages += programs.push(thing, direction)
        self._remember(thing.name)

    def _grasp(self, thing: Keypoint) -> None:
        held = self._task.held
        self._remember(thing.name)
        if held == thing.name:
            return
        if held is not None:
            raise Refusal(
                f"the hand holds the {held}: it cannot pick up the {thing.name}", f"Put the {held} down first"
            )
        if float(thing.size[:2].min()) >= GRIPPER_OPEN_M:
            width = 100 * float(thing.size[:2].min())
            raise Refusal(f"the {thing.name} is {width:.0f} cm wide: the gripper opens 8 cm", "Name a smaller object")
        self._task.stages.extend(programs.grasp(thing.name))
        self._task.held = thing.name

    def _remember(self, name: str) -> None:
        self._task.involved.add(name)
        self._task.last = name

    # --- keep-outs

    def _avoid(self, start: int) -> None:
        thing = self._object(start)
        margin = None
        if self._cursor.word == "by":
            self._cursor.advance()
            self._cursor.take(lexicon.AT_LEAST)
            margin = self._margin(start)
        self._keep_out(thing, start, margin)

    def _keep(self, start: int) -> None:
        self._cursor.take(lexicon.AT_LEAST)
        margin = self._margin(start)
        if self._cursor.take(lexicon.AWAY) is None:
            raise self._not_understood(start, "keep what distance from what? Say: keep 5 cm from the ...")
        self._keep_out(self._object(start), start, margin)

    def _margin(self, start: int) -> float:
        margin = self._cursor.length_m()
        if margin is None:
            raise self._not_understood(start, "a length is missing, e.g. 5 cm")
        if margin > MAX_MARGIN_M:
            raise Refusal(
                f"{self._cursor.quote(start)!r} leaves the arm no room", f"At most {MAX_MARGIN_M * 100:.0f} cm"
            )
        return margin

    def _keep_out(self, thing: Keypoint, start: int, margin_m: float | None) -> None:
        self._task.keep_outs.append(programs.KeepOut(thing.name, self._cursor.quote(start), margin_m))

    # --- objects

    def _object(self, start: int, *, also_last: bool = True) -> Keypoint:
        """Read a phrase that names an object and find the one it means."""
        first = self._cursor.at
        if self._cursor.word in PRONOUNS and self._task.last is not None and also_last:
            self._cursor.advance()
            return self._find(self._task.last)
        while self._cursor.word in ARTICLES:
            self._cursor.advance()
        words = self._object_words()
        if words == ["it"]:
            raise Refusal(f"{self._cursor.quote(start)!r}: no object has been named that 'it' could mean", _examples())
        if not words:
            raise self._not_understood(start, "which object?")
        phrase = self._cursor.quote(first)
        found = candidates(Description(tuple(words)), self._keypoints.points)
        if not found:
            seen = ", ".join(self._keypoints.names) or "nothing"
            raise Refusal(f"there is no {' '.join(words)!r} in the scene", f"Seen: {seen}")
        if len(found) > 1:
            raise Refusal(f"{phrase!r} could be {' or '.join(map(repr, found))}", "Say which one")
        return self._find(found[0])

    def _object_words(self) -> list[str]:
        """Words up to the next phrase of the grammar; what follows the noun is not part of the object."""
        scene_words = frozenset(word for name in self._keypoints.names for word in name.lower().split())
        nouns = set(SHAPES) | ANYTHING | (scene_words - set(COLOURS))
        words: list[str] = []
        while not self._cursor.finished and not any(self._cursor.peek(table) for table in _STOPS):
            if words and words[-1] in nouns and self._cursor.word not in nouns:
                break
            if not self._cursor.word.isalpha() or self._cursor.word in ("up", "down", "by"):
                break
            words.append(self._cursor.advance())
        return words

    def _find(self, name: str) -> Keypoint:
        found = self._keypoints.find(name)
        assert found is not None, name
        return found

    def _skip(self, *words: str) -> None:
        while self._cursor.word in words:
            self._cursor.advance()

    def _not_understood(self, start: int, hint: str = "") -> Refusal:
        """Quote the clause from `start` up to the next link."""
        while not self._cursor.finished and (self._cursor.at == start or self._cursor.peek(lexicon.LINKS) is None):
            self._cursor.advance()
        words = self._cursor.quote(start) or self._instruction
        return Refusal(f"I do not understand {words!r}" + (f" ({hint})" if hint else ""), _examples())


def _examples(examples: Sequence[str] = lexicon.EXAMPLES) -> str:
    return "I understand, for example: " + "; ".join(map(repr, examples))
