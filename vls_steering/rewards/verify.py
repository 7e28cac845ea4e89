"""Verification before motion: a program that passes is executable, means something here, and ends.

No model is asked.  What can be read off the text is checked first; then the stages are rehearsed in order, and what
the instruction asks for is looked for in the outcome.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from vls_steering.core.types import Keypoints
from vls_steering.rewards.check import check_program
from vls_steering.rewards.compile import CompiledStage, compile_program
from vls_steering.rewards.diagnostics import Diagnostic
from vls_steering.rewards.document import RewardProgram
from vls_steering.rewards.expression import Call, Expression, children
from vls_steering.rewards.lint import LIFTS, PLACES, PUSHES, lint_program, mentioned, objects_of
from vls_steering.rewards.rehearse import HOME_M, Rehearsal, World, candidates, rehearse
from vls_steering.rewards.rollout import Scene
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
    world = World(keypoints, np.array(HOME_M))
    for index, stage in enumerate(compiled.stages):
        where, last = f"stages[{index}]", index == len(compiled.stages) - 1
        faults = (*_numbers(where, stage, world), *_start(where, stage, world, last=last))
        if faults:
            return faults
        rehearsal = rehearse(stage, world)
        faults = tuple(_course(where, stage, rehearsal))
        if not faults and not rehearsal.motions and world.held is None and stage.objects:
            # Done before it starts, as making ready may be: then it must work where it is needed.
            faults = tuple(_course(where, stage, rehearse(stage, _missed_grasp(world, stage))))
        elif not faults and not rehearsal.motions:
            faults = (Diagnostic(f"{where}.done", "the stage is done before it starts", stage.name, "an end to reach"),)
        if faults:
            return faults
        world = rehearsal.after
    return tuple(_outcome(program, keypoints, world))


def _missed_grasp(world: World, stage: CompiledStage) -> World:
    """The hand low and closed beside an object of the stage."""
    place = world.position(min(stage.objects - _guarded(stage), default=min(stage.objects)))
    return replace(world, tcp=place + np.array([0.0, 0.0, 0.03]), width_m=0.0)


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


def _start(where: str, stage: CompiledStage, world: World, *, last: bool) -> Iterator[Diagnostic]:
    scene = Scene.from_observation(world.observation)
    if not stage.ready(world.observation):
        accepted = "what holds at the end of the stage before"
        yield Diagnostic(
            f"{where}.requires", "the stage cannot start where the one before it ends", stage.name, accepted
        )
    if last and stage.done(world.observation):
        yield Diagnostic(
            f"{where}.done", "the stage is done before it starts", stage.name, "an end still to be reached"
        )
    margin = stage.safety_now(scene)
    if margin < -_DEEPEST_M:
        problem = "a safety condition is broken already before anything moves"
        yield Diagnostic(
            f"{where}.safety", problem, f"by {-100 * margin:.0f} cm", "a condition that holds where the hand is"
        )


def _course(where: str, stage: CompiledStage, rehearsal: Rehearsal) -> Iterator[Diagnostic]:
    if rehearsal.blocked:
        yield Diagnostic(
            f"{where}.safety", "no motion of the stage keeps its safety conditions", stage.name, "a narrower one"
        )
        return
    if rehearsal.before.width_m == 0.0 and not rehearsal.motions:
        yield Diagnostic(f"{where}.done", "the stage is done wherever the hand is", stage.name, "an end to reach")
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
    before, after = (_rest_values(stage, world) for world in (rehearsal.before, rehearsal.after))
    with torch.no_grad():
        scene = Scene.from_observation(rehearsal.before.observation)
        tried = stage.explain(candidates(stage, rehearsal.before, scene), scene, sharpness=100.0)
    for key in ("reward", "preference"):
        for i, term in enumerate(getattr(stage.stage, key)):
            weight = stage.weight(term.text)
            problem = ""
            lost = (before[term.text] - after[term.text]) / weight
            missed = -after[term.text] / weight
            if lost > _WORSE:
                problem = "this term falls on the way to the end of the stage"
            elif float(tried[term.text].max() - tried[term.text].min()) < _IDLE * weight:
                problem = "no motion makes a difference to this term"
            elif _is_condition(stage, term.text) and missed > _MISSED:
                problem = "this does not hold at the end of the stage"
            elif _asks_for_nearness(term.expression) and missed > _FAR:
                problem = "what this brings near is still far away at the end of the stage"
            if problem:
                yield Diagnostic(f"{where}.{key}[{i}]", problem, term.text, "a term that `done` agrees with", term.text)


def _rest_values(stage: CompiledStage, world: World) -> dict[str, float]:
    scene = Scene.from_observation(world.observation)
    with torch.no_grad():
        return {text: float(part) for text, part in stage.explain(scene.at_rest(), scene, sharpness=100.0).items()}


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
    """What the instruction's verb promises, in the world at the end of the rehearsal."""
    words = re.findall(r"[a-z]+", program.instruction.lower())
    verb = next((word for word in words if word in LIFTS | PLACES | PUSHES), "")
    task, _ = mentioned(program.instruction, keypoints)
    if not verb or not task:
        return
    name = task[0]
    point = keypoints.find(name)
    assert point is not None
    move = world.position(name) - point.position
    told = f"{name!r} moved by {', '.join(f'{100 * part:.0f}' for part in move)} cm"
    only = sum(word in LIFTS | PLACES | PUSHES for word in words) == 1  # what follows may undo the rest
    if float(np.linalg.norm(move)) < _MOVED_M:
        yield Diagnostic("stages", f"at the end {name!r} is where it was", told, f"a stage that makes it {verb}")
    elif only and verb in LIFTS and (world.held != name or move[2] < _MOVED_M):
        yield Diagnostic("stages", f"at the end {name!r} is not held in the air", told, "a stage that lifts it")
    elif verb in PLACES and (world.held == name or (len(task) > 1 and not _near(world, name, task[1]))):
        accepted = f"stages that set it down{' at ' + repr(task[1]) if len(task) > 1 else ''} and let go"
        yield Diagnostic("stages", f"at the end {name!r} is not put where the instruction says", told, accepted)
    elif verb in PUSHES:
        direction = next((_DIRECTIONS[word] for word in words if word in _DIRECTIONS), None)
        if world.held == name or (direction is not None and float(move[:2] @ np.array(direction)) < _MOVED_M):
            yield Diagnostic("stages", f"at the end {name!r} is not pushed that way", told, "a stage that pushes it")


def _near(world: World, name: str, support: str) -> bool:
    point = world.keypoints.find(support)
    assert point is not None
    reach = float(np.max(point.size[:2])) / 2 + 0.12
    return bool(np.linalg.norm((world.position(name) - point.position)[:2]) <= reach)
