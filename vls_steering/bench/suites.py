"""What each success benchmark consists of: tasks, scenes, methods and time limits."""

from __future__ import annotations

from dataclasses import dataclass

from vls_steering.core.errors import ConfigurationError
from vls_steering.sim.tasks import Skill, SkillKind


@dataclass(frozen=True)
class Task:
    """One instruction in one kind of scene; `goal` None means any skill counts."""

    name: str
    scene: str
    instruction: str | None
    goal: Skill | None
    limit_s: float
    shift: str = "none"  # what differs from training

    def drawn_for(self) -> Skill:
        """The skill that a drawn layout must be solvable for."""
        return self.goal or Skill(SkillKind.LIFT, "red cube")


@dataclass(frozen=True)
class Suite:
    """Tasks x methods."""

    name: str
    tasks: tuple[Task, ...]
    methods: tuple[str, ...]


QUICK = Suite(
    name="quick",
    tasks=(
        Task("pick blue", "play", "pick up the blue cube", Skill(SkillKind.LIFT, "blue cube"), 14.0),
        Task("place red", "play", "put the red cube on the plate", Skill(SkillKind.PLACE, "red cube"), 20.0),
        Task(
            "pick green past the box",
            "obstacle",
            "pick up the green cylinder but stay clear of the purple box",
            Skill(SkillKind.LIFT, "green cylinder"),
            14.0,
            shift="obstacle",
        ),
    ),
    methods=("base", "best_of_k", "ours"),
)

UNDIRECTED = Suite(
    name="undirected",
    tasks=(Task("any skill", "play", None, None, 20.0),),
    methods=("base", "base_warm"),
)

SUITES = {suite.name: suite for suite in (QUICK, UNDIRECTED)}


def suite(name: str) -> Suite:
    """The suite called `name`; raises ConfigurationError with the known names."""
    if name not in SUITES:
        raise ConfigurationError(f"there is no benchmark {name!r}", f"Choose one of: {', '.join(SUITES)}")
    return SUITES[name]
