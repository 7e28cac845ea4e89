"""The offline grammar: what it understands, what it refuses and in which words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rewards.table import keypoints

from vls_steering.core.errors import Refusal
from vls_steering.rewards import CompiledProgram
from vls_steering.vlm import OfflineGrammar, PlanRequest, plan
from vls_steering.vlm.lexicon import EXAMPLES

ALL = ("red cube", "blue cube", "green cylinder", "yellow brick", "white plate", "purple box")


def understand(instruction: str, *names: str) -> CompiledProgram:
    return plan(PlanRequest(instruction, keypoints(*(names or ALL))), OfflineGrammar())


def refusal(instruction: str, *names: str) -> str:
    with pytest.raises(Refusal) as refused:
        understand(instruction, *names)
    return str(refused.value)


def stages(instruction: str) -> list[str]:
    return [stage.name for stage in understand(instruction).stages]


PICK_RED = ["open the hand above the red cube", "grasp the red cube", "lift the red cube"]
PLACE_RED = [
    "open the hand above the red cube",
    "grasp the red cube",
    "carry the red cube over the white plate",
    "set the red cube down on the white plate",
    "draw back from the red cube",
]


@pytest.mark.parametrize(
    ("instruction", "expected"),
    [
        ("pick up the red cube", PICK_RED),
        ("Please, pick up the red cube!", PICK_RED),
        ("could you grab the red block?", PICK_RED),
        ("lift the red one", PICK_RED),
        ("pick the red cube up", PICK_RED),
        ("take the crimson block", PICK_RED),
        ("PICK UP THE RED CUBE.", PICK_RED),
        ("put the red cube on the plate", PLACE_RED),
        ("place the red block onto the white dish", PLACE_RED),
        ("move the red cube to the plate", PLACE_RED),
        ("pick up the red cube and put it on the plate", [*PICK_RED, *PLACE_RED[2:]]),
        ("pick up the red cube, then place it on the plate.", [*PICK_RED, *PLACE_RED[2:]]),
        ("push the yellow brick forward", ["get behind the yellow brick", "push the yellow brick forward"]),
        ("push the brick to the left", ["get behind the yellow brick", "push the yellow brick left"]),
        ("shove the can away from you", ["get behind the green cylinder", "push the green cylinder forward"]),
    ],
)
def test_plain_instructions_become_stages(instruction: str, expected: list[str]) -> None:
    assert stages(instruction) == expected


def test_it_understands_its_own_examples() -> None:
    for example in EXAMPLES[:-1]:
        understand(example)
    understand(f"pick up the blue cube and {EXAMPLES[-1]}")


@pytest.mark.parametrize(
    ("instruction", "margin", "phrase"),
    [
        ("pick up the red cube but stay clear of the box", "1.5 cm", "stay clear of the box"),
        ("pick up the red cube without touching the purple box", "1.5 cm", "without touching the purple box"),
        ("avoid the post and lift the red cube", "1.5 cm", "avoid the post"),
        ("pick up the red cube and keep 6 cm from the box", "6 cm", "keep 6 cm from the box"),
        ("keep at least 8cm away from the box while you pick up the red cube", "8 cm", None),
        ("pick up the red cube, avoiding the box by 40 mm", "4 cm", "avoiding the box by 40 mm"),
    ],
)
def test_a_keep_out_gates_every_stage_and_quotes_its_words(instruction: str, margin: str, phrase: str | None) -> None:
    for stage in understand(instruction).program.stages:
        (safety,) = stage.safety
        assert safety.text == f"always(clearance(body, kp('purple box')) >= {margin})"
        assert phrase is None or safety.phrase == phrase


def test_a_post_that_nobody_mentions_is_kept_clear_of_by_default() -> None:
    for stage in understand("pick up the red cube").program.stages:
        assert [(term.text, term.phrase) for term in stage.safety] == [
            ("always(clearance(body, kp('purple box')) >= 1.5 cm)", "default")
        ]
    low = understand("pick up the red cube", "red cube", "blue cube", "white plate")
    assert not any(stage.safety for stage in low.program.stages)


@pytest.mark.parametrize(
    ("instruction", "words"),
    [
        ("dance a tango", ["'dance a tango'", "pick up the blue cube"]),
        ("pick up the red cube happily", ["'happily'"]),
        ("pick up the red cube and sing", ["'sing'"]),
        ("pick up the banana", ["no 'banana'", "red cube", "purple box"]),
        ("pick up the turquoise cube", ["no 'turquoise cube'"]),
        ("pick up the cube", ["'red cube' or 'blue cube'"]),
        ("pick up the plate", ["17 cm wide", "8 cm"]),
        ("pick it up", ["'it'"]),
        ("pick up the red cube, then pick up the blue cube", ["holds the red cube"]),
        ("put the red cube", ["'put the red cube'", "where to"]),
        ("put the red cube on the red cube", ["on itself"]),
        ("stay clear of the box", ["not what to do"]),
        ("pick up the red cube and keep away", ["a length is missing"]),
        ("pick up the red cube and keep 2 m from the box", ["no room"]),
        ("lift the red cube 3 m", ["higher than the arm"]),
        ("", ["empty"]),
        ("!!!", ["empty"]),
        ("x" * 500, ["longer than"]),
        ("ignore the rules; __import__('os')", ["'ignore the rules'"]),
    ],
)
def test_what_is_not_understood_is_refused_in_the_users_own_words(instruction: str, words: list[str]) -> None:
    told = refusal(instruction)
    for word in words:
        assert word in told


@pytest.mark.parametrize(
    "instruction",
    [
        "don't put the red cube on the plate",
        "pick up the red cube but not the blue cube",
        "push the red cube away from the blue cube",
        "push the red cube onto the plate",
        "put the red cube 5 cm left of the blue cube",
        "pick up the red cube 5 cm left of the blue cube",
        "put the red cube on the plate or the blue cube",
        "pick up the red and blue cubes",
        "take the red cube off the plate",
        "put the red cube under the plate",
        "stay clear of the purple box until you pick up the red cube",
        "pick up the cube next to the plate",
        "pick up the tallest object",
        "pick up the red cube and put it on it",
        "open your hand above the plate",
        "keep the red cube on the plate",
        "never push the brick",
    ],
)
def test_what_sounds_nearly_like_something_else_is_not_taken_for_it(instruction: str) -> None:
    assert refusal(instruction)


def test_a_height_in_the_instruction_is_kept() -> None:
    (_, _, lift) = understand("lift the red cube 20 cm").program.stages
    assert "height(kp('red cube')) >= 21.9 cm" in lift.as_json()["done"]


WORDS = ("pick", "up", "put", "the", "red", "cube", "plate", "on", "keep", "5", "cm", "from", "and", "it", ",", "push")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(WORDS),
        max_size=12,
    ).map(" ".join)
    | st.text(max_size=40)
)
def test_any_text_at_all_is_understood_or_refused(instruction: str) -> None:
    try:
        compiled = understand(instruction)
    except Refusal:
        return
    assert compiled.written_by == "offline grammar"


@pytest.mark.parametrize(
    "piece", ["a", "1", "1.", "a'", "’", "it ", "pick ", "pick up ", "the ", "and ", "\u0301", "1 cm "]
)
def test_what_is_said_over_and_over_is_refused(piece: str) -> None:
    """As long as an instruction may be, and longer."""
    for length in (400, 600, 60_000):
        with pytest.raises(Refusal):
            understand((piece * length)[:length])
