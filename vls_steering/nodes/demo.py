"""`vls demo`: one sentence in, a moving arm out, over real nodes; then the proof of what happened."""

from __future__ import annotations

import os
import sys
import time
import traceback
import webbrowser
from pathlib import Path

from vls_steering.bench.contrast import AloneRun, Prologue
from vls_steering.bench.demo_display import Display
from vls_steering.bench.pace import TICK_S
from vls_steering.bench.score import goal_of
from vls_steering.core.errors import ExitCode, VlsError
from vls_steering.core.extras import explained
from vls_steering.nodes.demo_files import ERROR_LOG, forget_earlier, write_early_end, write_files
from vls_steering.nodes.demo_options import DemoOptions, write_parameters
from vls_steering.nodes.demo_task import run_task
from vls_steering.nodes.interruption import terminated_like_interrupted
from vls_steering.nodes.supervisor import node_environment
from vls_steering.policies import open_policy
from vls_steering.sim.layout import SceneLayout

__all__ = ["DemoOptions", "isolate", "run_demo", "terminated_like_interrupted"]

BESIDE_NODES = 2.0  # a tick takes this much longer while cameras, perception and executor share the processor
SLOWEST = 0.1


def run_demo(options: DemoOptions) -> ExitCode:
    """Run the demonstration and return the exit code of the command contract; never raises, leaves no process.

    From the moment its folder is there, a report is left in it, whatever happens.
    """
    display = Display()
    started_s = time.monotonic()
    try:
        options.check()
        folder = options.open_folder()
    except VlsError as error:
        print(f"vls: {error}", file=sys.stderr)
        return error.exit_code
    try:
        forget_earlier(folder)
        with terminated_like_interrupted():
            code = _run(options, folder, display)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the border of the program: every end is reported
        display.settle()
        return _end_early(options, folder, error)
    display.note(f"{time.monotonic() - started_s:.0f} s in all, exit code {int(code)}", "dim")
    return code


def _end_early(options: DemoOptions, folder: Path, error: BaseException) -> ExitCode:
    code, message = _told(error, folder)
    print(f"vls: {message}", file=sys.stderr)
    try:
        write_early_end(folder, options, code, message)
    except OSError as failure:
        print(f"vls: no report could be written to {folder}: {failure.strerror or failure}", file=sys.stderr)
    return code


def _told(error: BaseException, folder: Path) -> tuple[ExitCode, str]:
    """Exit code, and one line with cause and cure; what nobody foresaw leaves its traceback in the folder."""
    if isinstance(error, KeyboardInterrupt):
        return ExitCode.INTERRUPTED, "interrupted; the arm does not move"
    if isinstance(error, ModuleNotFoundError):
        error = explained(error) or error
    if isinstance(error, VlsError):
        return error.exit_code, str(error)
    trace, log = "".join(traceback.format_exception(error)), folder / ERROR_LOG
    cause = " ".join(f"{type(error).__name__}: {error}".split())
    try:
        log.write_text(trace, encoding="utf-8")
    except OSError:
        print(trace, file=sys.stderr)
        return ExitCode.INTERNAL_ERROR, f"{cause}. This is unforeseen: please report it with the traceback above."
    return ExitCode.INTERNAL_ERROR, f"{cause}. This is unforeseen: please report it with {log}."


def _run(options: DemoOptions, folder: Path, display: Display) -> ExitCode:
    display.headline(f'"{options.instruction}"', f"scene {options.scene}, seed {options.seed}, {folder}")
    goal = goal_of(options.instruction)
    policy = open_policy(options.policy_file)
    prologue = Prologue(policy, options.scene, options.seed, goal)
    try:
        pace = _pace(prologue, options, display)
        layout, alone = _alone(prologue, options, display)
    finally:
        prologue.close()
    display.headline("The same policy, steered", "nodes over DDS, clock running")
    deployment = write_parameters(options, layout, pace, folder)
    isolate(folder / "logs")
    end = run_task(options.instruction, deployment, folder / "logs", display)
    display.headline("What came of it")
    code = write_files(folder, options, end, alone, prologue.world, policy, goal, display)
    if not options.headless:
        webbrowser.open((folder / "report.html").as_uri())
    return code


def _pace(prologue: Prologue, options: DemoOptions, display: Display) -> float:
    """Real-time factor at which this machine keeps up; raises Refusal for what the grammar does not understand."""
    # The grammar needs no server: what it refuses can be said at once, before anything is started.
    grammar = options.vlm == "offline"
    tick_s = prologue.rehearse(options.instruction) if grammar else prologue.rehearse_anything()
    pace = min(1.0, max(SLOWEST, TICK_S / (BESIDE_NODES * tick_s)))
    if options.pace is not None:
        display.note(
            f"a steered tick takes {1e3 * tick_s:.0f} ms here; the arm keeps {options.pace:g} of real time", "dim"
        )
        return pace
    slowed = f"; the world runs at {pace:.2f} of real time, so that chunks are not late" if pace < 1 else ""
    display.note(f"a steered tick takes {1e3 * tick_s:.0f} ms here{slowed}", "yellow" if slowed else "dim")
    return pace


def _alone(prologue: Prologue, options: DemoOptions, display: Display) -> tuple[SceneLayout, AloneRun]:
    display.headline("Drawing a layout that the scripted oracle can solve")
    layout = prologue.draw()
    display.headline("The frozen policy alone", "it hears no instruction; in this process, clock paused")
    alone = prologue.run_alone(layout, options.instruction)
    display.note(alone.contrast.explanation, "yellow")
    return layout, alone


def isolate(log_folder: Path) -> None:
    """A domain of its own on this host only, unless the caller has chosen one: nobody else's arm may hear this."""
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 101))
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.update(node_environment(log_folder))
