"""A progress bar on a terminal, one line a step in a log."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress


class Progress:
    """Counts finished units of long work and says how they went."""

    def __init__(self, title: str, total: int, done: int = 0) -> None:
        self._total, self._done, self._good = total, done, 0
        self._title = title
        self._start_s = time.monotonic()
        self._bar: RichProgress | None = None
        if sys.stderr.isatty():
            self._bar = RichProgress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=Console(stderr=True),
            )
            self._task = self._bar.add_task(title, total=total, completed=done, note="")

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, note: str, ok: bool) -> None:
        """One more unit is finished."""
        self._done += 1
        self._good += ok
        if self._bar is not None:
            self._bar.update(self._task, advance=1, note=f"{note} {'ok' if ok else 'failed'}")
        else:
            elapsed_s = time.monotonic() - self._start_s
            outcome = "ok" if ok else "failed"
            print(f"{self._title} {self._done}/{self._total} {elapsed_s:.0f} s {note} {outcome}", file=sys.stderr)

    def jump(self, done: int, good: int) -> None:
        """So many units are finished by now, so many of them well."""
        self._done, self._good = done, good
        if self._bar is not None:
            self._bar.update(self._task, completed=done, note=f"{good} kept")
        else:
            print(f"{self._title} {done}/{self._total} kept {good}", file=sys.stderr)
