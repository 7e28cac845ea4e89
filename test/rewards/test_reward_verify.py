"""What the verifier lets through and what it sees, on programs that differ by one fault."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import numpy as np
import pytest
from rewards.table import keypoints

from vls_steering.core.types import Keypoint, Keypoints
from vls_steering.rewards import parse_program
from vls_steering.rewards.promises import mentioned, read_promises
from vls_steering.rewards.verify import verify_program
from vls_steering.vlm import OfflineGrammar, PlanRequest, plan

NAMES = ("red cube", "blue cube", "green cylinder", "yellow brick", "white plate")


def written(instruction: str) -> dict[str, Any]:
    return plan(PlanRequest(instruction, keypoints(*NAMES)), OfflineGrammar()).program.as_json()


def said(document: dict[str, Any]) -> str:
    return "\n".join(map(str, verify_program(parse_program(document), keypoints(*NAMES))))


@pytest.mark.parametrize(
    "instruction",
    [
        "pick up the red cube",
        "pick up the blue cube but stay clear of the red cube",
        "put the red cube on the plate",
        "push the yellow brick forward",
        "put the green cylinder on the plate, then pick up the blue cube",
    ],
)
def test_good_programs_pass(instruction: str) -> None:
    assert said(written(instruction)) == ""


def test_a_packaged_program_passes() -> None:
    text = (resources.files("vls_steering") / "data" / "programs" / "put_on_plate.json").read_text(encoding="utf-8")
    assert said(json.loads(text)) == ""


PICK = "pick up the blue cube but stay clear of the red cube"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("minimize(lowest(dist(ee, kp('blue cube'))))", "maximize(lowest(dist(ee, kp('blue cube'))))", "stages[1]"),
        ("minimize(dist(ee, kp('blue cube'))) * 0.5", "minimize(dist(ee, kp('yellow brick'))) * 0.5", "not speak of"),
        ("\"grasped('blue cube')\"", "\"grasped('red cube')\"", "stages[1].done: the instruction does not speak"),
        ("\"grasped('blue cube')\"", "\"height(ee) >= 90 cm\"", "stages[1].done: following the reward does not lead"),
        ("grasped('blue cube') and height(kp('blue cube')) >= 15 cm", "height(ee) >= 1 cm", "done before it starts"),
        (">= 15 cm", ">= 15 m", "longer than the arm reaches"),
        ("kp('red cube')) >= 1.5 cm)", "kp('red cube')) <= 1.5 cm)", "broken"),
        ("kp('red cube')) >= 1.5 cm)", "kp('green cylinder')) >= 1.5 cm)", "cites"),
        ("<= 2.5 cm)", ">= 2.5 cm)", "stages[1]"),
        ("maximize(height(kp('blue cube')))", "minimize(height(kp('blue cube')))", "stages[2]"),
    ],
)  # fmt: skip
def test_one_fault_is_seen(old: str, new: str, words: str) -> None:
    text = json.dumps(written(PICK))
    changed = text.replace(old.replace('"', '\\"') if old.startswith("'") else old, new)
    assert changed != text
    assert words in said(json.loads(changed))


def test_a_missing_stage_is_seen() -> None:
    document = written(PICK)
    assert "cannot start where the one before it ends" in said({**document, "stages": document["stages"][::2]})
    assert "is where it was" in said({**document, "stages": document["stages"][:2]})


def test_a_constraint_of_the_instruction_must_be_a_safety_condition() -> None:
    document = written(PICK)
    for stage in document["stages"]:
        stage.pop("safety")
    assert "the instruction keeps clear of 'red cube'" in said(document)


def test_an_object_is_not_related_to_itself() -> None:
    document = written("put the red cube on the plate")
    text = json.dumps(document).replace("on('red cube', 'white plate')", "on('white plate', 'white plate')", 1)
    assert "related to itself" in said(json.loads(text))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "height(ee) - height(kp('blue cube')) >= 8",
            "height(ee) - along(kp('blue cube'), left) >= 8",
            "different axes",
        ),
        ("height(ee) - height(kp('blue cube')) >= 6", "height(ee) - height(kp('red cube')) >= 6", "not speak of"),
        ("grasped('blue cube') or", "grasped('white plate') or", "cannot hold"),
    ],
)
def test_what_no_situation_makes_sense_of_is_seen_without_a_rehearsal(old: str, new: str, words: str) -> None:
    text = json.dumps(written(PICK))
    assert old in text
    assert words in said(json.loads(text.replace(old, new, 1)))


def test_an_event_that_has_happened_already_is_no_wish() -> None:
    text = json.dumps(written(PICK))
    changed = text.replace(
        "eventually(height(kp('blue cube')) >= 15 cm)", "eventually(height(kp('blue cube')) <= 15 cm)"
    )
    assert "so already" in said(json.loads(changed))


def test_a_stage_may_be_done_before_it_starts_where_it_is_needed_at_other_times() -> None:
    lifted = written("pick up the red cube")["stages"]
    twice = {"version": 1, "instruction": "pick up the red cube", "stages": [lifted[0], lifted[0], *lifted[1:]]}
    assert said(twice) == ""
    twice["stages"][1] = {**lifted[0], "done": "height(ee) >= 1 cm"}
    assert "done" in said(twice)


def test_where_the_hand_is_at_first_is_not_the_fault_of_the_program() -> None:
    """Home is 30 cm high."""
    assert said(written("stay below 25 cm and pick up the blue cube")) == ""
    document = written("stay below 40 cm and pick up the blue cube")
    text = json.dumps(document).replace("<= 40 cm", ">= 40 cm")
    assert "still broken at the end" in said(json.loads(text))


@pytest.mark.parametrize(
    ("instruction", "promised"),
    [
        ("pick up the red cube", [("pick", "red cube", "", "")]),
        ("move above the plate", [("move", "", "white plate", "")]),
        ("stack the blue block on the brick", [("stack", "", "yellow brick", "")]),
        ("put the red cube on the plate but avoid the brick", [("put", "red cube", "white plate", "")]),
        (
            "push the brick left, then pick it up",
            [("push", "yellow brick", "", "left"), ("pick", "yellow brick", "", "")],
        ),
        ("before you put the brick on the plate, lift the red cube", []),
        ("close the gripper", []),
    ],
)
def test_what_an_instruction_promises(instruction: str, promised: list[tuple[str, ...]]) -> None:
    told = read_promises(instruction, keypoints(*NAMES))
    assert [(p.verb, p.name, p.target, p.direction) for p in told] == promised


def test_a_pushed_button_stays_where_it_is() -> None:
    button = Keypoints(0.0, (Keypoint("green button", np.array([0.5, 0.0, 0.015]), np.array([0.05, 0.05, 0.03])),))
    assert [promise.name for promise in read_promises("push the button", button)] == [""]


@pytest.mark.parametrize(
    ("instruction", "acted", "avoided"),
    [
        ("put the red cube on the plate", ("red cube", "white plate"), ()),
        ("pick up the Blue Cube but avoid the plate", ("blue cube",), ("white plate",)),
        ("stay clear of the brick and lift the cylinder", ("green cylinder",), ("yellow brick",)),
        ("pick up the cube", (), ()),
    ],
)
def test_what_an_instruction_mentions(instruction: str, acted: tuple[str, ...], avoided: tuple[str, ...]) -> None:
    assert mentioned(instruction, keypoints(*NAMES)) == (acted, avoided)
