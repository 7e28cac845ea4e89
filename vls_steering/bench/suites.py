"""What each success benchmark consists of: tasks, scenes, methods and time limits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from vls_steering.core.errors import ConfigurationError
from vls_steering.sim.objects import GRASPABLES
from vls_steering.sim.tasks import Skill, SkillKind


@dataclass(frozen=True)
class Task:
    """One instruction in one kind of scene; `goal` None means any skill counts."""

    name: str  # unique in its suite
    scene: str
    instruction: str | None
    goal: Skill | None
    limit_s: float
    shift: str = "none"  # what differs from training

    def drawn_for(self) -> Skill:
        """The skill that a drawn layout must be solvable for."""
        return self.goal or Skill(SkillKind.LIFT, "red cube")


Deal = Callable[[Sequence[Task], Sequence[int]], tuple[tuple[Task, int], ...]]


def every_task(tasks: Sequence[Task], seeds: Sequence[int]) -> tuple[tuple[Task, int], ...]:
    """Each seed runs every task."""
    return tuple((task, seed) for seed in seeds for task in tasks)


def in_turn(tasks: Sequence[Task], seeds: Sequence[int]) -> tuple[tuple[Task, int], ...]:
    """Each seed runs one task, the next seed the next one: evenly spread over the tasks."""
    return tuple((tasks[index % len(tasks)], seed) for index, seed in enumerate(seeds))


@dataclass(frozen=True)
class Suite:
    """Tasks, the methods that are compared on them, and how seeds are dealt out to the tasks."""

    name: str
    tasks: tuple[Task, ...]
    methods: tuple[str, ...]
    deal: Deal

    def task(self, name: str) -> Task:
        """The task called `name`; KeyError when there is none."""
        return next(task for task in self.tasks if task.name == name)


# Methods that are published for a slower loop: half of a chunk is executed before the next one is planned.  Where the
# world does not wait they stop to plan, however often that is.
PLAN_EVERY_S = MappingProxyType({"vls": 0.8, "vls_released": 0.8})
_COMPARED = ("base", "best_of_k", "vls_released", "vls", "rti", "ours")
_LIMIT_S = MappingProxyType({SkillKind.LIFT: 14.0, SkillKind.PLACE: 20.0, SkillKind.PUSH: 14.0})
_WORDS = MappingProxyType(
    {
        SkillKind.LIFT: "pick up the {}",
        SkillKind.PLACE: "put the {} on the plate",
        SkillKind.PUSH: "push the {} forward",
    }
)
_DETOUR_S = 4.0  # more time where the straight way is closed or becomes the wrong one


@dataclass(frozen=True)
class Shift:
    """One way in which a scene differs from training, and what is asked for in it; `sim.shifts` draws it."""

    name: str
    scene: str
    kind: SkillKind
    words: str

    def task(self, target: str) -> Task:
        limit_s = _LIMIT_S[self.kind] + _DETOUR_S
        instruction = self.words.format(target)
        skill = Skill(self.kind, target)
        return Task(f"{skill}, {self.name}", self.scene, instruction, skill, limit_s, self.name)


SHIFTS = (
    Shift("obstacle", "obstacle", SkillKind.LIFT, "pick up the {} but stay clear of the purple box"),
    Shift("keep-out region", "keep_out", SkillKind.LIFT, "pick up the {}"),
    # Higher than the support by what counts as a lift.
    Shift("raised support", "raised", SkillKind.LIFT, "lift the {} 22 cm high"),
    Shift("clutter", "clutter", SkillKind.LIFT, "pick up the {}"),
    Shift("moved goal", "moved_goal", SkillKind.PLACE, "put the {} on the plate"),
    Shift("swapped objects", "swapped", SkillKind.LIFT, "pick up the {}"),
)


def asked_for(scene: str, target: str) -> Skill:
    """What somebody who has said nothing yet is likely to ask for in a scene, and what its layout must allow."""
    kinds = {shift.scene: shift.kind for shift in SHIFTS}
    return Skill(kinds.get(scene, SkillKind.LIFT), target)


def _skill_task(kind: SkillKind, target: str) -> Task:
    skill = Skill(kind, target)
    return Task(str(skill), "play", _WORDS[kind].format(target), skill, _LIMIT_S[kind])


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
    deal=every_task,
)

PLAY = Suite(
    name="play",
    tasks=tuple(_skill_task(kind, target) for target in GRASPABLES for kind in SkillKind),
    methods=_COMPARED,
    deal=in_turn,
)

SHIFT = Suite(
    name="shift",
    tasks=tuple(shift.task(target) for target in GRASPABLES for shift in SHIFTS),
    methods=_COMPARED,
    deal=in_turn,
)

UNDIRECTED = Suite(
    name="undirected",
    tasks=(Task("any skill", "play", None, None, 20.0),),
    methods=("base", "base_warm"),
    deal=every_task,
)

SUITES = MappingProxyType({suite.name: suite for suite in (QUICK, PLAY, SHIFT, UNDIRECTED)})


def suite(name: str) -> Suite:
    """The suite called `name`; raises ConfigurationError with the known names."""
    if name not in SUITES:
        raise ConfigurationError(f"there is no benchmark {name!r}", f"Choose one of: {', '.join(SUITES)}")
    return SUITES[name]
