"""Layouts that the oracle has proven solvable, kept on disk so that every method and every run shares one proof."""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path

import mujoco
from pydantic import TypeAdapter, ValidationError

from vls_steering.robots import kinematics
from vls_steering.sim import layout, model, objects, oracle, scenes, scripted, shifts, stepper, tables, tasks, world
from vls_steering.sim.layout import SceneLayout
from vls_steering.sim.oracle import Oracle
from vls_steering.sim.tasks import Skill
from vls_steering.sim.world import World

_LAYOUT = TypeAdapter(SceneLayout)
# What a proof depends on.
_SOURCES = (kinematics, layout, model, objects, oracle, scenes, scripted, shifts, stepper, tables, tasks, world)


class ProvenLayouts:
    """`Oracle.draw_solvable`, remembered by scene, skill, seed and the code that proved it."""

    def __init__(self, oracle: Oracle, folder: Path) -> None:
        self._oracle = oracle
        self._folder = folder

    def draw(self, scene: str, seed: int, skill: Skill) -> SceneLayout:
        """A layout in which `skill` is possible; raises ConfigurationError when none is found."""
        path = self._folder / code_version() / f"{scene}-{str(skill).replace(' ', '_')}-{seed}.json"
        try:
            return _LAYOUT.validate_json(path.read_bytes())
        except (OSError, ValidationError):
            proven = self._oracle.draw_solvable(scene, seed, skill)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written aside and renamed: another process may be reading.
        aside = path.with_suffix(f".{os.getpid()}")
        aside.write_bytes(_LAYOUT.dump_json(proven))
        aside.replace(path)
        return proven


def proven_layout(scene: str, seed: int, skill: Skill, world: World | None = None) -> SceneLayout:
    """As `ProvenLayouts.draw`, from the cache that everything on this machine shares.

    `world` is where the proof is carried out; what it held is gone afterwards.
    """
    stage = world or World(scenes.draw_layout(scene, seed, skill.target))
    return ProvenLayouts(Oracle(stage), cache_folder()).draw(scene, seed, skill)


def cache_folder() -> Path:
    """Where the XDG base directory specification wants caches."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "vls_steering" / "layouts"


@cache
def code_version() -> str:
    """Changes when a proof may no longer hold."""
    digest = hashlib.sha256(mujoco.__version__.encode())
    for module in _SOURCES:
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()[:16]
