"""`vls franka check` against the protocol arm: what moves is asked for, what is wrong is found."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("franka")
pytest.importorskip("franka_sim")

from vls_steering.core.errors import ExitCode
from vls_steering.robots.franka_check import run_check
from vls_steering.sim.protocol_arm import ProtocolArm
from vls_steering.sim.scenes import draw_layout

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


def test_nobody_there_is_said(arm: ProtocolArm) -> None:
    said: list[str] = []
    assert run_check("127.0.0.9", lambda _question: True, said.append) is ExitCode.SAFETY_STOP
    assert "127.0.0.9" in said[-1]
