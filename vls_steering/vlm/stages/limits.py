"""Constraints on every stage: each returns the stage with its own terms added, and the words that ask for them."""

from __future__ import annotations

from dataclasses import dataclass

from vls_steering.vlm.stages.text import Stage, cm, kp

# Keep-outs that name no distance: the gate, and the room that is preferred where there is a choice.
GATE_MARGIN_M = 0.015
PREFERRED_MARGIN_M = 0.04
# Less than the approach's 2.5: a preference for room must not push the hand off the object it grasps.
PREFERENCE_WEIGHT = 1
SLOW_CM_S = 15
# A nudge: a slow way that does not arrive is no use.
SLOW_WEIGHT = 0.2
MAX_TILT_DEG = 15


@dataclass(frozen=True)
class KeepOut:
    """An object that the hand's body and what it holds stay away from, and the words that say so."""

    name: str
    phrase: str
    margin_m: float | None = None  # None: no distance was given

    def apply(self, stage: Stage) -> Stage:
        """The stage with the keep-out as a gate and, where no distance was given, more room as a preference."""
        space = f"always(clearance(body, {kp(self.name)})"
        gate = self.margin_m if self.margin_m is not None else GATE_MARGIN_M
        stage = gated(stage, f"{space} >= {cm(gate)})", self.phrase)
        if self.margin_m is None:
            stage = preferred(stage, f"{space} >= {cm(PREFERRED_MARGIN_M)}) * {PREFERENCE_WEIGHT}", self.phrase)
        return stage


def gated(stage: Stage, term: str, phrase: str) -> Stage:
    """The stage with one more condition that no motion may break."""
    return {**stage, "safety": [*stage.get("safety", []), {"term": term, "phrase": phrase}]}


def preferred(stage: Stage, term: str, phrase: str) -> Stage:
    """The stage with one more term in its reward."""
    return {**stage, "reward": [*stage["reward"], {"term": term, "phrase": phrase}]}


def slowed(stage: Stage, phrase: str) -> Stage:
    """A preference, not a gate: a policy that knows no slow motion shall go on, as slowly as it can."""
    return preferred(stage, f"always(speed <= {SLOW_CM_S} cm/s) * {SLOW_WEIGHT}", phrase)


def shortened(stage: Stage, share: float) -> Stage:
    """The stage with its time cut to a share of it."""
    seconds = share * float(str(stage["deadline"]).removesuffix(" s"))
    return {**stage, "deadline": f"{round(seconds, 1):g} s"}
