"""The offline planner: a grammar that grounds plain instructions against detected objects.

No model, no weights, no network.  It understands a small language completely and refuses the rest in the user's own
words; nothing is guessed.

    instruction := clause (link clause)*                      link: and, then, but, a comma ...
    clause      := action | constraint                        a constraint needs no link
    action      := pick object [to height] | put object relation object | hold object above object
                 | push object [direction] [by length] | press object | open object | close object
                 | move [length] above object | open the hand | close the hand
    constraint  := avoid object [by length] | keep length from object | keep object upright | keep below height
                 | keep above height | slowly | within time
    object      := [article] words of colour, shape or name | it
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from vls_steering.core.errors import Refusal
from vls_steering.core.types import Keypoints
from vls_steering.vlm import lexicon
from vls_steering.vlm.base import PlanAnswer, PlanRequest
from vls_steering.vlm.compose import compose
from vls_steering.vlm.constraints import read_constraints
from vls_steering.vlm.objects import is_flat, is_pressed
from vls_steering.vlm.outline import Constraint, ConstraintKind, Outline, Relation, Skill, Step
from vls_steering.vlm.phrases import Reading, examples

MAX_INSTRUCTION_CHARACTERS = 400


class OfflineGrammar:
    """Planner without a model."""

    name = "offline grammar"
    varies = False

    def write(self, request: PlanRequest) -> PlanAnswer:
        """A program, or a refusal that names the words that were not understood or the object that is not there."""
        try:
            outline = read_instruction(request.instruction, request.keypoints)
            document = compose(request.instruction, outline, request.keypoints)
        except Refusal as refusal:
            return PlanAnswer(None, str(refusal), self.name)
        return PlanAnswer(document, "", self.name)


def read_instruction(instruction: str, keypoints: Keypoints) -> Outline:
    """The outline of an instruction; raises Refusal with the words that are not understood."""
    if len(instruction) > MAX_INSTRUCTION_CHARACTERS:
        raise Refusal(f"the instruction is longer than {MAX_INSTRUCTION_CHARACTERS} characters", examples())
    return _Reader(Reading(instruction, keypoints)).outline()


class _Reader:
    """Recursive descent over one instruction."""

    def __init__(self, reading: Reading) -> None:
        self._reading, self._cursor = reading, reading.cursor
        self._actions: list[list[Step]] = []
        self._constraints: list[Constraint] = []
        self._verb = ""  # of the last action, for clauses that leave theirs out

    def outline(self) -> Outline:
        while self._cursor.take(lexicon.POLITENESS) is not None:
            pass
        if self._cursor.finished:
            raise Refusal("the instruction is empty", examples())
        linked = True
        while not self._cursor.finished:
            stated = read_constraints(self._reading)
            if stated:
                self._constraints += stated
                # "slowly pick up": what could begin an action still can.
                linked = self._link() or linked
                continue
            if not linked and self._cursor.peek(lexicon.AFTER) is None:
                raise self._reading.not_understood(self._cursor.at)
            self._action()
            linked = self._link()
        steps = tuple(step for action in self._actions for step in action)
        return Outline(steps, tuple(self._settled(constraint, steps) for constraint in self._constraints))

    def _settled(self, constraint: Constraint, steps: tuple[Step, ...]) -> Constraint:
        """ "Upright" said before anything is named means the one thing that is held."""
        if constraint.kind is not ConstraintKind.UPRIGHT or constraint.thing:
            return constraint
        held = {step.thing for step in steps if step.skill in (Skill.PICK, Skill.PLACE, Skill.HOLD)}
        if len(held) != 1:
            raise Refusal(f"{constraint.phrase!r}: what is to be kept upright?", examples())
        return replace(constraint, thing=held.pop())

    def _link(self) -> bool:
        linked = False
        while self._cursor.take(lexicon.LINKS) is not None or self._cursor.take(lexicon.POLITENESS) is not None:
            linked = True
        return linked

    # --- actions

    def _action(self) -> None:
        """One action; "before A, B" and "B after A" put A where it belongs."""
        start = self._cursor.at
        if self._cursor.take(lexicon.BEFORE) is not None:
            if self._actions:  # "B before A" is B, then A
                self._actions.append(self._steps(start))
                return
            later = self._steps(start)
            self._link()
            self._actions += [self._steps(self._cursor.at), later]
        elif self._cursor.take(lexicon.AFTER) is not None:
            earlier = self._steps(start)
            self._actions.insert(max(0, len(self._actions) - 1), earlier)
        else:
            self._actions.append(self._steps(start))

    def _steps(self, start: int) -> list[Step]:
        verb = self._cursor.take(lexicon.VERBS)
        if verb is None:
            if not self._verb or not self._goes_on():
                raise self._reading.not_understood(start)
            verb = self._verb
        read: dict[str, Callable[[int], list[Step]]] = {
            "pick": self._pick,
            "put": self._put,
            "push": self._push,
            "press": self._press,
            "open": self._open,
            "close": self._close,
            "go": self._go,
            "open the hand": lambda _: [Step(Skill.OPEN_HAND)],
            "close the hand": lambda _: [Step(Skill.CLOSE_HAND)],
        }
        steps = read[verb](start)
        self._verb = verb
        times = self._cursor.take(lexicon.TIMES)
        return steps * int(times) if times is not None else steps

    def _goes_on(self) -> bool:
        """ "... and the blue cube on the plate", "... then 6 cm to the left": the last verb again."""
        if self._verb == "go":
            return self._cursor.peek(lexicon.ABOVE) is not None
        if self._verb == "push" and (self._cursor.peek(lexicon.TOWARDS) is not None or self._length_ahead()):
            return True
        return self._reading.starts_object and self._cursor.word != "it"

    def _pick(self, start: int) -> list[Step]:
        thing = self._object(start)
        self._cursor.skip("up")
        if self._cursor.take(lexicon.ABOVE) is not None:
            return [Step(Skill.HOLD, thing, Relation.ABOVE, (self._target(start),))]
        carried = self._cursor.take(lexicon.CARRYING_TO)
        if carried is not None:
            return self._placed([thing], Relation(carried), start)
        self._cursor.skip("to", "by")
        height_m = self._cursor.length_m()
        self._cursor.skip("high", "up")
        return [Step(Skill.PICK, thing, length_m=height_m)]

    def _put(self, start: int) -> list[Step]:
        if self._cursor.peek(lexicon.ABOVE) is not None or self._length_ahead():
            return self._go(start)
        self._cursor.skip("both")
        things = [self._object(start)]
        while self._cursor.word == "and":
            self._cursor.advance()
            things.append(self._object(start))
        self._cursor.skip("down")
        relation = self._cursor.take(lexicon.RELATIONS)
        if relation is None:
            raise self._reading.not_understood(start, "where to? Say: put ... on the ...")
        if relation == Relation.ABOVE.value:
            return [Step(Skill.HOLD, thing, Relation.ABOVE, (self._target(start),)) for thing in things]
        return self._placed(things, Relation(relation), start)

    def _placed(self, things: list[str], relation: Relation, start: int) -> list[Step]:
        on_it = relation is Relation.ON and self._cursor.word == "it"
        if on_it:
            return [Step(Skill.PLACE, things[0], relation, (self._top_of_last(start),))]
        targets = [self._target(start)]
        if relation is Relation.BETWEEN:
            if self._cursor.word != "and":
                raise self._reading.not_understood(start, "between what and what?")
            self._cursor.advance()
            targets.append(self._target(start))
        if relation is Relation.IN and is_flat(targets[0]):
            relation = Relation.ON
        return [Step(Skill.PLACE, thing, relation, tuple(targets)) for thing in things]

    def _top_of_last(self, start: int) -> str:
        """ "on it": what was set down last, when that is all it can mean."""
        before = self._actions[-1][-1] if self._actions else None
        if before is None or before.skill is not Skill.PLACE or before.relation is not Relation.ON:
            raise self._reading.not_understood(start, "on what?")
        self._cursor.advance()
        return before.thing

    def _push(self, start: int) -> list[Step]:
        length_first = self._length_ahead() or self._cursor.peek(lexicon.TOWARDS) is not None
        thing = self._reading.last if length_first and self._reading.last else self._object(start)
        length_m = self._by_length()
        opened = self._cursor.take(lexicon.OPENED)
        if opened is not None:
            return [Step(Skill(opened), thing)]
        if is_pressed(thing):
            return [Step(Skill.PRESS, thing)]
        # "push it" alone is away from the robot, as when a person says it.
        direction = self._cursor.take(lexicon.TOWARDS) or "forward"
        length_m = length_m if length_m is not None else self._by_length()
        return [Step(Skill.PUSH, thing, direction=direction, length_m=length_m)]

    def _press(self, start: int) -> list[Step]:
        thing = self._object(start)
        if not is_pressed(thing):
            raise Refusal(f"{self._cursor.quote(start)!r}: the {thing} is not something to press", examples())
        self._cursor.skip("down")
        return [Step(Skill.PRESS, thing)]

    def _open(self, start: int) -> list[Step]:
        thing = self._object(start)
        self._cursor.skip("open", "out")
        return [Step(Skill.OPEN, thing)]

    def _close(self, start: int) -> list[Step]:
        return [Step(Skill.CLOSE, self._object(start))]

    def _go(self, start: int) -> list[Step]:
        self._cursor.skip("to", "a", "point", "position", "place", "spot")
        length_m = self._cursor.length_m()
        if self._cursor.take(lexicon.ABOVE) is None:
            raise self._reading.not_understood(start, "where to? Say: move above the ...")
        target = self._reading.object(start).name
        return [Step(Skill.MOVE, "", Relation.ABOVE, (target,), length_m=length_m)]

    # --- parts of actions

    def _object(self, start: int) -> str:
        """The object that an action is about; from now on it is "it"."""
        self._reading.last = self._reading.object(start).name
        return self._reading.last

    def _target(self, start: int) -> str:
        return self._reading.object(start, pronouns=False).name

    def _by_length(self) -> float | None:
        self._cursor.skip("by")
        return self._cursor.length_m()

    def _length_ahead(self) -> bool:
        at = self._cursor.at
        found = self._cursor.length_m() is not None
        self._cursor.at = at
        return found
