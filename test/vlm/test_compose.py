"""Outlines become programs that pass every check; what cannot be done in this scene is refused with its reason."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from rewards.table import keypoints
from vlm.scripted import REQUEST
from vlm.suite import load

from vls_steering.core.errors import Refusal
from vls_steering.core.types import Keypoints
from vls_steering.rewards import check_program, parse_program
from vls_steering.vlm.compose import compose
from vls_steering.vlm.offline import read_instruction

TABLE = REQUEST.keypoints
KITCHEN = next(case.scene for case in load() if "red cup" in case.scene.names)

ACTIONS = (
    "pick up the red cube",
    "put the red cube on the plate",
    "stack the red cube on the blue cube",
    "put the red cube to the right of the blue cube",
    "put the red cube behind the blue cube",
    "put the red cube next to the green cylinder",
    "put the red cube between the blue cube and the brick",
    "push the brick 6 cm to the left",
    "move 15 cm above the plate",
    "hold the red cube above the plate",
    "close the gripper",
)
LIMITS = ("", "slowly", "within 60 s", "avoid the green cylinder by 3 cm", "stay below 45 cm", "keep the hand level")


def document(instruction: str, scene: Keypoints = TABLE) -> dict[str, object]:
    return compose(instruction, read_instruction(instruction, scene), scene)


def refusal(instruction: str, scene: Keypoints = TABLE) -> str:
    with pytest.raises(Refusal) as refused:
        document(instruction, scene)
    return str(refused.value)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("limit", LIMITS)
def test_every_action_goes_with_every_constraint(action: str, limit: str) -> None:
    if "level" in limit and not action.startswith(("pick", "put", "stack", "hold")):
        limit = ""
    if "green cylinder" in limit and "green cylinder" in action:
        pytest.skip("a contradiction")
    instruction = f"{action}, {limit.replace('the hand', 'it')}" if limit else action
    program = parse_program(document(instruction))
    assert check_program(program, TABLE) == ()
    terms = [term for stage in program.stages for term in (*stage.reward, *stage.safety)]
    assert not limit or "within" in limit or any(term.phrase for term in terms)


@pytest.mark.parametrize(
    "instruction",
    ["press the button", "open the drawer", "close the drawer", "put the ball in the tray", "hover over the button"],
)
def test_the_kitchen_too(instruction: str) -> None:
    assert check_program(parse_program(document(instruction, KITCHEN)), KITCHEN) == ()


def test_two_actions_one_after_the_other_are_two_lists_of_stages() -> None:
    free = ("push the brick 6 cm to the left", "move 15 cm above the plate", "close the gripper")
    for first, second in itertools.permutations(free, 2):
        both = document(f"{first}, then {second}")["stages"]
        assert [stage["name"] for stage in both] == [
            stage["name"] for text in (first, second) for stage in document(text)["stages"]
        ]


def test_a_place_beside_follows_what_it_is_beside() -> None:
    stages = document("put the red cube to the right of the blue cube")["stages"]
    assert "offset(kp('blue cube'), right, 8.8 cm)" in stages[2]["done"]


def test_time_is_shared_out_over_the_stages() -> None:
    hurried = parse_program(document("pick up the red cube within 14 s"))
    assert sum(stage.deadline_s for stage in hurried.stages) == pytest.approx(14.0, abs=0.2)
    patient = parse_program(document("pick up the red cube within 2 minutes"))
    assert sum(stage.deadline_s for stage in patient.stages) == pytest.approx(35.0)


def names(instruction: str, scene: Keypoints = TABLE) -> list[str]:
    return [stage["name"] for stage in document(instruction, scene)["stages"]]


def test_above_a_height_holds_on_the_way_and_not_at_its_ends() -> None:
    stages = document("put the red cube on the plate, keeping it above 10 cm")["stages"]
    guarded = [stage["name"] for stage in stages if stage.get("safety")]
    assert guarded == ["carry the red cube over the white plate"]
    # The gate would let a cube that is below go on below: it is lifted first.
    before = stages[stages.index(next(stage for stage in stages if stage.get("safety"))) - 1]
    assert before["done"] == "grasped('red cube') and height(kp('red cube')) >= 12 cm"


def test_what_has_been_lifted_is_not_asked_to_be_lifted_again() -> None:
    def carrying(instruction: str) -> list[str]:
        stages = document(instruction)["stages"]
        return next(stage["reward"] for stage in stages if stage["name"].startswith("carry"))

    lifted = "eventually(height(kp('red cube')) >= 8 cm)"
    assert lifted in carrying("put the red cube on the plate")
    assert lifted in carrying("lift the red cube 3 cm and put it on the plate")
    assert lifted not in carrying("pick up the red cube and put it on the plate")


def test_a_second_step_begins_where_the_first_one_left_things() -> None:
    stages = document("push the brick 6 cm forward, then 6 cm to the left")["stages"]
    assert stages[-1]["done"] == "along(kp('yellow brick'), left) >= -18 cm"
    # The brick stood at x = 40 cm.
    assert "point(46 cm," in stages[-2]["done"]


def test_a_hand_that_was_left_low_goes_up_before_it_goes_on() -> None:
    assert "draw up from the red cube" in names("push the red cube to the left, then push the blue cube to the right")
    assert not any("draw up" in name for name in names("push the red cube to the left, then pick up the blue cube"))


@pytest.mark.parametrize(
    ("instruction", "scene", "words"),
    [
        ("pick up the red cube and avoid the red cube", TABLE, "contradicts the task"),
        ("put the red cube on the plate and stay clear of the plate", TABLE, "contradicts the task"),
        ("put the red cube on the plate, then the blue cube on the plate", TABLE, "the red cube is on the white plate"),
        ("put the red cube between the blue cube and the blue cube", TABLE, "no room"),
        ("put the red cup in the button", KITCHEN, "not something to put it in"),
        ("put the red cup to the left of the drawer", KITCHEN, "no room"),
        ("push the brick 90 cm forward", TABLE, "no distance to push"),
        ("pick up the red cube and push the brick", TABLE, "holds the red cube: it cannot push"),
        ("pick up the red cube and open the gripper", TABLE, "would drop the red cube"),
        ("open the red cube", TABLE, "nothing that I can open"),
        ("move 80 cm above the plate", TABLE, "higher than the arm"),
        ("push the brick and stay above 20 cm", TABLE, "nothing is carried"),
        ("lift the red cube 30 cm but stay below 20 cm", TABLE, "leaves no room for the task"),
        ("put the red cube on the plate within 3 s", TABLE, "too short"),
        ("push the brick upright", TABLE, "upright"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_here_is_refused(instruction: str, scene: Keypoints, words: str) -> None:
    assert words in refusal(instruction, scene)


def test_a_place_that_is_taken_is_refused_with_who_is_there() -> None:
    crowded = keypoints("red cube", "blue cube", "green cylinder", green_cylinder=(0.50, 0.03, 0.025))
    assert "the green cylinder is there" in refusal("put the red cube right of the blue cube", crowded)
    assert names("push the blue cube 10 cm left, then put the red cube right of the blue cube", crowded)


def test_fingers_do_not_press_on_what_a_raised_object_stands_on() -> None:
    """They reach 8 mm below the fingertip point: on a block the hand must not go as low beside it as on the table."""
    cube = next(point for point in TABLE.points if point.name == "red cube")
    raised = replace(cube, position=cube.position + np.array([0.0, 0.0, 0.06]))
    scene = replace(TABLE, points=(raised, *(point for point in TABLE.points if point is not cube)))
    deepest_cm = 100 * 0.5 * float(cube.size[2]) - 0.8 - 0.3
    term = f"always(height(ee) - height(kp('red cube')) >= -{deepest_cm:.1f} cm) * 2"

    def grasping(scene: Keypoints) -> list[str]:
        stages = document("pick up the red cube", scene)["stages"]
        return next(stage["reward"] for stage in stages if stage["name"] == "grasp the red cube")  # type: ignore[attr-defined]

    assert term in grasping(scene)
    assert set(grasping(scene)) - {term} == set(grasping(TABLE))
