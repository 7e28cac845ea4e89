"""A seeded part of `vls bench gate-fuzz`, and hypothesis at the gate: every input ends in a verdict."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rewards.guidance_programs import GOOD
from rewards.table import keypoints

from vls_steering.bench.verifier_fuzz import Writer, judge
from vls_steering.core.errors import ExitCode

POINTS = keypoints()
FILES = st.sampled_from(["x.json", "x.yaml", "x.txt"])


@pytest.mark.parametrize("seed", range(4))
def test_written_programs_end_in_a_verdict_and_accepted_ones_can_be_used(seed: int) -> None:
    writer = Writer(random.Random(seed), POINTS.names)
    verdicts = [judge(*writer.program(), POINTS).accepted for _ in range(150)]
    assert 5 < sum(verdicts) < 145


@settings(max_examples=150, deadline=None)
@given(FILES, st.text(max_size=200))
def test_any_text_is_judged(file: str, text: str) -> None:
    assert judge(file, text, POINTS).exit_code in (ExitCode.SUCCESS, ExitCode.REFUSED)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(GOOD)), st.data())
def test_a_guidance_program_cut_and_pasted_is_judged(name: str, data: st.DataObject) -> None:
    text = GOOD[name]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), min_size=3, max_size=3)))
    moved = text[: cuts[0]] + text[cuts[1] : cuts[2]] + text[cuts[0] : cuts[1]] + text[cuts[2] :]
    assert judge("x.txt", moved, POINTS).exit_code in (ExitCode.SUCCESS, ExitCode.REFUSED)
