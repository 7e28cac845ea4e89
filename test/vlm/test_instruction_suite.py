"""Eighty instructions and twenty that must be refused: understood exactly or refused with the reason, never wrongly."""

from __future__ import annotations

import pytest
from vlm.suite import Case, load, read

CASES = load()


def of(part: str) -> list[Case]:
    return [case for case in CASES if case.part == part]


@pytest.mark.parametrize(("part", "count", "share"), [("simple", 50, 0.95), ("compound", 30, 0.80)])
def test_enough_is_understood_exactly_and_nothing_wrongly(part: str, count: int, share: float) -> None:
    readings = [read(case) for case in of(part)]
    assert len(readings) == count
    wrong = [reading.understood for reading in readings if reading.verdict == "wrong"]
    assert wrong == []
    assert sum(reading.verdict == "exact" for reading in readings) >= share * count


@pytest.mark.parametrize("case", of("refused"), ids=lambda case: case.text)
def test_what_must_not_move_the_arm_is_refused_with_the_reason(case: Case) -> None:
    reading = read(case)
    assert reading.understood is None
    for words in case.says:
        assert words in reading.reason
