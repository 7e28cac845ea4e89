"""Processes start, are logged, are stopped in reverse, and never outlive their supervisor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from vls_steering.nodes.supervisor import ProcessSpec, Supervisor

pytestmark = pytest.mark.alone

CHILD = """
import os, signal, sys, time
name, journal = sys.argv[1:3]
def leave(number, frame):
    open(journal, "a").write(f"{name} {signal.Signals(number).name}\\n")
    sys.exit(0)
signal.signal(signal.SIGINT, leave)
signal.signal(signal.SIGTERM, leave)
print(f"{name} is up", flush=True)
while True: time.sleep(0.05)
"""
STUBBORN = """
import os, signal, subprocess, sys, time
for number in (signal.SIGINT, signal.SIGTERM): signal.signal(number, signal.SIG_IGN)
grandchild = subprocess.Popen(["sleep", "600"])
print(f"grandchild {grandchild.pid}", flush=True)
while True: time.sleep(0.05)
"""


def spec(name: str, source: str, *arguments: str) -> ProcessSpec:
    return ProcessSpec(name, (sys.executable, "-c", source, name, *arguments))


def alive(pid: int) -> bool:
    """Whether the process exists and is not merely waiting to be reaped."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for(condition, within_s: float = 60.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_stopping_is_gentle_and_in_reverse(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    lines: list[str] = []
    specs = [spec(name, CHILD, str(journal)) for name in ("first", "second", "third")]
    with Supervisor(specs, tmp_path / "logs", dict(os.environ), lines.append) as supervisor:
        wait_for(lambda: len(lines) == 3)
        pids = [supervisor.process_id(one.name) for one in specs]
        assert supervisor.ended() == ()
        codes = supervisor.stop()
    assert journal.read_text().split("\n")[:3] == ["third SIGINT", "second SIGINT", "first SIGINT"]
    assert codes == {"first": 0, "second": 0, "third": 0}
    assert not any(alive(pid) for pid in pids)


def test_every_line_is_kept_and_shown_with_its_source(tmp_path: Path) -> None:
    lines: list[str] = []
    source = "import sys; print('out'); print('err', file=sys.stderr); sys.stdout.write('no newline at the end')"
    supervisor = Supervisor([spec("talker", source)], tmp_path / "logs", dict(os.environ), lines.append)
    supervisor.start()
    wait_for(lambda: supervisor.ended() != ())
    supervisor.stop()
    assert {"talker     | out", "talker     | err"} <= set(lines)
    assert "no newline at the end" in (tmp_path / "logs" / "talker.log").read_text()


def test_a_process_that_ends_by_itself_is_reported(tmp_path: Path) -> None:
    with Supervisor(
        [spec("brief", "raise SystemExit(3)")], tmp_path / "logs", dict(os.environ), lambda _: None
    ) as supervisor:
        wait_for(lambda: supervisor.ended() != ())
        assert [(ended.name, ended.code) for ended in supervisor.ended()] == [("brief", 3)]


def test_a_process_that_ignores_every_signal_goes_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vls_steering.nodes.supervisor.INTERRUPT_S", 0.2)
    monkeypatch.setattr("vls_steering.nodes.supervisor.TERMINATE_S", 0.2)
    lines: list[str] = []
    with Supervisor([spec("stubborn", STUBBORN)], tmp_path / "logs", dict(os.environ), lines.append) as supervisor:
        wait_for(lambda: lines)
        grandchild = int(lines[0].split()[-1])
        assert alive(grandchild)
        codes = supervisor.stop()
    assert codes == {"stubborn": -signal.SIGKILL}
    wait_for(lambda: not alive(grandchild))


def test_nothing_outlives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    source = textwrap.dedent(f"""
        import os, sys, time
        from pathlib import Path
        from vls_steering.nodes.supervisor import ProcessSpec, Supervisor
        command = (sys.executable, "-c", {CHILD!r}, "child", {str(tmp_path / "journal")!r})
        supervisor = Supervisor([ProcessSpec("child", command)], Path({str(tmp_path)!r}), dict(os.environ))
        supervisor.start()
        print(supervisor.process_id("child"), flush=True)
        time.sleep(600)
    """)
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout is not None
        child = int(killed.stdout.readline())
        assert "child is up" in killed.stdout.readline()
        killed.kill()
    wait_for(lambda: not alive(child))
    assert (tmp_path / "journal").read_text() == "child SIGTERM\n"  # it had the chance to leave in good order


def test_a_command_that_cannot_start_takes_the_started_ones_down(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    good, bad = spec("good", CHILD, str(journal)), ProcessSpec("bad", ("/nowhere/at/all",))
    supervisor = Supervisor([good, bad], tmp_path / "logs", dict(os.environ), lambda _: None)
    with pytest.raises(FileNotFoundError):
        supervisor.start()
    assert supervisor.ended() == ()
