"""Warm starts: each particle from its own chunk, shifted by the time that passed, re-noised to its own level."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from steering.worlds import SPACE

from vls_steering.policies.base import CosineSchedule
from vls_steering.steering.initialise import Plan, Start, WarmStart, jump_in_sigma
from vls_steering.steering.settings import StartSettings

VELOCITY = torch.tensor([0.1, -0.2, 0.05])
SCHEDULE = CosineSchedule()


def plan(particles: int = 12, stamp_s: float = 5.0) -> Plan:
    """Straight lines at constant speed, a different speed per particle; the gripper closes half way."""
    anchor = torch.tensor([0.4, 0.0, 0.3])
    times = 0.1 * torch.arange(1, 17)
    speeds = 1.0 + torch.arange(particles) / particles
    tcp = anchor + speeds[:, None, None] * times[None, :, None] * VELOCITY
    width = torch.where(times <= 0.8, 0.08, 0.0).expand(particles, 16)
    return Plan(stamp_s, anchor, tcp, width, 0.1)


def start(
    settings: StartSettings, last: Plan | None, stamp_s: float = 5.1, particles: int = 12, turned: bool = False
) -> Start:
    noise = torch.randn(particles, 16, 4, generator=torch.Generator().manual_seed(1))
    return WarmStart(settings, SPACE, SCHEDULE).start(last, stamp_s, torch.tensor([0.42, 0.0, 0.29]), noise, turned)


@given(elapsed_s=st.floats(0.0, 3.0))
@settings(deadline=None, max_examples=40)
def test_the_shift_is_by_elapsed_time_and_the_tail_stands_still(elapsed_s: float) -> None:
    last = plan()
    tcp, _ = last.shifted(elapsed_s)
    times = (elapsed_s + 0.1 * torch.arange(1, 17)).clamp(max=1.6)
    speeds = 1.0 + torch.arange(12) / 12
    expected = last.anchor + speeds[:, None, None] * times[None, :, None] * VELOCITY
    torch.testing.assert_close(tcp, expected, atol=1e-5, rtol=1e-5)


def test_the_gripper_switches_at_the_same_absolute_time() -> None:
    _, width = plan().shifted(0.3)
    assert width[0].tolist() == [float(w) for w in torch.tensor([0.08] * 5 + [0.0] * 11)]


def test_a_guess_is_relative_to_where_the_hand_is_now() -> None:
    begun = start(StartSettings(), plan())
    tcp, _ = SPACE.decode(begun.guess[:9], torch.tensor([0.42, 0.0, 0.29]))
    torch.testing.assert_close(tcp, plan().shifted(0.1)[0][:9], atol=1e-5, rtol=1e-5)


def test_one_incumbent_a_ladder_and_scouts() -> None:
    settings = StartSettings(scouts=3, incumbent_level=0.3, ladder_low=0.4, ladder_high=0.7)
    begun = start(settings, plan())
    assert begun.incumbent == 0
    assert begun.warm.tolist() == [True] * 9 + [False] * 3
    torch.testing.assert_close(begun.level[[0, 1, 8, 11]], torch.tensor([0.3, 0.4, 0.7, 1.0]))
    assert (begun.level[1:9].diff() > 0).all()


def test_every_warm_particle_is_noised_from_its_own_chunk_not_from_the_winner() -> None:
    begun = start(StartSettings(), plan())
    assert (begun.guess[1:9] - begun.guess[:1]).abs().amax(dim=(1, 2)).min() > 1e-3


def test_fewer_survivors_mean_more_scouts() -> None:
    begun = start(StartSettings(scouts=3), plan(particles=2))
    assert int(begun.warm.sum()) == 2


def test_a_stage_change_keeps_a_quarter_high_up_with_an_undecided_gripper() -> None:
    settings = StartSettings(turn_share=0.25, turn_level=0.65)
    begun = start(settings, plan(), turned=True)
    assert int(begun.warm.sum()) == 3
    assert bool((begun.level[:3] == 0.65).all())
    assert not begun.guess[:3, :, 3].any()


def test_the_gripper_guess_is_clipped() -> None:
    begun = start(StartSettings(gripper_clip=0.1), plan())
    assert float(begun.guess[:, :, 3].abs().max()) <= 0.1 + 1e-6


def test_without_a_plan_or_with_an_old_one_everything_is_cold() -> None:
    settings = StartSettings(max_age_s=0.5)
    for begun in (start(settings, None), start(settings, plan(), 5.6)):
        assert begun.incumbent is None
        assert bool((begun.level == 1.0).all())


def test_a_plan_that_begins_later_waits_at_its_anchor() -> None:
    made = plan()
    tcp, width = made.shifted(-3.0 * made.step_s)
    torch.testing.assert_close(tcp[:, :3], made.anchor.expand(len(tcp), 3, 3))
    torch.testing.assert_close(tcp[:, 3:], made.tcp[:, :-3])
    torch.testing.assert_close(width[:, 3:], made.gripper_width[:, :-3])
    assert start(StartSettings(), made, 4.9).incumbent == 0


def test_the_jump_counts_in_sigma_and_only_for_warm_particles() -> None:
    begun = start(StartSettings(), plan())
    moved = begun.guess.clone()
    moved[..., :3] += 2.0 * SCHEDULE.sigma(begun.level)[:, None, None]
    jump = jump_in_sigma(begun, moved, SCHEDULE)
    torch.testing.assert_close(jump[:9], torch.full((9,), 2.0))
    assert not jump[9:].any()
