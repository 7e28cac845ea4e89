"""A program in words, and in a picture."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import pytest
import torch
from rewards.guidance_programs import PICK_AND_PLACE
from rewards.table import PLACES, keypoints, observe

from vls_steering.rewards import Scene, compile_program, parse_program
from vls_steering.rewards.dialect import parse_guidance
from vls_steering.rewards.explain import in_words, program_in_words
from vls_steering.rewards.slices import draw_slices, slice_scores
from vls_steering.rewards.source import parse_expression
from vls_steering.rewards.words import VOCABULARY

PROGRAM = parse_program(
    (resources.files("vls_steering") / "data" / "programs" / "put_on_plate.json").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("word", VOCABULARY.words, ids=lambda word: word.name)
def test_every_word_can_be_said(word: object) -> None:
    text = in_words(parse_expression(word.example, "x"))  # type: ignore[attr-defined]
    assert "{" not in text
    assert "(ee" not in text


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("always(speed <= 20 cm/s)", "always the speed of the fingertips is at most 20 cm/s"),
        (
            "eventually(grasped('red cube'), before=8 s)",
            "up to 8 s, at some time the red cube is in the hand",
        ),
        ("not on('red cube', 'white plate')", "not (the red cube stands on the white plate)"),
    ],
)
def test_phrases(expression: str, words: str) -> None:
    assert in_words(parse_expression(expression, "x")) == words


def test_a_program_names_its_stages_and_where_its_terms_come_from() -> None:
    document = json.loads(PROGRAM.pretty())
    document["stages"][1]["safety"] = [{"term": "always(tilt <= 15 deg)", "phrase": "keep it upright"}]
    text = program_in_words(parse_program(document))
    assert "2. grasp the red cube, within 15 s" in text
    assert "never break: always the tilt of the hand is at most 15 deg [“keep it upright”]" in text
    assert "nothing is forbidden" in program_in_words(parse_guidance(PICK_AND_PLACE))


def test_slices_are_brightest_at_the_object() -> None:
    scene = Scene.from_observation(observe(keypoints()))
    scores = slice_scores(compile_program(PROGRAM).stages[1], scene, torch.tensor(list(PLACES.values())[:5]))
    assert scores.argmax() == list(PLACES).index("red cube")


def test_a_picture_is_written(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "slices.png"
    draw_slices(parse_guidance(PICK_AND_PLACE, keypoints().names), keypoints(), path)
    assert path.read_bytes().startswith(b"\x89PNG")
