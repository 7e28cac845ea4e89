"""The itinerary of a tick: down, and for some methods up and down again."""

from __future__ import annotations

import torch

from vls_steering.steering.course import make_course

START = torch.tensor([1.0, 0.4])


def test_a_plain_course_goes_from_each_particle_s_own_level_to_zero() -> None:
    course = make_course([1] * 4)
    expected = torch.tensor([[1.0, 0.75, 0.5, 0.25, 0.0], [0.4, 0.3, 0.2, 0.1, 0.0]])
    torch.testing.assert_close(course.levels(START), expected)
    assert course.evaluations == 4
    assert all(move.falls and move.settles for move in course.moves)
    assert [move.lands for move in course.moves] == [False, False, False, True]


def test_repeated_visits_go_back_up_by_one_step_and_settle_on_the_last() -> None:
    course = make_course([1, 3])
    torch.testing.assert_close(course.levels(START)[0], torch.tensor([1.0, 0.5, 0.0, 0.5, 0.0, 0.5, 0.0]))
    assert [move.falls for move in course.moves] == [True, True, False, True, False, True]
    assert [move.settles for move in course.moves] == [True, False, False, False, False, True]
    assert [move.step for move in course.moves if move.falls] == [0, 1, 1, 1]
    assert course.evaluations == 4


def test_later_descents_begin_at_one_level_for_all() -> None:
    course = make_course([1, 1], rounds=2, level=0.3, round_steps=2)
    row = torch.tensor([0.3, 0.15, 0.0])
    torch.testing.assert_close(course.levels(START)[:, 3:], torch.cat([row, row]).expand(2, -1))
    assert course.evaluations == 2 + 2 * 2
    assert [column for column, move in enumerate(course.moves) if move.lands] == [1, 4, 7]


def test_a_restarted_particle_still_lands_and_the_others_are_untouched() -> None:
    course = make_course([1] * 4)
    before = course.levels(torch.tensor([0.4, 0.4]))
    after = course.restarted(before, torch.tensor([True, False]), torch.tensor([0.9, 0.9]))
    torch.testing.assert_close(after[0], torch.tensor([0.4, 0.9, 0.6, 0.3, 0.0]))
    assert torch.equal(after[1], before[1])


def test_a_restart_never_goes_above_its_level_and_leaves_later_descents_alone() -> None:
    course = make_course([2, 2, 1], rounds=1, level=0.2, round_steps=1)
    before = course.levels(torch.tensor([0.4]))
    after = course.restarted(before, torch.tensor([True]), torch.tensor([0.9]))
    assert float(after[0, 1:].max()) <= 0.9 + 1e-6
    torch.testing.assert_close(after[0, -2:], torch.tensor([0.2, 0.0]))
    assert float(after[0, len(course.visits) - 1]) == 0.0
