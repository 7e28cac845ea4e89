"""Grasps hold by friction alone: pick, lift, shake."""

from __future__ import annotations

import numpy as np
import pytest

from vls_steering.robots.kinematics import ArmKinematics
from vls_steering.sim.grasp_trials import GraspTrials
from vls_steering.sim.objects import GRASPABLES
from vls_steering.sim.scenes import draw_layout
from vls_steering.sim.world import World


@pytest.fixture(scope="module")
def trials() -> GraspTrials:
    return GraspTrials(World(draw_layout("play", 0)), ArmKinematics())


@pytest.mark.parametrize("name", GRASPABLES)
def test_a_shaken_object_stays_in_the_hand(trials: GraspTrials, name: str) -> None:
    assert all(trials.held_after_shaking(name, seed) for seed in range(3))


def test_nothing_welds_an_object_to_the_hand(trials: GraspTrials) -> None:
    """An opened hand drops what it held: the trial itself can fail."""
    assert not trials.held_after_shaking("red cube", seed=0, let_go=True)


def test_no_equality_constraint_touches_an_object(trials: GraspTrials) -> None:
    model = trials.world.model
    bodies = {model.body(item.body).id for item in GRASPABLES.values()}
    constrained = set(np.concatenate([model.eq_obj1id, model.eq_obj2id]).tolist()) if model.neq else set()
    welds = [i for i in range(model.neq) if model.eq_type[i] != 2]  # 2: joint coupling of the two fingers
    assert not welds
    assert bodies
    assert constrained
