"""The hand beside the control loop: newest wish first, nothing moved by arming, refusals told."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from vls_steering.core.types import GRIPPER_OPEN_M
from vls_steering.robots.hand import Hand, HandSettings


@dataclass
class Read:
    width: float
    is_grasped: bool = False


class FakeGripper:
    def __init__(self) -> None:
        self.commands: list[str] = []
        self.width, self.holds = GRIPPER_OPEN_M, False
        self.free = threading.Event()
        self.free.set()
        self.answer: bool | Exception = True

    def stop(self) -> bool:
        self.commands.append("stop")
        self.answer = RuntimeError("aborted")
        self.free.set()
        return True

    def grasp(self, *_: float) -> bool:
        return self._do("grasp")

    def move(self, *_: float) -> bool:
        return self._do("move")

    def read_once(self) -> Read:
        time.sleep(0.001)
        return Read(self.width, self.holds)

    def _do(self, what: str) -> bool:
        self.commands.append(what)
        self.free.wait(10.0)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def until(condition: Callable[[], object]) -> None:
    give_up_s = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < give_up_s
        time.sleep(0.001)


def made(gripper: FakeGripper) -> Hand:
    hand = Hand(gripper, HandSettings(), gripper)
    until(lambda: hand.state is not None)
    return hand


def test_the_width_that_the_hand_has_is_not_commanded() -> None:
    gripper = FakeGripper()
    hand = made(gripper)
    hand.wish(GRIPPER_OPEN_M)
    hand.wish(0.0)
    until(lambda: gripper.commands)
    assert gripper.commands == ["grasp"]
    hand.close()


def test_a_wish_that_is_replaced_before_the_hand_is_free_is_never_commanded() -> None:
    gripper = FakeGripper()
    gripper.free.clear()
    hand = made(gripper)
    hand.wish(0.0)
    until(lambda: gripper.commands)
    for width_m in (GRIPPER_OPEN_M, 0.0, GRIPPER_OPEN_M, 0.0, GRIPPER_OPEN_M):
        hand.wish(width_m)
    gripper.free.set()
    until(lambda: len(gripper.commands) == 2)
    hand.close()
    assert gripper.commands == ["grasp", "move"]


def closing(gripper: FakeGripper) -> Hand:
    gripper.free.clear()
    hand = made(gripper)
    hand.wish(0.0)
    until(lambda: gripper.commands == ["grasp"])
    return hand


def test_a_stop_ends_the_grasp_under_way_and_forgets_the_wish_behind_it() -> None:
    gripper = FakeGripper()
    hand = closing(gripper)
    hand.wish(GRIPPER_OPEN_M)
    hand.stop()
    until(lambda: gripper.commands == ["grasp", "stop"])
    gripper.answer, gripper.width = True, 0.05
    hand.wish(0.0)  # set-points go on during a stop
    time.sleep(0.1)
    assert gripper.commands == ["grasp", "stop"]
    assert hand.failure == ""  # what was stopped was not refused
    hand.resume()
    until(lambda: hand.state is not None and hand.state.width_m == 0.05)
    hand.wish(0.05)
    hand.wish(0.0)
    until(lambda: gripper.commands == ["grasp", "stop", "grasp"])
    hand.close()


def test_a_stop_lets_go_of_nothing() -> None:
    """A stop of the Franka Hand ends the force of a grasp as well."""
    gripper = FakeGripper()
    hand = closing(gripper)
    gripper.width, gripper.holds = 0.04, True
    until(lambda: hand.state is not None and hand.state.holds)
    hand.stop()  # the grasp has its object, but has not said so yet
    gripper.free.set()
    hand.stop()
    hand.resume()
    hand.wish(0.0)  # arming keeps a grip
    time.sleep(0.1)
    assert gripper.commands == ["grasp"]
    hand.close()


def test_a_stop_ends_an_opening_whatever_is_held() -> None:
    gripper = FakeGripper()
    gripper.width, gripper.holds = 0.04, True
    hand = made(gripper)
    hand.wish(0.0)
    gripper.free.clear()
    hand.wish(GRIPPER_OPEN_M)
    until(lambda: gripper.commands == ["move"])
    hand.stop()
    until(lambda: gripper.commands == ["move", "stop"])
    hand.close()


def test_a_stop_that_the_hand_refuses_is_a_failure() -> None:
    gripper, deaf = FakeGripper(), FakeGripper()
    deaf.stop = lambda: 1 / 0  # type: ignore[method-assign, assignment, return-value]
    gripper.free.clear()
    hand = Hand(gripper, HandSettings(), deaf)
    until(lambda: hand.state is not None)
    hand.wish(0.0)
    until(lambda: gripper.commands)
    hand.stop()
    until(lambda: "refused to stop" in hand.failure)
    gripper.free.set()
    hand.close()


def test_a_width_that_is_no_number_is_a_failure_and_the_last_one_stays() -> None:
    gripper = FakeGripper()
    hand = made(gripper)
    gripper.width = math.nan
    until(lambda: "nan" in hand.failure)
    assert hand.state is not None
    assert hand.state.width_m == GRIPPER_OPEN_M
    gripper.width = 0.02
    until(lambda: not hand.failure)
    until(lambda: hand.state is not None and hand.state.width_m == 0.02)
    hand.close()


def test_a_grasp_that_finds_nothing_is_no_failure_and_a_refusal_is_one() -> None:
    gripper = FakeGripper()
    gripper.answer = False
    hand = made(gripper)
    hand.wish(0.0)
    until(lambda: gripper.commands)
    hand.wish(GRIPPER_OPEN_M)
    until(lambda: hand.failure)
    assert hand.failure == "the hand did not open"
    gripper.answer = RuntimeError("jammed")
    hand.wish(0.0)
    until(lambda: "jammed" in hand.failure)
    hand.close()
