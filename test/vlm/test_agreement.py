"""Programs that want the same are found out by what they prefer, not by how they are written."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
from rewards.table import keypoints
from vlm.scripted import GOOD, written

from vls_steering.rewards import CompiledProgram, compile_program, parse_program
from vls_steering.vlm.agreement import agree, behaviour, likeness, motions, situations

SCENE = keypoints()


def compiled(document: dict[str, object]) -> CompiledProgram:
    return compile_program(parse_program({**document, "instruction": "one of many"}))


PICK = compiled(GOOD)
PUSH = compiled(written("push the red cube forward"))
OTHER = compiled(written("pick up the blue cube"))


def reworded() -> CompiledProgram:
    """Another text for the same wish: no weights alike, one stage less."""
    document = deepcopy(GOOD)
    document["stages"][1]["reward"] = [
        "minimize(lowest(dist(kp('red cube'), ee))) * 5",
        "minimize(dist(ee, kp('red cube')))",
    ]
    document["stages"][0]["name"] = "get ready"
    return compiled(document)


def test_a_program_is_like_itself_and_like_other_words_for_it() -> None:
    ours = behaviour(PICK, SCENE, 0)
    assert likeness(ours, ours) > 0.999
    assert likeness(ours, behaviour(reworded(), SCENE, 0)) > 0.9


def test_another_object_and_another_deed_are_unlike() -> None:
    ours = behaviour(PICK, SCENE, 0)
    assert likeness(ours, behaviour(OTHER, SCENE, 0)) < 0.9
    assert likeness(ours, behaviour(PUSH, SCENE, 0)) < 0.9


def test_the_largest_group_wins_wherever_it_stands() -> None:
    assert agree([PUSH, PICK, reworded()], SCENE).size == 2
    assert agree([PUSH, PICK, reworded()], SCENE).chosen in (1, 2)
    assert agree([PICK, OTHER, PICK], SCENE).chosen in (0, 2)


def test_without_a_majority_the_first_one_is_taken() -> None:
    agreement = agree([PUSH, PICK, OTHER], SCENE)
    assert (agreement.chosen, agreement.size) == (0, 1)


def test_it_is_the_same_every_time() -> None:
    assert np.array_equal(behaviour(PICK, SCENE, 3), behaviour(PICK, SCENE, 3))


def test_situations_hold_each_object_that_fits_into_the_hand() -> None:
    found = situations(keypoints("red cube", "white plate", "purple box"))
    assert [observation.robot.gripper_holds for observation in found] == [False, True]


def test_motions_start_at_the_hand_and_stay_finite() -> None:
    observation = situations(SCENE)[1]
    rollout = motions(observation, np.random.default_rng(0))
    first = rollout.tcp[:, 0].numpy() - observation.robot.tcp_position
    assert np.abs(first).max() < 0.01
    assert np.isfinite(rollout.gripper_width.numpy()).all()
