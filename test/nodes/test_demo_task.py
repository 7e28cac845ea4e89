"""The demo's task over DDS with stand-in nodes: every way it can end, with its exit code; no process is left."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from rich.console import Console

from vls_steering.bench.demo_display import Display
from vls_steering.core.errors import ConfigurationError, ExitCode
from vls_steering.nodes import demo_task, topics
from vls_steering.nodes.demo_task import TaskEnd, run_task
from vls_steering.nodes.node_set import Deployment
from vls_steering.nodes.supervisor import ProcessSpec, Supervisor

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros_environment")]

FAKE_SET = ProcessSpec("fakes", (sys.executable, str(Path(__file__).with_name("fake_set.py"))))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Stand-ins instead of the real nodes; the list gets their process ids."""
    pids: list[int] = []
    start = Supervisor.start

    def noted(self: Supervisor) -> None:
        start(self)
        pids.append(self.process_id("fakes"))

    monkeypatch.setattr(demo_task, "node_processes", lambda deployment: (FAKE_SET,))
    monkeypatch.setattr(Supervisor, "start", noted)
    monkeypatch.setattr(demo_task, "SETTLE_S", 0.3)
    return pids


def carry_out(instruction: str, folder: Path) -> tuple[TaskEnd, str]:
    with (folder / "terminal.txt").open("w") as terminal:
        display = Display(Console(file=terminal, width=200))
        end = run_task(instruction, Deployment(use_sim_time=False), folder / "logs", display)
    return end, (folder / "terminal.txt").read_text()


def when_running(folder: Path, act) -> threading.Thread:
    """Call `act` once the terminal shows that the task runs."""

    def wait() -> None:
        while "stage 1/2" not in (folder / "terminal.txt").read_text():
            time.sleep(0.05)
        act()

    (folder / "terminal.txt").touch()
    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


def test_a_task_that_is_done(started: list[int], tmp_path: Path) -> None:
    end, shown = carry_out("pick up the blue cube", tmp_path)
    assert (end.exit_code, end.message) == (ExitCode.SUCCESS, "")
    logged = {entry.topic.name for entry in end.entries}
    assert logged >= {topic.name for topic in (topics.STEERING_STATUS, topics.SAFETY_STATUS, topics.INSTRUCTION)}
    assert end.wall_s > 0
    assert "all nodes are active" in shown
    assert is_gone(started[0])


def test_an_instruction_that_is_refused(started: list[int], tmp_path: Path) -> None:
    end, shown = carry_out("nonsense", tmp_path)
    assert (end.exit_code, end.message) == (ExitCode.REFUSED, "not understood")
    assert "not understood" in shown
    assert is_gone(started[0])


def test_a_task_that_takes_too_long(started: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_task, "TASK_S", 1.0)
    end, _ = carry_out("forever", tmp_path)
    assert end.exit_code is ExitCode.TASK_FAILED
    assert "not done within 1 s" in end.message


def test_ctrl_c_in_the_middle(started: list[int], tmp_path: Path) -> None:
    when_running(tmp_path, lambda: os.kill(os.getpid(), signal.SIGINT))
    end, shown = carry_out("forever", tmp_path)
    assert end.exit_code is ExitCode.INTERRUPTED
    assert "the arm holds" in end.message
    assert "the arm holds" in shown
    assert is_gone(started[0])


def test_a_node_that_dies(started: list[int], tmp_path: Path) -> None:
    when_running(tmp_path, lambda: os.kill(started[0], signal.SIGKILL))
    end, _ = carry_out("forever", tmp_path)
    assert end.exit_code is ExitCode.SAFETY_STOP
    assert "the fakes node was ended by signal 9" in end.message
    assert "fakes.log" in end.message


def test_a_node_that_refuses_its_parameters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    refuse = "import sys; print('camera: no such device. Plug it in.'); sys.exit(2)"
    spec = ProcessSpec("camera", (sys.executable, "-c", refuse))
    monkeypatch.setattr(demo_task, "node_processes", lambda deployment: (spec,))
    with pytest.raises(ConfigurationError, match="no such device"):
        carry_out("forever", tmp_path)
