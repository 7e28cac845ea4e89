"""How much the verifier sees: seeded faults in good programs, and good programs themselves."""

from __future__ import annotations

import copy
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vls_steering.core.errors import Refusal
from vls_steering.core.types import Keypoints
from vls_steering.rewards import ProgramRejected, parse_program
from vls_steering.rewards.verify import verify_program

Document = dict[str, Any]

INSTRUCTIONS = (
    "pick up the {a}",
    "lift the {a} but stay clear of the {b}",
    "put the {a} on the plate",
    "pick up the {a}, keep 5 cm from the {b}",
    "put the {a} on the plate but avoid the {b}",
    "push the {a} forward",
    "pick up the {a} and put it on the plate",
    "put the {a} on the plate, keeping it above 10 cm",
    "hold the {a} above the plate",
    "put the {a} next to the {b}",
    "push the {a} 6 cm forward, then pick it up",
)
_LAYOUTS = 6
PROGRAMS = _LAYOUTS * len(INSTRUCTIONS)
_FLIPS = {"minimize": "maximize", "maximize": "minimize", "<=": ">=", ">=": "<="}
_AXES = {"forward": "left", "backward": "right", "left": "forward", "right": "backward"}


@dataclass(frozen=True)
class Mutant:
    """One fault in one program."""

    kind: str
    document: Document


def good_programs(seed: int) -> list[tuple[Document, Keypoints]]:
    """At least 30 programs that the offline grammar writes for drawn layouts, each with its scene."""
    from vls_steering.sim.privileged import true_keypoints
    from vls_steering.sim.scenes import draw_layout
    from vls_steering.sim.world import World
    from vls_steering.vlm import OfflineGrammar, PlanRequest, plan

    rng = random.Random(seed)
    programs = []
    for number in range(_LAYOUTS):
        keypoints = true_keypoints(World(draw_layout("play", seed + number)).truth())
        a = rng.choice([point.name for point in keypoints.points if point.size[:2].max() < 0.08])
        # What to keep clear of is the object farthest away: the instruction must be possible.
        b = max(keypoints.names, key=lambda name: _distance(keypoints, a, name) * (name != "white plate"))
        for instruction in INSTRUCTIONS:
            try:
                compiled = plan(PlanRequest(instruction.format(a=a, b=b), keypoints), OfflineGrammar())
            except Refusal:
                continue  # the layout lacks one of the objects
            programs.append((compiled.program.as_json(), keypoints))
    return programs


def _distance(keypoints: Keypoints, a: str, b: str) -> float:
    first, second = keypoints.find(a), keypoints.find(b)
    assert first is not None
    assert second is not None
    return float(np.linalg.norm(first.position - second.position))


def mutants(document: Document, names: tuple[str, ...], rng: random.Random) -> list[Mutant]:
    """Every fault of the seeded kinds that the program has room for, in random order."""
    found = [Mutant("missing stage", _without_stage(document, i)) for i in range(len(document["stages"]))]
    for path, text in _expressions(document):
        for kind, changed in _faults(text, names, rng):
            found.append(Mutant(kind, _with(document, path, changed)))
    rng.shuffle(found)
    return found


def _faults(text: str, names: tuple[str, ...], rng: random.Random) -> Iterator[tuple[str, str]]:
    for match in re.finditer(r"'([^']+)'", text):
        others = [name for name in names if name != match[1]]
        yield "swapped keypoint", _spliced(text, match, f"'{rng.choice(others)}'")
    for match in re.finditer(r"minimize|maximize|<=|>=", text):
        yield "flipped sign", _spliced(text, match, _FLIPS[match[0]])
    for match in re.finditer(r"\b(?:forward|backward|left|right)\b", text):
        yield "wrong axis", _spliced(text, match, _AXES[match[0]])
    for match in re.finditer(r"height\(((?:[^()]|\([^()]*\))*)\)", text):
        yield "wrong axis", _spliced(text, match, f"along({match[1]}, forward)")
    for match in re.finditer(r"(?<=\d) cm\b", text):
        yield "wrong unit", _spliced(text, match, " m")


def _spliced(text: str, match: re.Match[str], new: str) -> str:
    return text[: match.start()] + new + text[match.end() :]


def _expressions(document: Document) -> Iterator[tuple[tuple[Any, ...], str]]:
    """(path, text) of every expression."""
    for i, stage in enumerate(document["stages"]):
        for key in ("reward", "safety", "preference"):
            for j, term in enumerate(stage.get(key, [])):
                inner = ("term",) if isinstance(term, dict) else ()
                yield ("stages", i, key, j, *inner), term["term"] if inner else term
        for key in ("gripper", "requires", "done"):
            if key in stage:
                yield ("stages", i, key), stage[key]


def _with(document: Document, path: tuple[Any, ...], text: str) -> Document:
    changed: Any = copy.deepcopy(document)
    node = changed
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = text
    return dict(changed)


def _without_stage(document: Document, index: int) -> Document:
    return {**document, "stages": [stage for i, stage in enumerate(document["stages"]) if i != index]}


def caught(document: Document, keypoints: Keypoints) -> str:
    """What the gate says against a program; empty when it lets it through."""
    try:
        faults = verify_program(parse_program(document), keypoints)
    except ProgramRejected as rejection:
        faults = rejection.diagnostics
    return str(faults[0]) if faults else ""


def verifier_rows(per_program: int, seed: int, advance: Callable[[str, bool], None]) -> list[dict[str, Any]]:
    """Shares: good programs that are rejected, and faults of each kind that are caught; what went wrong is listed."""
    rng = random.Random(seed)
    programs = good_programs(seed)
    refused: list[dict[str, str]] = []
    for document, keypoints in programs:
        said = caught(document, keypoints)
        advance(document["instruction"], not said)
        if said:
            refused.append({"instruction": document["instruction"], "said": said})
    rows = [_share("rejected_good_programs", len(refused), len(programs), refused)]
    counts: Counter[tuple[str, bool]] = Counter()
    survivors: dict[str, list[str]] = {}
    for document, keypoints in programs:
        for mutant in mutants(document, keypoints.names, rng)[:per_program]:
            said = caught(mutant.document, keypoints)
            counts[mutant.kind, bool(said)] += 1
            if not said:
                survivors.setdefault(mutant.kind, []).append(_difference(document, mutant.document))
        advance(document["instruction"], True)
    for kind in sorted({kind for kind, _ in counts}):
        total = counts[kind, True] + counts[kind, False]
        metric = f"caught_{kind.replace(' ', '_')}"
        rows.append(_share(metric, counts[kind, True], total, survivors.get(kind, [])))
    return rows


def _share(metric: str, count: int, n: int, failures: Sequence[Any]) -> dict[str, Any]:
    """`failures`: the good programs that were rejected, or the faults that were not."""
    value = round(count / n, 4) if n else None
    return {"metric": metric, "value": value, "unit": "1", "n": n, "count": count, "failures": list(failures)}


def _difference(good: Document, bad: Document) -> str:
    """The changed expression, before and after."""
    before, after = dict(_expressions(good)), dict(_expressions(bad))
    changed = [(before[path], after.get(path)) for path in before if before[path] != after.get(path)]
    old, new = changed[0] if len(good["stages"]) == len(bad["stages"]) else ("a stage", "nothing")
    return f"{good['instruction']}: {old} -> {new}"
