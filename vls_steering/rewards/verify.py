"""Verification before motion: a program that passes is executable, means something here, and ends.

No model is asked.  What can be read off the text is checked first; then the stages are rehearsed in order, and what
the instruction asks for is looked for in the outcome.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from vls_steering.core.arrays import FloatArray
from vls_steering.core.types import Keypoints
from vls_steering.rewards.check import check_program
from vls_steering.rewards.compile import CompiledProgram, CompiledStage, compile_program
from vls_steering.rewards.diagnostics import Diagnostic
from vls_steering.rewards.document import RewardProgram
from vls_steering.rewards.expression import Call, Expression, children
from vls_steering.rewards.lint import lint_program, objects_of
from vls_steering.rewards.promises import LIFTS, PLACES, PUSHES, Promise, read_promises
from vls_steering.rewards.rehearse import HOME_M, Rehearsal, World, candidates, rehearse
from vls_steering.rewards.rollout import Rollout, Scene
from vls_steering.rewards.typecheck import split_weight

MAX_EVALUATION_S = 0.25  # of one gradient of one stage at K = 16, H = 16; the slowest of the packaged ones takes 2 ms
# A hand at rest may be this far inside a margin; deeper, the margin is not meant for this scene.
_DEEPEST_M = 0.05
# A term may get this much worse (units of score, 10 cm) on the way to the stage's end.
_WORSE = 0.3
# A condition may be missed by this much at the end of its stage, units of score; so may a distance to make small.
_MISSED = 0.25
_FAR = 1.2
# Less than this between the best and the worst motion is no difference.
_IDLE = 1e-4
# Mean difference between wanted and planned opening over a chunk, of 1.
_GRIPPER_MISSED = 0.6
_MOVED_M = 0.03
_MOVED_A_LITTLE_M = 0.01

_DIRECTIONS = {"forward": (1.0, 0.0), "backward": (-1.0, 0.0), "left": (0.0, 1.0), "right": (0.0, -1.0)}


def verify_program(program: RewardProgram, keypoints: Keypoints) -> tuple[Diagnostic, ...]:
    """Every fault of a parsed program in this scene that can be found without moving; empty when it may steer."""
    faults = check_program(program, keypoints)
    if faults:
        return faults
    faults = tuple(lint_program(program, keypoints))
    if faults:
        return faults
    compiled = compile_program(program)
    start = _first_world(compiled, keypoints)
    world, seen = start, [start]
    for index, stage in enumerate(compiled.stages):
        where, last = f"stages[{index}]", index == len(compiled.stages) - 1
        faults = (*_numbers(where, stage, world), *_start(where, stage, world, start, last=last))
        if faults:
            return faults
        rehearsal = rehearse(stage, world)
        shown = rehearsal
        if not rehearsal.motions and not rehearsal.blocked:
            # Done before it starts, as making ready may be: then it must work where it is needed.
            elsewhere = _where_needed(stage, world, seen)
            if elsewhere is None:
                problem = "the stage is done wherever the hand is"
                return (Diagnostic(f"{where}.done", problem, stage.name, "an end to reach"),)
            shown = rehearse(stage, elsewhere)
        faults = (*_course(where, stage, shown), *_kept_in_the_end(where, stage, shown))
        if faults:
            return faults
        seen += [before for before, _ in rehearsal.motions[1:]] + [rehearsal.after]
        world = rehearsal.after
    return tuple(_outcome(program, keypoints, world))


def _first_world(program: CompiledProgram, keypoints: Keypoints) -> World:
    """The hand at home and open, or closed where the open hand is all that the program asks for."""
    world, end = World(keypoints, np.array(HOME_M)), program.stages[-1]
    closed = replace(world, width_m=0.0)
    return closed if end.done(world.observation) and not end.done(closed.observation) else world


def _where_needed(stage: CompiledStage, world: World, seen: list[World]) -> World | None:
    """The latest situation in which the stage could have started and was not done; None when there is none.

    With an empty hand that is, failing others, the hand low and closed beside an object of the stage.
    """
    for earlier in reversed(seen):
        if stage.ready(earlier.observation) and not stage.done(earlier.observation):
            return earlier
    if world.held is not None or not stage.objects:
        return None
    place = world.position(min(stage.objects - _guarded(stage), default=min(stage.objects)))
    missed = replace(world, tcp=place + np.array([0.0, 0.0, 0.03]), width_m=0.0)
    return None if stage.done(missed.observation) else missed


def _guarded(stage: CompiledStage) -> frozenset[str]:
    return frozenset().union(*(objects_of(term.expression) for term in stage.stage.safety))


def _numbers(where: str, stage: CompiledStage, world: World) -> Iterator[Diagnostic]:
    """Finite value and gradient where the hand is, in time, and a gradient that says something."""
    scene = Scene.from_observation(world.observation)
    still = scene.at_rest()
    generator = torch.Generator().manual_seed(0)
    wander = 0.02 * torch.randn(16, 16, 3, generator=generator).cumsum(1)
    tcp = (still.tcp + wander).requires_grad_()
    width = torch.full((16, 16), 0.04).requires_grad_()
    rollout = type(still)(tcp, width, 0.1 * torch.arange(1, 17))
    stage.score(rollout, scene)
    begin = time.process_time()
    score = stage.score(rollout, scene)
    slopes = torch.autograd.grad(score.sum(), (tcp, width), allow_unused=True) if score.requires_grad else (None, None)
    taken = time.process_time() - begin
    if taken > MAX_EVALUATION_S:
        yield Diagnostic(
            where, "one evaluation costs too much", f"{1e3 * taken:.0f} ms", f"{1e3 * MAX_EVALUATION_S:.0f} ms"
        )
    known = [slope for slope in slopes if slope is not None]
    if not torch.isfinite(score).all() or not all(bool(torch.isfinite(slope).all()) for slope in known):
        yield Diagnostic(f"{where}.reward", "the score or its gradient is not finite in this scene")
    elif not any(bool(slope.any()) for slope in known):
        yield Diagnostic(f"{where}.reward", "the reward has no gradient: no motion is preferred to another")


def _start(where: str, stage: CompiledStage, world: World, first: World, *, last: bool) -> Iterator[Diagnostic]:
    if not stage.ready(world.observation):
        accepted = "what holds at the end of the stage before"
        yield Diagnostic(
            f"{where}.requires", "the stage cannot start where the one before it ends", stage.name, accepted
        )
    if last and stage.done(first.observation):
        problem = "the program is done before it starts"
        yield Diagnostic(f"{where}.done", problem, stage.name, "an end still to be reached")
    # Where the hand is before anything moves is not the program's doing.
    if world is not first:
        yield from _broken(where, stage, world, "a safety condition is broken already before the stage starts")


def _kept_in_the_end(where: str, stage: CompiledStage, rehearsal: Rehearsal) -> Iterator[Diagnostic]:
    yield from _broken(where, stage, rehearsal.after, "a safety condition is still broken at the end of the stage")


def _broken(where: str, stage: CompiledStage, world: World, problem: str) -> Iterator[Diagnostic]:
    margin = stage.safety_now(Scene.from_observation(world.observation))
    if margin < -_DEEPEST_M:
        accepted = "a condition that holds where the hand is"
        yield Diagnostic(f"{where}.safety", problem, f"by {-100 * margin:.0f} cm", accepted)


def _course(where: str, stage: CompiledStage, rehearsal: Rehearsal) -> Iterator[Diagnostic]:
    if rehearsal.blocked:
        yield Diagnostic(
            f"{where}.safety", "no motion of the stage keeps its safety conditions", stage.name, "a narrower one"
        )
        return
    if not rehearsal.done:
        problem = "following the reward does not lead to the end of the stage"
        yield Diagnostic(f"{where}.done", problem, stage.name, "a reward that rises towards `done`")
        return
    yield from _idle_gripper(where, stage, rehearsal)
    yield from _contrary_terms(where, stage, rehearsal)


def _idle_gripper(where: str, stage: CompiledStage, rehearsal: Rehearsal) -> Iterator[Diagnostic]:
    """The way to the end uses the gripper as the stage intends, on the whole."""
    missed = [
        float(stage.explain(rollout, Scene.from_observation(world.observation))["gripper: 0"])
        for world, rollout in rehearsal.motions
    ]
    if missed and min(missed) < -_GRIPPER_MISSED:
        problem = "the way to the end of the stage contradicts its gripper intent"
        yield Diagnostic(f"{where}.gripper", problem, stage.name, "close_when(dist(...) <= ...), open, close, ...")


def _contrary_terms(where: str, stage: CompiledStage, rehearsal: Rehearsal) -> Iterator[Diagnostic]:
    """Each wish gains on the way to the stage's end, is met there, and could have been missed."""
    if not rehearsal.motions:
        return
    before, after = _rest_values(stage, rehearsal.before), _values_in_the_end(stage, rehearsal)
    with torch.no_grad():
        scene = Scene.from_observation(rehearsal.before.observation)
        tried = stage.explain(candidates(stage, rehearsal.before, scene), scene, sharpness=100.0)
    for key in ("reward", "preference"):
        for i, term in enumerate(getattr(stage.stage, key)):
            weight = stage.weight(term.text)
            problem, accepted = "", "a term that `done` agrees with"
            lost = (before[term.text] - after[term.text]) / weight
            missed = -after[term.text] / weight
            if lost > _WORSE:
                problem = "this term falls on the way to the end of the stage"
            elif _is_awaited(term.expression) and before[term.text] >= -_IDLE * weight:
                problem, accepted = "what this waits for is so already", "a term that can be missed, or none"
            elif float(tried[term.text].max() - tried[term.text].min()) < _IDLE * weight:
                problem, accepted = "no motion makes a difference to this term", "a term that can be missed, or none"
            elif _is_condition(stage, term.text) and missed > _MISSED:
                problem = "this does not hold at the end of the stage"
            elif _asks_for_nearness(term.expression) and missed > _FAR:
                problem = "what this brings near is still far away at the end of the stage"
            if problem:
                yield Diagnostic(f"{where}.{key}[{i}]", problem, term.text, accepted, term.text)


def _rest_values(stage: CompiledStage, world: World) -> dict[str, float]:
    scene = Scene.from_observation(world.observation)
    return _values(stage, scene.at_rest(), scene)


def _values_in_the_end(stage: CompiledStage, rehearsal: Rehearsal) -> dict[str, float]:
    """What each term was worth: at rest at the end of the stage, or on the way there where that is what it asks for."""
    in_the_end = _rest_values(stage, rehearsal.after)
    on_the_way = [
        _values(stage, rollout, Scene.from_observation(world.observation)) for world, rollout in rehearsal.motions
    ]
    passing = {term.text for term in (*stage.stage.reward, *stage.stage.preference) if _may_pass(term.expression)}
    return {
        text: max(value, *(values[text] for values in on_the_way)) if text in passing else value
        for text, value in in_the_end.items()
    }


def _values(stage: CompiledStage, rollout: Rollout, scene: Scene) -> dict[str, float]:
    with torch.no_grad():
        return {text: float(part) for text, part in stage.explain(rollout, scene, sharpness=100.0).items()}


def _may_pass(expression: Expression) -> bool:
    """`eventually` and `until` ask for something to happen, not to last."""
    _, body = split_weight(expression)
    return isinstance(body, Call) and body.name in ("eventually", "until")


def _is_awaited(expression: Expression) -> bool:
    """`eventually`, at any time of the chunk."""
    _, body = split_weight(expression)
    return isinstance(body, Call) and body.name == "eventually" and len(children(body)) == 1


def _is_condition(stage: CompiledStage, text: str) -> bool:
    return any(text == condition for condition in stage.conditions)


def _asks_for_nearness(expression: Expression) -> bool:
    """`minimize(...)` of a distance between two points, as it is or folded."""
    _, body = split_weight(expression)
    if not isinstance(body, Call) or body.name != "minimize":
        return False
    inner = children(body)[0]
    while isinstance(inner, Call) and inner.name in ("lowest", "mean", "at_end"):
        inner = children(inner)[0]
    return isinstance(inner, Call) and inner.name in ("dist", "horizontal")


def _outcome(program: RewardProgram, keypoints: Keypoints, world: World) -> Iterator[Diagnostic]:
    """What the verbs of the instruction promise for their objects, in the world at the end of the rehearsal."""
    promises = read_promises(program.instruction, keypoints)
    first = next((promise for promise in promises if promise.name), None)
    if first is not None and _stayed(first, keypoints, world):
        told, accepted = _told(first.name, keypoints, world), f"a stage that makes it {first.verb}"
        yield Diagnostic("stages", f"at the end {first.name!r} is where it was", told, accepted)
    elif promises and promises[-1].name:
        # What follows may undo the rest: only the last one can be held to.
        yield from _kept_promise(promises[-1], keypoints, world)


def _stayed(promise: Promise, keypoints: Keypoints, world: World) -> bool:
    """The object is where it was, and not because it has hardly any way to go."""
    beside = promise.target and _near(world, promise.name, promise.target)
    moved_m = float(np.linalg.norm(_move(promise.name, keypoints, world)))
    return moved_m < (_MOVED_A_LITTLE_M if beside else _MOVED_M)


def _kept_promise(promise: Promise, keypoints: Keypoints, world: World) -> Iterator[Diagnostic]:
    name, target, verb = promise.name, promise.target, promise.verb
    move, told = _move(name, keypoints, world), _told(name, keypoints, world)
    # "Take it to the tray" sets it down.
    if verb in LIFTS and not target and (world.held != name or move[2] < _MOVED_M):
        yield Diagnostic("stages", f"at the end {name!r} is not held in the air", told, "a stage that lifts it")
    elif verb in PLACES and (world.held == name or (target and not _near(world, name, target))):
        accepted = f"stages that set it down{f' at {target!r}' if target else ''} and let go"
        yield Diagnostic("stages", f"at the end {name!r} is not put where the instruction says", told, accepted)
    elif verb in PUSHES:
        unit = _DIRECTIONS.get(promise.direction)
        if world.held == name or (unit is not None and float(move[:2] @ np.array(unit)) < _MOVED_M):
            yield Diagnostic("stages", f"at the end {name!r} is not pushed that way", told, "a stage that pushes it")


def _move(name: str, keypoints: Keypoints, world: World) -> FloatArray:
    point = keypoints.find(name)
    assert point is not None
    return world.position(name) - point.position


def _told(name: str, keypoints: Keypoints, world: World) -> str:
    return f"{name!r} moved by {', '.join(f'{100 * part:.0f}' for part in _move(name, keypoints, world))} cm"


def _near(world: World, name: str, support: str) -> bool:
    point = world.keypoints.find(support)
    assert point is not None
    reach = float(np.max(point.size[:2])) / 2 + 0.12
    return bool(np.linalg.norm((world.position(name) - point.position)[:2]) <= reach)
