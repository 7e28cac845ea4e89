"""What a person reads while the arm moves, on a terminal and in a log."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from vls_steering.bench.demo_display import Display, TaskView

VIEW = TaskView(
    12.3, 1, 3, "grasp the cube", 0.4, 21.0, 1.0, "HOLDING", "no good chunk for 0.60 s; the last one: too close"
)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_an_arm_that_stands_still_says_why(is_terminal: bool) -> None:
    page = io.StringIO()
    display = Display(Console(file=page, force_terminal=is_terminal, width=200, highlight=False))
    display.task(VIEW)
    display.settle()
    shown = page.getvalue()
    assert "grasp the cube" in shown
    assert "executor holding" in shown
    assert "the last one: too close" in shown
