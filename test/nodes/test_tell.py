"""`vls tell`, `arm`, `hold` and `estop` against a running graph of stand-ins, in a namespace, over DDS."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from rich.console import Console
from typer.testing import CliRunner

from vls_steering import cli
from vls_steering.bench.demo_display import Display
from vls_steering.core.errors import ConfigurationError, ExitCode, VlsError
from vls_steering.nodes.operate import Declined
from vls_steering.nodes.tell import tell_graph

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("graph")]


@pytest.fixture(scope="module")
def graph(ros_environment: dict[str, str]) -> Iterator[None]:
    """The stand-ins as `vls run --namespace cell` would start them."""
    command = [sys.executable, str(Path(__file__).with_name("fake_set.py")), "--ros-args", "-r", "__ns:=/cell"]
    process = subprocess.Popen(command)
    yield
    process.send_signal(signal.SIGINT)
    assert process.wait(20.0) == 0


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """What is left of one context must not end during the next; see the fixture `ros`."""
    yield
    gc.collect()


def told(instruction: str, terminal: Path, namespace: str = "cell", wait_s: float = 30.0) -> tuple[ExitCode, str]:
    with terminal.open("w") as stream:
        code = tell_graph(instruction, namespace, 0.0, wait_s, Display(Console(file=stream, width=200)))
    return code, terminal.read_text()


def operate(*words: str) -> str:
    """What `vls WORDS --namespace cell` says; raises what it ends with."""
    result = CliRunner().invoke(cli.app, [*words, "--namespace", "cell"])
    if result.exception is not None:
        raise result.exception
    return result.output


def test_a_task_is_followed_to_its_end(tmp_path: Path) -> None:
    code, shown = told("pick up the blue cube", tmp_path / "terminal")
    assert code is ExitCode.SUCCESS
    assert "every stage is done" in shown


def test_what_is_refused_ends_with_the_reason(tmp_path: Path) -> None:
    code, shown = told("nonsense", tmp_path / "terminal")
    assert code is ExitCode.REFUSED
    assert "not understood" in shown


def test_ctrl_c_takes_the_task_back_and_the_graph_takes_the_next(tmp_path: Path) -> None:
    terminal = tmp_path / "terminal"
    terminal.touch()

    def interrupt_under_way() -> None:
        while "stage 1/2" not in terminal.read_text():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt_under_way, daemon=True).start()
    code, shown = told("forever", terminal)
    assert code is ExitCode.INTERRUPTED
    assert "the arm holds" in shown
    assert told("pick up the blue cube", terminal)[0] is ExitCode.SUCCESS


def test_hold_takes_back_the_task_that_somebody_else_gave() -> None:
    command = [sys.executable, "-m", "vls_steering.cli", "tell", "forever", "--namespace", "cell"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        next(line for line in other.stdout if "stage 1/2" in line)
        assert "tasks taken back: 1" in operate("hold")
        assert "canceled; the arm holds" in other.stdout.read()
    assert other.returncode == ExitCode.INTERRUPTED


def test_an_emergency_stop_lets_nobody_arm_until_it_is_released() -> None:
    assert "emergency stop engaged" in operate("estop", "on")
    with pytest.raises(Declined, match="EMERGENCY_STOP") as declined:
        operate("arm")
    assert declined.value.exit_code is ExitCode.SAFETY_STOP
    assert "emergency stop released" in operate("estop", "off")
    assert "armed" in operate("arm")


def test_where_no_graph_is_the_cure_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(VlsError, match="no graph was heard in namespace 'elsewhere'") as absent:
        told("pick up the blue cube", tmp_path / "terminal", "elsewhere", wait_s=1.0)
    assert "Start one with vls run" in absent.value.cure
    assert absent.value.exit_code is ExitCode.INTERNAL_ERROR
    monkeypatch.setattr("vls_steering.nodes.operate.THERE_WITHIN_S", 0.5)
    result = CliRunner().invoke(cli.app, ["estop", "on", "--namespace", "elsewhere"])
    assert "the emergency stop was NOT engaged" in str(result.exception)
    assert "Use the button on the cell" in str(result.exception)


def test_an_empty_instruction_is_a_bad_argument(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="the instruction is empty"):
        told(" ", tmp_path / "terminal")
