"""What comes before the nodes start: a layout that can be solved, and the frozen policy alone in it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from vls_steering.bench.episode import EpisodeRunner, EpisodeSpec, TickView
from vls_steering.bench.outcome import EpisodeResult
from vls_steering.bench.recording import Recorder, Recording, RunFacts
from vls_steering.bench.suites import asked_for
from vls_steering.bench.summary import Contrast
from vls_steering.core.errors import Refusal
from vls_steering.policies import FrozenPolicy
from vls_steering.sim.layout import SceneLayout
from vls_steering.sim.objects import GRASPABLES
from vls_steering.sim.oracle import Oracle, candidates
from vls_steering.sim.tasks import Skill
from vls_steering.sim.world import World
from vls_steering.steering.presets import preset

CONTRAST_S = 10.0
REHEARSAL_S = 0.8


@dataclass(frozen=True)
class AloneRun:
    """The frozen policy without any instruction."""

    recording: Recording
    contrast: Contrast


class Prologue:
    """Owns the world and the cameras of the in-process episodes; close it before the nodes start theirs."""

    def __init__(self, policy: FrozenPolicy, scene: str, seed: int, goal: Skill | None) -> None:
        self._scene, self._seed, self._goal = scene, seed, goal
        # An instruction without a predicate still needs a layout that somebody could work in.
        self._proven_for = goal or asked_for(scene, "red cube")
        self._unproven = next(candidates(scene, seed, self._proven_for))
        self._runner = EpisodeRunner(policy, self._unproven)

    @property
    def world(self) -> World:
        """For scoring and filming afterwards."""
        return self._runner.world

    def rehearse(self, instruction: str) -> float:
        """A few steered ticks on an unproven layout: seconds a tick takes here, so that the demo can pace the world.

        The offline grammar grounds the instruction in what the cameras see; raises Refusal with its reason.  Every
        layout of a scene holds the same things, so that what is refused here would be refused in any of them.
        """
        spec = EpisodeSpec(self._unproven, instruction, self._goal, preset("ours"), self._seed, limit_s=REHEARSAL_S)
        result = self._runner.run(spec)
        if result.refusal:
            raise Refusal(result.refusal)
        return float(np.median(result.tick_ms)) / 1e3

    def rehearse_anything(self) -> float:
        """The same where another back end than the grammar will write the program."""
        return self.rehearse(f"pick up the {self._proven_for.target}")

    def draw(self) -> SceneLayout:
        """A layout in which the scripted oracle has done what is asked for; takes seconds."""
        return Oracle(self._runner.world).draw_solvable(self._scene, self._seed, self._proven_for)

    def run_alone(self, layout: SceneLayout, instruction: str) -> AloneRun:
        """The policy as it is, in the layout and with the seed of the run that follows."""
        recorder = Recorder()
        record, views = recorder.watcher(), deque[TickView](maxlen=1)

        def watch(view: TickView) -> None:
            record(view)
            views.append(view)

        spec = EpisodeSpec(layout, None, self._goal, preset("base"), self._seed, limit_s=CONTRAST_S)
        result = self._runner.run(spec, watch)
        made_for = _made_for(views[-1]) if views else ""
        facts = RunFacts(instruction, "base", layout, self._seed, clock="paused")
        contrast = Contrast(
            success=result.success,
            completed=list(result.completed),
            collisions=result.collisions,
            seconds=round(result.seconds, 2),
            explanation=_explanation(result, self._goal, made_for),
            made_for=made_for,
        )
        return AloneRun(recorder.finish(facts), contrast)

    def close(self) -> None:
        """Free the cameras' OpenGL context."""
        self._runner.close()


def _made_for(view: TickView) -> str:
    """The graspable object nearest to where the chunk ends; empty when none is seen."""
    end = view.result.chunk.positions[-1]
    seen = [point for point in view.observation.keypoints.points if point.name in GRASPABLES]
    return min(seen, key=lambda point: float(np.linalg.norm(point.position - end))).name if seen else ""


def _explanation(result: EpisodeResult, goal: Skill | None, made_for: str) -> str:
    towards = f"made for the {made_for} and " if made_for else ""
    if result.collisions:
        return f"Alone, the policy {towards}ran into the obstacle."
    if result.success:
        return f"Alone, the policy happened to do it: {goal or result.completed[0]}."
    if result.completed:
        return f"Alone, the policy did something else: {', '.join(result.completed)}."
    if result.stop_reason:
        return f"Alone, the policy {towards}was stopped: {result.stop_reason}."
    return f"Alone, the policy {towards}finished nothing in {result.seconds:.0f} s."
