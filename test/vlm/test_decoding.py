"""Schema-constrained decoding: whatever a model prefers, what it writes is JSON of the schema."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from vlm.scripted import OUTLINE, REQUEST

from vls_steering.vlm.decoding import Fit, Pieces, SchemaProcessor, fit
from vls_steering.vlm.prompt import Schema, answer_schema, choice_schema

OUTLINES = answer_schema("outline", REQUEST)
PROGRAMS = answer_schema("program", REQUEST)
ALPHABET = [chr(code) for code in range(32, 127)] + ["\n", "é"]
END = len(ALPHABET)
FIRST_STEP = json.dumps({"constraints": [], "steps": [{**OUTLINE["steps"][0]}]}).removesuffix('"length_cm": 0}]}')


def test_an_answer_fits_and_so_does_all_that_leads_to_it() -> None:
    text = json.dumps({**OUTLINE, "refusal": ""})
    assert fit(text, OUTLINES) is Fit.COMPLETE
    assert all(fit(text[:end], OUTLINES) is Fit.BEGUN for end in range(len(text)))


@pytest.mark.parametrize(
    "text",
    [
        "Sure, here",
        ' {"constraints"',
        '{"steps"',
        '{"constraints": [{"phrase": "x", "kind": "fly"',
        '{"constraints": [],"',
        '{"constraints": [], "steps": [{"skill": "pick", "object": "red cub"',
        FIRST_STEP + '"length_cm": .5',
        FIRST_STEP + '"length_cm": 1e9',
        '{"constraints": [], "steps": [], "refusal": "a\n',
        '{"constraints": [], "steps": [], "refusal": ""} ',
        '{"constraints": [], "steps": [], "refusal": "' + "x" * 201,
    ],
)  # fmt: skip
def test_what_cannot_become_an_answer_is_seen_at_once(text: str) -> None:
    assert fit(text, OUTLINES) is Fit.WRONG


@given(st.recursive(st.text(max_size=8), lambda inner: st.lists(inner, max_size=3)), st.floats(0, 999))
def test_texts_and_numbers_of_any_kind(value: object, number: float) -> None:
    schema: Schema = {"type": "object", "properties": {"a": {"type": "number"}}}
    text = f'{{"a": {round(number, 2)!r}}}'
    assert fit(text, schema) is Fit.COMPLETE
    assert fit(json.dumps({"b": value}), schema) is Fit.WRONG


def decode(tokens: list[int]) -> str:
    return "".join(ALPHABET[token] for token in tokens if token != END)


PIECES = Pieces(END + 1, decode, 0)


def generate(schema: Schema, seed: int, keep: int = 1, longest: int = 3000) -> str:
    """What a model of random preferences writes, character by character."""
    generator = torch.Generator().manual_seed(seed)
    processor = SchemaProcessor(schema, PIECES, END, prompt=2, keep=keep)
    ids = torch.zeros(1, 2, dtype=torch.long)
    for _ in range(longest):
        scores = processor(ids, torch.randn(1, END + 1, generator=generator))
        token = int(torch.multinomial(torch.softmax(scores[0], 0), 1, generator=generator))
        if token == END:
            break
        ids = torch.cat([ids, torch.tensor([[token]])], 1)
    return decode(ids[0, 2:].tolist())


@pytest.mark.parametrize("seed", range(4))
def test_even_random_preferences_make_an_outline(seed: int) -> None:
    document = json.loads(generate(OUTLINES, seed))
    assert set(document) == {"constraints", "steps", "refusal"}
    for step in document["steps"]:
        assert step["object"] in ("", *REQUEST.keypoints.names)


def test_and_one_of_the_options() -> None:
    options = ("1: grasp the cube", "2: lift the cube")
    found = {json.loads(generate(choice_schema(options), seed))["answer"] for seed in range(6)}
    assert found == set(options)


def test_and_a_program_of_the_right_shape() -> None:
    text = generate(PROGRAMS, 0, longest=600)
    assert text.startswith('{"version": 1, "instruction": "')
    assert fit(text, PROGRAMS) is not Fit.WRONG


def test_where_no_token_fits_the_answer_ends() -> None:
    nothing_but_x = Pieces(8, lambda tokens: "x" * len(tokens), 0)
    processor = SchemaProcessor({"type": "string", "enum": ["é"]}, nothing_but_x, 7, prompt=0, keep=1)
    scores = processor(torch.zeros(1, 0, dtype=torch.long), torch.zeros(1, 8))
    assert int(scores.argmax()) == 7
