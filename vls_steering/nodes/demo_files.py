"""runs/<stamp>/: score the log of a demo, and write report, film and log."""

from __future__ import annotations

import contextlib
import json
import math
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vls_steering import __version__
from vls_steering.bench.contrast import AloneRun
from vls_steering.bench.demo_display import Display
from vls_steering.bench.machine import describe_machine
from vls_steering.bench.recording import Recorder, Recording, RunFacts
from vls_steering.bench.report import report_page
from vls_steering.bench.score import Measures, Scorer, goal_of, nothing_measured
from vls_steering.bench.summary import PROGRAM, DemoRun, ending, finished, percentiles, section, summary
from vls_steering.bench.video import Film, Take, write_video
from vls_steering.core.errors import ExitCode
from vls_steering.nodes.demo_log import program_of, recording_of
from vls_steering.nodes.demo_options import DemoOptions
from vls_steering.nodes.demo_task import TaskEnd
from vls_steering.nodes.topic_log import write_mcap
from vls_steering.policies import FrozenPolicy
from vls_steering.rewards import parse_program
from vls_steering.rewards.expression import Text, walk
from vls_steering.sim.layout import SceneLayout
from vls_steering.sim.tasks import Skill, SkillKind
from vls_steering.sim.world import World

REPORT, ERROR_LOG = "report.json", "error.log"
TAKE_S = 16.0  # a longer run is shown faster
PACKAGES = ("torch", "numpy", "mujoco", "mink", "ruckig", "opencv-python-headless", "ros-rclpy")


def write_files(
    folder: Path,
    options: DemoOptions,
    end: TaskEnd,
    alone: AloneRun,
    world: World,
    policy: FrozenPolicy,
    goal: Skill | None,
    display: Display,
) -> ExitCode:
    """Write everything that a run leaves; returns its exit code, the simulator's verdict included."""
    write_mcap(end.entries, folder / "log.mcap")
    program = program_of(end.entries)
    facts = RunFacts(
        instruction=options.instruction,
        method="ours",
        layout=alone.recording.facts.layout,
        seed=options.seed,
        clock="running",
        program=program.document,
        program_sha256=program.sha256,
        written_by=program.written_by,
    )
    recording = recording_of(end.entries, facts)
    if program.document:
        pretty = json.dumps(json.loads(program.document), indent=2, ensure_ascii=False)
        (folder / "program.json").write_text(pretty + "\n", encoding="utf-8")
    scorer = Scorer(world)
    measures = scorer.measure(recording, goal)
    code, message = _judge(end, recording, measures)
    run = DemoRun(
        recording=recording,
        measures=measures,
        exit_code=code,
        message=message,
        command=options.command,
        versions=_versions(policy),
        contrast=alone.contrast,
        wall_s=end.wall_s,
        machine=describe_machine(),
    )
    _write_report(folder, summary(run))
    film = None
    if recording.ticks and code is not ExitCode.INTERRUPTED:
        film = _film(run, alone, scorer, goal, folder / "video.mp4", display)
    page = report_page(run, film.still if film else None, "video.mp4" if film else "")
    (folder / "report.html").write_text(page, encoding="utf-8")
    _say(run, folder, display)
    return code


def forget_earlier(folder: Path) -> None:
    """What another run left in the folder must not pass for this one's."""
    for name in (REPORT, "report.html", "video.mp4", "log.mcap", "program.json", ERROR_LOG):
        (folder / name).unlink(missing_ok=True)


def write_early_end(folder: Path, options: DemoOptions, code: ExitCode, message: str) -> None:
    """The report of a run that ended before it could be scored; what was already reported stays, but no success."""
    path = folder / REPORT
    if path.is_file():
        measured = json.loads(path.read_text(encoding="utf-8"))
        _write_report(folder, {**measured, "success": False, **ending(code, message)})
        return
    facts = RunFacts(
        options.instruction, "ours", SceneLayout(options.scene, options.seed, ()), options.seed, clock="running"
    )
    run = DemoRun(
        recording=Recorder().finish(facts),
        measures=nothing_measured(goal_of(options.instruction)),
        exit_code=code,
        message=message,
        command=options.command,
        versions=_versions(),
        machine=describe_machine(),
    )
    _write_report(folder, summary(run))
    (folder / "report.html").write_text(report_page(run), encoding="utf-8")


def _write_report(folder: Path, numbers: dict[str, Any]) -> None:
    (folder / REPORT).write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


def _judge(end: TaskEnd, recording: Recording, measures: Measures) -> tuple[ExitCode, str]:
    """The steering says when it is done; whether it is right is the simulator's to say."""
    if end.exit_code is not ExitCode.SUCCESS:
        return end.exit_code, end.message
    verdict = measures.verdict
    if verdict.collisions:
        return ExitCode.TASK_FAILED, "the obstacle was touched"
    if verdict.success is None:
        if finished(recording):
            return ExitCode.SUCCESS, "Every stage of the program is done by its own measure."
        return ExitCode.TASK_FAILED, "not every stage was done"
    if not verdict.success:
        return ExitCode.TASK_FAILED, f"the steering was content, but the simulator does not see: {verdict.goal}"
    return ExitCode.SUCCESS, ""


def _film(run: DemoRun, alone: AloneRun, scorer: Scorer, goal: Skill | None, path: Path, display: Display) -> Film:
    contrast = alone.contrast
    good = run.exit_code is ExitCode.SUCCESS
    takes = [
        Take(
            alone.recording,
            scorer.measure(alone.recording, goal),
            "1  frozen policy alone",
            contrast.explanation,
            contrast.success,
            speed=2.0,
        ),
        Take(
            run.recording,
            run.measures,
            "2  same policy, steered",
            f"Success: {_achieved(goal)}" if good else f"Failure: {run.message}",
            good,
            speed=max(1.0, math.ceil(2 * run.recording.duration_s / TAKE_S) / 2),
            keep_outs=kept_clear(run.recording.facts.program),
        ),
    ]
    return write_video(takes, path, scorer.world, progress=lambda done, total: display.count("rendering", done, total))


def _achieved(goal: Skill | None) -> str:
    if goal is None:
        return "every stage is done"
    return (
        f"the {goal.target} "
        + {
            SkillKind.LIFT: "is in the air",
            SkillKind.PLACE: "is on the plate",
            SkillKind.PUSH: "was pushed forward",
        }[goal.kind]
    )


def kept_clear(document: str) -> frozenset[str]:
    """Objects that the safety terms of a program name."""
    if not document:
        return frozenset()
    terms = [term for stage in parse_program(document).stages for term in stage.safety]
    return frozenset(node.value for term in terms for node in walk(term.expression) if isinstance(node, Text))


def _say(run: DemoRun, folder: Path, display: Display) -> None:
    numbers = summary(run)
    display.settle()
    if not numbers["success"]:
        display.note(f"no success: {run.message}", "bold red")
    elif numbers["judged_by"] == PROGRAM:
        display.note("success, measured by the program's own `done`: the simulator has no predicate for this", "green")
    else:
        display.note(
            f"success, measured by the simulator: {numbers['goal']} after {numbers['seconds_to_success']} s",
            "bold green",
        )
    facts = run.recording.facts
    if facts.program:
        display.note(f"the program was written by {facts.written_by}, sha256 {facts.program_sha256[:12]}")
    tick = percentiles(section(run.recording, "tick"))
    governor = numbers["governor"]
    display.note(f"tick p50 {tick['p50']} ms, p95 {tick['p95']} ms; governor passed {governor['passed']}, "
                 f"scaled {governor['scaled']}, rejected {governor['rejected']}")  # fmt: skip
    if run.recording.camera_to_set_point_ms.size:
        age, factor = numbers["camera_to_set_point_ms"], numbers["real_time_factor"]
        display.note(f"camera to set-point p50 {age['p50']} ms, p95 {age['p95']} ms of the world's time, "
                     f"which ran at {factor} of real time")  # fmt: skip
    if numbers["least_clearance_m"] is not None:
        display.note(f"closest to the obstacle: {100 * numbers['least_clearance_m']:.1f} cm")
    for name in ("report.html", "video.mp4", REPORT, "log.mcap"):
        if (folder / name).exists():
            display.note(str(folder / name), "dim")


def _versions(policy: FrozenPolicy | None = None) -> dict[str, str]:
    found = {"vls_steering": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[package] = version(package)
    return found if policy is None else {**found, "policy": f"{policy.name} {policy.sha256}"}
