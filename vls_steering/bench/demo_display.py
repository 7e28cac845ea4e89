"""The terminal during a demo: a live picture where there is a terminal, one line per event where there is none."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

LINE_EVERY_S = 2.0


@dataclass(frozen=True)
class TaskView:
    """What a person follows while the arm moves."""

    elapsed_s: float
    stage: int
    stages: int
    stage_name: str
    progress: float
    tick_ms: float
    strength: float
    executor: str
    executor_reason: str = ""  # why it does not track


class Display:
    """Headlines stay; what is in progress is redrawn below them."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._live: Live | None = None
        self._line = ""
        self._printed_s = 0.0
        self._stage_names: dict[int, str] = {}

    def headline(self, words: str, note: str = "") -> None:
        """A new section of the demo."""
        self.settle()
        self._console.print(Text.assemble((words, "bold"), ("  " + note if note else "", "dim")), soft_wrap=True)

    def note(self, words: str, style: str = "") -> None:
        """One line that stays."""
        self.settle()
        self._console.print(Text("  " + words, style=style), soft_wrap=True)

    def nodes(self, states: Mapping[str, str]) -> None:
        """The nodes while they come up."""
        if self._console.is_terminal:
            marks = {"active": ("●", "green"), "inactive": ("◐", "yellow")}
            cells = [Text.assemble((marks.get(state, ("○", "dim"))), f" {name}  ") for name, state in states.items()]
            self._draw(Text("  ").append_text(Text("").join(cells)))
        else:
            self._say(", ".join(f"{name} {state}" for name, state in states.items()))

    def task(self, view: TaskView) -> None:
        """Stages, progress and latency while the arm moves."""
        self._stage_names[view.stage] = view.stage_name
        pace = f"tick {view.tick_ms:.0f} ms   strength {view.strength:.2f}   executor {view.executor.lower()}"
        if not self._console.is_terminal:
            percent = f"{100 * view.progress:.0f} %"
            stage = f"stage {view.stage + 1}/{view.stages} {view.stage_name!r} {percent}" if view.stages else "planning"
            why = f": {view.executor_reason}" if view.executor_reason else ""
            self._say(f"{view.elapsed_s:5.1f} s  {stage}   {pace}{why}", LINE_EVERY_S)
            return
        table = Table.grid(padding=(0, 2))
        for number in range(view.stages):
            done = number < view.stage
            share = 1.0 if done else view.progress if number == view.stage else 0.0
            style = "green" if done else "bold" if number == view.stage else "dim"
            name = Text(self._stage_names.get(number, f"stage {number + 1}"), style=style)
            bar = ProgressBar(total=1.0, completed=share, width=32, complete_style="cyan", finished_style="green")
            table.add_row("", name, bar, f"{100 * share:3.0f} %")
        status = f"  {view.elapsed_s:5.1f} s   {pace}"
        reason = Text(f"           {view.executor_reason}".rstrip(), style="yellow")
        self._draw(Group(table, Text(status, style="dim"), reason))

    def count(self, words: str, done: int, total: int) -> None:
        """Progress of long work."""
        if self._console.is_terminal:
            table = Table.grid(padding=(0, 2))
            table.add_row("", words, ProgressBar(total=total, completed=done, width=32), f"{done}/{total}")
            self._draw(table)
        else:
            self._say(f"{words} {done}/{total}", 2 * LINE_EVERY_S)

    def settle(self) -> None:
        """Leave what is drawn where it is."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _draw(self, picture: Table | Text | Group) -> None:
        if self._live is None:
            self._live = Live(console=self._console, refresh_per_second=10, transient=False)
            self._live.start()
        self._live.update(picture)

    def _say(self, line: str, every_s: float = 0.0) -> None:
        now_s = time.monotonic()
        if line != self._line and now_s - self._printed_s >= every_s:
            self._line, self._printed_s = line, now_s
            self._console.print(Text("  " + line), soft_wrap=True)
