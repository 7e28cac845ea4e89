"""`vls franka check` against the protocol arm: what moves is asked for, what is wrong is found."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("franka")
pytest.importorskip("franka_sim")

from typer.testing import CliRunner

from vls_steering.cli_robot import franka
from vls_steering.core.errors import ConfigurationError, ExitCode
from vls_steering.core.frames import pose_matrix
from vls_steering.core.types import RobotState
from vls_steering.robots import franka_check
from vls_steering.robots.arm_report import HAND_LENGTH_M, HAND_MASS_KG, ArmReport, HostReport
from vls_steering.robots.franka_check import Findings, _find_arm, _find_host, run_check
from vls_steering.robots.kinematics import NOMINAL_POSTURE, ArmKinematics
from vls_steering.robots.libfranka import LibfrankaRobot
from vls_steering.sim.protocol_arm import ProtocolArm
from vls_steering.sim.scenes import draw_layout

pytestmark = pytest.mark.alone

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def arm() -> Iterator[ProtocolArm]:
    with ProtocolArm(draw_layout("play", 3)) as one:
        yield one


def joints(arm: ProtocolArm) -> np.ndarray:
    return np.array(arm.arm.world.robot_state().joint_positions)


@pytest.mark.slow
def test_an_arm_that_is_well_passes(arm: ProtocolArm) -> None:
    """Whoever answers takes longer than the watchdog's patience."""
    said: list[str] = []
    assert run_check(HOST, lambda _question: time.sleep(0.5) is None, said.append) is ExitCode.SUCCESS
    assert all(line.startswith("[ok]") for line in said)
    words = "\n".join(said)
    for topic in ("connection", "mode", "closest to a stop", "limits", "rose", "hand told 0 mm"):
        assert topic in words


def test_nothing_moves_that_nobody_agreed_to(arm: ProtocolArm) -> None:
    before, asked, said = joints(arm), list[str](), list[str]()
    assert run_check(HOST, lambda question: bool(asked.append(question)), said.append) is ExitCode.SAFETY_STOP
    assert len(asked) == 1
    assert said[-1].startswith("[--]")
    np.testing.assert_allclose(joints(arm), before, atol=1e-3)


def test_each_motion_may_be_declined_and_is_then_not_known_to_be_good(arm: ProtocolArm) -> None:
    before, said = joints(arm), list[str]()
    assert run_check(HOST, lambda question: "clear" in question, said.append) is ExitCode.SAFETY_STOP
    assert [line for line in said if line.startswith("[--]")] == [
        "[--] the arm was not moved",
        "[--] the hand was not moved",
    ]
    np.testing.assert_allclose(joints(arm), before, atol=1e-3)


def test_an_arm_that_is_pushed_does_not_pass(arm: ProtocolArm) -> None:
    said: list[str] = []

    def lean_on_it(question: str) -> bool:
        if question.startswith("Raise"):
            arm.arm.push(np.array([85.0, 0, 0, 0, 0, 0, 0]))
        return True

    try:
        assert run_check(HOST, lean_on_it, said.append) is ExitCode.SAFETY_STOP
    finally:
        arm.arm.push(np.zeros(7))
    assert said[-1].startswith("[no]")


@pytest.mark.parametrize("mode", ["reflex", "user_stopped", "guiding", "other"])
def test_an_arm_that_does_not_obey_is_found_and_nothing_is_asked(
    arm: ProtocolArm, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, said, read = list[str](), list[str](), LibfrankaRobot.report
    monkeypatch.setattr(LibfrankaRobot, "report", lambda robot: replace(read(robot), mode=mode))
    assert run_check(HOST, lambda question: bool(asked.append(question)), said.append) is ExitCode.SAFETY_STOP
    assert asked == []
    assert any(line.startswith("[no] mode: ") for line in said)


def report(**changes: object) -> ArmReport:
    """Of an FR3 with its hand, at the posture that the kinematics knows."""
    position, quat = ArmKinematics().tcp_pose(np.array(NOMINAL_POSTURE))
    tcp, tool = pose_matrix(position, quat), np.eye(4)
    tool[2, 3] = HAND_LENGTH_M
    given = {
        "server_version": 10,
        "fci_version": 10,
        "mode": "idle",
        "errors": (),
        "flange": tcp @ np.linalg.inv(tool),
        "tool": tool,
        "tool_mass_kg": HAND_MASS_KG,
    }
    return ArmReport(**{**given, **changes})  # type: ignore[arg-type]


def found(one: ArmReport) -> list[str]:
    """What is wrong with a physical arm that says this."""
    said: list[str] = []
    joints_rad = np.array(NOMINAL_POSTURE)
    state = RobotState(0.0, joints_rad, np.zeros(7), *ArmKinematics().tcp_pose(joints_rad), 0.08)
    _find_arm(one, state, physical=True, findings=Findings(said.append))
    return [line for line in said if not line.startswith("[ok]")]


def test_an_fr3_as_it_should_be_is_in_order() -> None:
    assert found(report()) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"server_version": 8}, "older than robot system 5.9"),
        ({"fci_version": 5}, "no FR3"),
        ({"mode": "reflex", "errors": ("joint_reflex",)}, "mode: reflex, errors: joint_reflex"),
        ({"flange": np.eye(4)}, "flange is"),
        ({"tool": np.eye(4)}, "end effector in Desk: 0 mm"),
        ({"tool_mass_kg": 0.0}, "0.00 kg"),
    ],
)
def test_what_the_arm_says_of_itself_is_compared(change: dict[str, object], words: str) -> None:
    lines = found(report(**change))
    assert len(lines) == 1
    assert words in lines[0]


@pytest.mark.parametrize("host", [HostReport("6.1", False, 99), HostReport("6.1", True, 0)])
def test_a_computer_that_is_no_real_time_one_drives_no_physical_arm(host: HostReport) -> None:
    said: list[str] = []
    for physical in (True, False):
        _find_host(host, physical, Findings(said.append))
    assert said[0].startswith("[no] computer: 6.1")
    assert said[1].startswith("[ok]")


@pytest.mark.parametrize(("host", "simulated"), [("127.0.0.1", True), ("localhost", True), ("172.16.0.2", False)])
def test_yes_is_for_this_computer_alone(host: str, simulated: bool) -> None:
    asked: list[str] = []

    def note(host: str, *_: object) -> ExitCode:
        asked.append(host)
        return ExitCode.SUCCESS

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(franka_check, "run_check", note)
        answer = CliRunner().invoke(franka, ["check", "--host", host, "--yes"])
    assert (asked == [host]) is simulated
    assert simulated or isinstance(answer.exception, ConfigurationError)


def test_nobody_there_is_said(arm: ProtocolArm) -> None:
    said: list[str] = []
    assert run_check("127.0.0.9", lambda _question: True, said.append) is ExitCode.SAFETY_STOP
    assert "127.0.0.9" in said[-1]
