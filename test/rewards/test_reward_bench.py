"""The benchmarks of the language measure what they say."""

from __future__ import annotations

import random

from rewards.table import keypoints

from vls_steering.bench.reward_cost import cost_rows, twenty_terms
from vls_steering.bench.verifier import caught, mutants
from vls_steering.vlm import OfflineGrammar, PlanRequest, plan

POINTS = keypoints("red cube", "blue cube", "green cylinder", "yellow brick", "white plate")
GOOD = plan(PlanRequest("pick up the blue cube", POINTS), OfflineGrammar()).program.as_json()


def test_the_program_and_the_reward_written_by_hand_are_the_same() -> None:
    assert len(twenty_terms()) == 20
    twenty, pick = cost_rows(3, 0)
    assert twenty["difference"] < 1e-4
    assert twenty["ratio"] > 0.0
    assert pick["particles"] == 12


def test_mutants_differ_from_the_program_and_are_of_every_kind() -> None:
    found = mutants(GOOD, POINTS.names, random.Random(0))
    assert all(mutant.document != GOOD for mutant in found)
    kinds = {"missing stage", "swapped keypoint", "flipped sign", "wrong axis", "wrong unit"}
    assert {mutant.kind for mutant in found} == kinds


def test_most_of_a_sample_of_mutants_is_caught_and_the_program_is_not() -> None:
    assert caught(GOOD, POINTS) == ""
    sample = mutants(GOOD, POINTS.names, random.Random(1))[:12]
    assert sum(bool(caught(mutant.document, POINTS)) for mutant in sample) >= 9
