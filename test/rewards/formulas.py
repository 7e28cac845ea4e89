"""Random formulas over a few signals, and what they mean, written out in loops: the oracle of the semantics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

from hypothesis import strategies as st

SIGNALS = ("height(ee)", "along(ee, forward)", "along(ee, left)", "gripper_width")
# A step may miss a closed end by the rounding of its time.
_SLACK_S = 1e-3


@dataclass(frozen=True)
class Atom:
    signal: int
    at_least: bool
    bound_cm: int

    def __str__(self) -> str:
        return f"{SIGNALS[self.signal]} {'>=' if self.at_least else '<='} {self.bound_cm} cm"


@dataclass(frozen=True)
class Not:
    part: Formula

    def __str__(self) -> str:
        return f"(not {self.part})"


@dataclass(frozen=True)
class Join:
    operator: str
    parts: tuple[Formula, ...]

    def __str__(self) -> str:
        return "(" + f" {self.operator} ".join(map(str, self.parts)) + ")"


@dataclass(frozen=True)
class Along:
    """always, eventually, until or release, over [after, before] tenths of a second; before None = to the end."""

    word: str
    parts: tuple[Formula, ...]
    after: int
    before: int | None

    def __str__(self) -> str:
        window = f", after={self.after / 10:g} s" + ("" if self.before is None else f", before={self.before / 10:g} s")
        return f"{self.word}({', '.join(map(str, self.parts))}{window})"


Formula: TypeAlias = "Atom | Not | Join | Along"

ATOMS = st.builds(Atom, st.integers(0, len(SIGNALS) - 1), st.booleans(), st.integers(-40, 60))


def instant(inner: st.SearchStrategy[Formula]) -> st.SearchStrategy[Formula]:
    """Formulas with a value at each step."""
    return (
        st.builds(Not, inner) | st.builds(Join, st.sampled_from(["and", "or"]), st.tuples(inner, inner)) | along(inner)
    )


def along(inner: st.SearchStrategy[Formula]) -> st.SearchStrategy[Along]:
    window = {"after": st.integers(0, 12), "before": st.none() | st.integers(0, 18)}
    one = st.builds(Along, st.sampled_from(["always", "eventually"]), st.tuples(inner), **window)
    two = st.builds(Along, st.sampled_from(["until", "release"]), st.tuples(inner, inner), **window)
    return one | two


FORMULAS = along(st.recursive(ATOMS, instant, max_leaves=5))


def truth(formula: Formula, times: list[float], signals: list[list[float]], anchor: float, step: int = 0) -> float:
    """Robustness in units of 10 cm: at `step` if it has a value there, from `anchor` s for words along time."""
    if isinstance(formula, Atom):
        margin = 10.0 * (signals[formula.signal][step] - formula.bound_cm / 100)
        return margin if formula.at_least else -margin
    if isinstance(formula, Not):
        return -truth(formula.part, times, signals, anchor, step)
    if isinstance(formula, Join):
        values = [truth(part, times, signals, anchor, step) for part in formula.parts]
        return min(values) if formula.operator == "and" else max(values)
    latest = math.inf if formula.before is None else formula.before / 10
    inside = [j for j, t in enumerate(times) if formula.after / 10 - _SLACK_S <= t - anchor <= latest + _SLACK_S]

    def at(part: Formula, j: int) -> float:
        return truth(part, times, signals, times[j], j)

    if formula.word == "always":
        return min((at(formula.parts[0], j) for j in inside), default=math.inf)
    if formula.word == "eventually":
        return max((at(formula.parts[0], j) for j in inside), default=-math.inf)
    first, second = formula.parts
    earlier = {j: [i for i, t in enumerate(times) if t >= anchor - _SLACK_S and t < times[j] - 1e-6] for j in inside}
    if formula.word == "until":
        reached = (min([at(second, j), *(at(first, i) for i in earlier[j])]) for j in inside)
        return max(reached, default=-math.inf)
    kept = (max([at(second, j), *(at(first, i) for i in earlier[j])]) for j in inside)
    return min(kept, default=math.inf)
