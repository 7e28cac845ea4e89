"""`vls run` has launch's arguments as options, and refuses what is wrong before it starts anything."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from typer.testing import CliRunner

from vls_steering import cli
from vls_steering.core.config import choices
from vls_steering.core.errors import ConfigurationError
from vls_steering.nodes import supervisor
from vls_steering.nodes.node_set import Deployment


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Deployment]:
    """Deployments for which processes would have been started."""
    asked: list[Deployment] = []
    monkeypatch.setattr(supervisor, "run_node_set", lambda deployment, out: asked.append(deployment) or 0)
    return asked


def test_every_field_of_a_deployment_is_an_option_with_its_description_and_choices() -> None:
    shown = " ".join(CliRunner().invoke(cli.app, ["run", "--help"], env={"COLUMNS": "400"}).output.split())
    for name, field in Deployment.model_fields.items():
        assert f"--{name.replace('_', '-')} " in shown
        assert field.description
        assert field.description[1:] in shown
        assert all(choice in shown for choice in choices(field))


def test_what_is_typed_reaches_the_deployment(started: list[Deployment]) -> None:
    words = "--use-sim-time true --no-autostart --log-level debug --robot ros2_control --seed 3 --namespace cell"
    assert CliRunner().invoke(cli.app, ["run", *words.split()]).exit_code == 0
    wanted = Deployment(
        use_sim_time=True, autostart=False, log_level="debug", robot="ros2_control", seed=3, namespace="cell"
    )
    assert started == [wanted]


def test_what_is_not_typed_is_the_default(started: list[Deployment]) -> None:
    assert CliRunner().invoke(cli.app, ["run"]).exit_code == 0
    assert started == [Deployment()]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--scene", "bogus"), "there is no scene 'bogus'; choose one of: play"),
        (("--scene", "keep_out"), "there is no scene 'keep_out'"),
        (("--params-file", "/nonexistent"), "there is no such file"),
        (("--vlm", "oracle"), "vlm: "),
        (("--use-sim-time", "maybe"), "use_sim_time"),
    ],
)
def test_a_bad_argument_starts_nothing(words: tuple[str, str], said: str, started: list[Deployment]) -> None:
    result = CliRunner().invoke(cli.app, ["run", *words])
    assert isinstance(result.exception, ConfigurationError)
    assert said in str(result.exception)
    assert started == []


def test_a_parameter_file_or_folder_that_cannot_be_used_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "Supervisor", None)
    torn = tmp_path / "torn.yaml"
    torn.write_text("{")
    with pytest.raises(ConfigurationError, match="not valid YAML"):
        supervisor.run_node_set(Deployment(params_file=str(torn)), tmp_path / "run")
    with pytest.raises(ConfigurationError, match="cannot write to /proc/run"):
        supervisor.run_node_set(Deployment(), Path("/proc/run"))
