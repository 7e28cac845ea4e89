"""`vls run`: the node set as processes of this one, without launch; none of them outlives it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from vls_steering.core.config import load_yaml
from vls_steering.core.errors import ExitCode
from vls_steering.core.files import writable_folder
from vls_steering.nodes.node_set import Deployment, nodes_for, share_folder

PR_SET_PDEATHSIG = 1  # linux/prctl.h
INTERRUPT_S = 20.0  # the manager takes the others down in this time
TERMINATE_S = 3.0
POLL_S = 0.05

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class ProcessSpec:
    """One process to start; `name` labels its lines and names its log file."""

    name: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Ended:
    """A process that ended by itself."""

    name: str
    code: int


class Supervisor:
    """Starts processes in order and stops them in reverse: SIGINT, then SIGTERM, then SIGKILL to the whole group.

    Each process leads its own session, so that Ctrl-C in the terminal reaches only this one, and gets SIGTERM from the
    kernel should this process be killed.  Start it from the main thread: the kernel watches the starting thread.
    """

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        log_folder: Path,
        environment: Mapping[str, str],
        echo: Callable[[str], None] = print,
    ) -> None:
        self._specs = tuple(specs)
        self._log_folder = log_folder
        self._environment = dict(environment)
        self._echo = echo
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._pump: LogPump | None = None

    def __enter__(self) -> Supervisor:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start every process; when one cannot be started, stop those that were."""
        self._log_folder.mkdir(parents=True, exist_ok=True)
        self._pump = LogPump(self._log_folder, self._echo)
        parent = os.getpid()
        try:
            for spec in self._specs:
                process = subprocess.Popen(
                    spec.command,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=lambda: _die_with(parent),
                )
                self._processes[spec.name] = process
                if process.stdout is not None:
                    self._pump.add(spec.name, process.stdout)
        except OSError:
            self.stop()
            raise
        self._pump.start()

    def process_id(self, name: str) -> int:
        return self._processes[name].pid

    def ended(self) -> tuple[Ended, ...]:
        """Processes that are gone although nobody stopped them."""
        codes = {name: process.poll() for name, process in self._processes.items()}
        return tuple(Ended(name, code) for name, code in codes.items() if code is not None)

    def stop(self) -> dict[str, int]:
        """Stop everything; returns the exit code of each process (negative: the signal that ended it)."""
        codes: dict[str, int] = {}
        while self._processes:
            name, process = self._processes.popitem()
            codes[name] = _stop_group(process)
        if self._pump is not None:
            self._pump.close()
        return codes


class LogPump:
    """Copies every line of every process to `<folder>/<name>.log`, and with its name in front to `echo`."""

    def __init__(self, folder: Path, echo: Callable[[str], None]) -> None:
        self._folder, self._echo = folder, echo
        self._selector = selectors.DefaultSelector()
        self._files: list[IO[bytes]] = []
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log pump", daemon=True)

    def add(self, name: str, stream: IO[bytes]) -> None:
        log = (self._folder / f"{name}.log").open("wb")
        self._files += [log, stream]
        os.set_blocking(stream.fileno(), False)
        pending = bytearray()

        def copy() -> bool:
            """Whether the stream goes on."""
            data = stream.read(65536)
            if data is None:
                return True
            log.write(data)
            log.flush()
            pending.extend(data)
            *lines, rest = bytes(pending).split(b"\n")
            pending[:] = rest
            for line in lines:
                self._echo(f"{name:<10} | {line.decode(errors='replace')}")
            return bool(data)

        self._selector.register(stream, selectors.EVENT_READ, copy)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """What the processes wrote before they ended is still copied."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)
        self._selector.close()
        for file in self._files:
            file.close()

    def _run(self) -> None:
        while self._selector.get_map():
            ready = self._selector.select(timeout=0.1)
            for key, _ in ready:
                if not key.data():
                    self._selector.unregister(key.fileobj)
            if self._closing.is_set() and not ready:
                return


def run_node_set(deployment: Deployment, run_folder: Path, echo: Callable[[str], None] = print) -> int:
    """Run every node of `deployment` until Ctrl-C, SIGTERM or the end of one of them; returns the exit code.

    Logs go to `run_folder/logs`.  A node that ends by itself takes the others down with it, in order: 5 (safety stop).
    Raises ConfigurationError before anything starts for a parameter file that is no YAML and for a folder that cannot
    be written.
    """
    load_yaml(deployment.parameter_file)
    log_folder = writable_folder(run_folder) / "logs"
    interrupted = threading.Event()
    before = {n: signal.signal(n, lambda *_: interrupted.set()) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        with Supervisor(node_processes(deployment), log_folder, node_environment(log_folder), echo) as supervisor:
            while not interrupted.wait(POLL_S):
                for gone in supervisor.ended():
                    echo(f"{gone.name} ended with {gone.code}: stopping the others; see {log_folder / gone.name}.log")
                    # A node that refuses its parameters says so with the contract's own code.
                    return gone.code if gone.code == ExitCode.BAD_ARGUMENTS else int(ExitCode.SAFETY_STOP)
            return int(ExitCode.INTERRUPTED)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def node_processes(deployment: Deployment) -> tuple[ProcessSpec, ...]:
    """The node set as commands; the manager comes last, and is therefore stopped first."""
    return tuple(
        ProcessSpec(entry.name, (sys.executable, "-m", entry.module, *entry.ros_arguments(deployment)))
        for entry in nodes_for(deployment.robot)
    )


def node_environment(log_folder: Path) -> dict[str, str]:
    """This process's environment, and what nodes need: large messages in shared memory, logs in the run folder."""
    profile = str(share_folder() / "config" / "fastdds.xml")
    return {
        "FASTDDS_DEFAULT_PROFILES_FILE": profile,
        "ROS_LOG_DIR": str(log_folder / "ros"),
        "RCUTILS_COLORIZED_OUTPUT": "0",
        "PYTHONUNBUFFERED": "1",
        **os.environ,
    }


def _die_with(parent: int) -> None:
    """Runs in the child before exec: SIGTERM when the parent dies, even by SIGKILL."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)


def _stop_group(process: subprocess.Popen[bytes]) -> int:
    for number, patience_s in ((signal.SIGINT, INTERRUPT_S), (signal.SIGTERM, TERMINATE_S)):
        if process.poll() is not None:
            break
        process.send_signal(number)
        _wait(process, patience_s)
    # Also when the process itself has ended: whatever it started is in its group.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()


def _wait(process: subprocess.Popen[bytes], patience_s: float) -> None:
    deadline_s = time.monotonic() + patience_s
    while process.poll() is None and time.monotonic() < deadline_s:
        time.sleep(POLL_S)
