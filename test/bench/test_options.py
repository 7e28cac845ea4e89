"""`vls bench`: an option that a benchmark does not look at is an error, with what it does look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from vls_steering import cli
from vls_steering.bench import commands
from vls_steering.bench.commands import BenchRequest
from vls_steering.bench.options import TAKES, check_options
from vls_steering.core.errors import ConfigurationError


def error(*arguments: str, out: str = "x.json") -> str:
    """What `vls bench` with these arguments is refused for."""
    result = CliRunner().invoke(cli.app, ["bench", *arguments, "--out", out])
    assert isinstance(result.exception, ConfigurationError), result.output
    return str(result.exception)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("latency", "--episodes", "5"), "--episodes means nothing to vls bench latency. It takes --large, --policy"),
        (("latency", "--jobs", "2"), "--jobs means nothing to vls bench latency"),
        (
            ("verifier", "--clock", "running"),
            "--clock means nothing to vls bench verifier. It takes --episodes, --seed",
        ),
        (("latency", "--plan-every", "0.1"), "--plan-every means nothing to vls bench latency"),
        (("shift", "--quick"), "--quick means nothing to vls bench shift"),
        (("faults", "--seed", "1"), "--seed means nothing to vls bench faults"),
        (("perception", "--episodes", "3"), "--episodes means nothing to vls bench perception"),
        (("play", "--time-scale", "2"), "--time-scale means nothing to a paused clock. Add --clock running"),
        (("play", "--seed", "1", "--seeds", "held-out"), "--seed and --seeds both say which seeds to run"),
        (("control", "--quick", "--seconds", "5"), "--quick and --seconds both say how long"),
        (("kitchen",), "there is no benchmark 'kitchen'. Choose one of: quick, play"),
    ],
)
def test_an_option_without_effect_is_refused(arguments: tuple[str, ...], said: str) -> None:
    assert said in error(*arguments)


@pytest.mark.parametrize("bench", TAKES)
def test_an_output_that_cannot_be_written_is_told_before_anything_is_measured(bench: str) -> None:
    assert "cannot write /proc/x.json" in error(bench, out="/proc/x.json")


def test_what_is_said_reaches_the_benchmark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[BenchRequest] = []
    monkeypatch.setattr(commands, "bench_command", asked.append)
    arguments = ["play", "--clock", "running", "--time-scale", "2", "--methods", "ours, base", "--seed", "7"]
    result = CliRunner().invoke(cli.app, ["bench", *arguments, "--out", str(tmp_path / "x.json")])
    assert result.exit_code == 0, result.output
    (request,) = asked
    assert (request.clock, request.time_scale, request.methods, request.seed) == ("running", 2.0, ("ours", "base"), 7)


@pytest.mark.parametrize("bench", TAKES)
def test_every_option_of_the_command_belongs_to_a_benchmark(bench: str) -> None:
    check_options(bench, {})
    parameters: Any = next(c for c in cli.app.registered_commands if c.callback is cli.bench).callback.__annotations__
    offered = set(parameters) - {"context", "name", "out", "return"}
    assert TAKES[bench] <= offered
    assert offered == set().union(*TAKES.values())
