"""Boxes follow the objects that the configuration names, as far as perception knows them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

from pydantic import ValidationError

from vls_steering.core.types import Keypoint, Keypoints
from vls_steering.nodes.executor import ExecutorNodeSettings
from vls_steering.nodes.keep_out_objects import KeepOutObjects
from vls_steering.robots.clearance import ArmClearance
from vls_steering.robots.kinematics import NOMINAL_POSTURE, ArmKinematics
from vls_steering.safety import Proposal, ReasonCode

NOMINAL = np.array(NOMINAL_POSTURE)
TCP, _ = ArmKinematics().tcp_pose(NOMINAL)
PROPOSAL: Proposal = None  # type: ignore[assignment]  # what is proposed does not matter here


class Scene:
    def __init__(self, *names: str) -> None:
        self.arm = ArmClearance(0.01, 0.01, (), names)
        self.objects = KeepOutObjects(names, self.arm)

    def sees(self, name: str = "purple box", beside_m: float = 0.0, **changes: Any) -> bool:
        """Whether the resting arm is clear of what was seen so far."""
        place = TCP + np.array([0.0, beside_m, 0.0])
        self.objects.hear(Keypoints(0.0, (Keypoint(name, place, np.full(3, 0.1), **changes),)))
        return self.arm.closest(NOMINAL) is None


def test_no_chunk_is_followed_until_every_object_was_seen() -> None:
    scene = Scene("purple box", "lamp")
    found = scene.objects.check(PROPOSAL)
    assert found is not None
    assert (found.reason, found.stretch) == (ReasonCode.KEEP_OUT, np.inf)
    assert "purple box, lamp" in found.text
    scene.sees("lamp", beside_m=0.3)
    found = scene.objects.check(PROPOSAL)
    assert found is not None
    assert found.text.endswith(": purple box")
    scene.sees("purple box", beside_m=0.3)
    assert scene.objects.check(PROPOSAL) is None


def test_a_box_follows_its_object() -> None:
    scene = Scene("purple box")
    assert scene.sees(beside_m=0.3)
    assert not scene.sees(beside_m=0.1)
    assert scene.sees(beside_m=-0.3)


def test_an_object_that_is_hidden_stays_where_it_was() -> None:
    scene = Scene("purple box")
    assert not scene.sees()
    assert not scene.sees(beside_m=0.3, visible=False)
    assert not scene.sees("red cube")


def test_an_object_is_larger_the_less_is_known_of_it_and_a_guess_moves_nothing() -> None:
    scene = Scene("purple box")
    just_clear_m = 0.165
    assert scene.sees(beside_m=just_clear_m)
    assert not scene.sees(beside_m=just_clear_m, sigma_m=np.full(3, 0.02))
    assert not scene.sees(beside_m=0.5, sigma_m=np.full(3, 0.05))


def test_nobody_can_be_kept_clear_of_without_looking() -> None:
    with pytest.raises(ValidationError, match="keypoints_timeout_s > 0"):
        ExecutorNodeSettings(keep_out_objects=("purple box",), keypoints_timeout_s=0.0)
    with pytest.raises(ValidationError, match="twice"):
        ExecutorNodeSettings(keep_out_objects=("purple box", "purple box"))
