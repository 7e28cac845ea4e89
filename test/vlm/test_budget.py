"""What a model may cost, and when an answer is stale."""

from __future__ import annotations

import pytest
from rewards.table import keypoints
from vlm.scripted import OUTLINE, REQUEST, Scripted

from vls_steering.core.errors import ConfigurationError
from vls_steering.vlm import plan
from vls_steering.vlm.back_ends import BackEndSettings, open_back_end
from vls_steering.vlm.base import BackEndFailure, Failure
from vls_steering.vlm.budget import Budget, MeteredPlanner
from vls_steering.vlm.plan import PlanSettings
from vls_steering.vlm.staleness import scene_change


def test_a_spent_budget_is_a_named_failure() -> None:
    metered = MeteredPlanner(Scripted(OUTLINE, OUTLINE, OUTLINE), Budget(1))
    assert plan(REQUEST, metered, PlanSettings(programs=1)).written_by == "scripted"
    with pytest.raises(BackEndFailure) as spent:
        plan(REQUEST, metered, PlanSettings(programs=1))
    assert spent.value.failure is Failure.OVER_BUDGET


def test_the_budget_ends_the_sampling_and_what_was_accepted_stands() -> None:
    assert plan(REQUEST, MeteredPlanner(Scripted(OUTLINE), Budget(1))).written_by == "scripted"


def test_back_ends_by_name() -> None:
    assert open_back_end(BackEndSettings()).planner.name == "offline grammar"
    with pytest.raises(ConfigurationError, match="no recording"):
        open_back_end(BackEndSettings(back_end="replay"))
    with pytest.raises(ConfigurationError, match="no model"):
        open_back_end(BackEndSettings(back_end="transformers"))


def test_a_change_of_the_scene_is_said_in_words() -> None:
    before = keypoints("red cube", "blue cube")
    moved = keypoints("red cube", "blue cube", red_cube=(0.5, 0.0, 0.019))
    assert scene_change(before, before, ["red cube"], 0.05) == ""
    assert scene_change(before, moved, ["red cube"], 0.05) == "the red cube moved by 12 cm"
    assert scene_change(before, moved, ["blue cube"], 0.05) == ""
    assert scene_change(before, keypoints("blue cube"), ["red cube"], 0.05) == "the red cube is no longer seen"
