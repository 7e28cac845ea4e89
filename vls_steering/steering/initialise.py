"""Where a tick's particles begin: from noise, or from each particle's own last chunk (real-time iteration).

RTI-DP (arXiv 2508.05396) warm-starts one sample; here every particle keeps its own lineage, because
broadcasting the winner would lock the mode it happens to be in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from vls_steering.policies.base import ActionSpace, NoiseSchedule
from vls_steering.steering.levels import noised
from vls_steering.steering.settings import StartSettings


@dataclass(frozen=True)
class Plan:
    """The clean chunks of a tick, the executed one first, then from best to worst; only valid ones."""

    stamp_s: float  # when it begins: at its observation, or later when the arm stood until it arrived
    anchor: Tensor  # (3,) m, TCP at the stamp
    tcp: Tensor  # (P, H, 3) m, base frame; step i is due (i + 1) * step_s after the stamp
    gripper_width: Tensor  # (P, H) m
    step_s: float

    def shifted(self, elapsed_s: float) -> tuple[Tensor, Tensor]:
        """The same paths resampled for an observation `elapsed_s` later: TCP (P, H, 3) m, width (P, H) m.

        Linear in time between the steps, with the anchor as the knot at time 0; beyond the end the last pose and
        width repeat, before the beginning the anchor and the first width.  `elapsed_s` need not be whole steps.
        """
        horizon = self.tcp.shape[1]
        anchor = self.anchor.to(self.tcp).expand(len(self.tcp), 1, 3)
        knots = torch.cat([anchor, self.tcp], dim=1)
        widths = torch.cat([self.gripper_width[:, :1], self.gripper_width], dim=1)
        steps = torch.arange(1, horizon + 1, dtype=self.tcp.dtype, device=self.tcp.device)
        at = (steps + elapsed_s / self.step_s).clamp(0, horizon)
        low = at.floor().long().clamp(max=horizon - 1)
        share = at - low
        tcp = torch.lerp(knots[:, low], knots[:, low + 1], share[None, :, None])
        return tcp, torch.lerp(widths[:, low], widths[:, low + 1], share[None, :])

    def miss_m(self, stamp_s: float, tcp: Tensor) -> float:
        """How far `tcp` (3,) m is from where the executed path has the arm at `stamp_s`."""
        # The first step of a shifted plan is due one step after the instant that it is shifted to.
        paths, _ = self.shifted(stamp_s - self.stamp_s - self.step_s)
        return float((paths[0, 0] - tcp.to(paths)).norm())


@dataclass(frozen=True)
class Start:
    """K particles at their levels, and what the warm ones were expected to become."""

    x: Tensor  # (K, H, A), normalised, noisy
    level: Tensor  # (K,)
    guess: Tensor  # (K, H, A), normalised, clean; zeros for cold particles
    warm: Tensor  # (K,) bool

    @property
    def incumbent(self) -> int | None:
        """Index of the particle that continues the executed chunk."""
        return 0 if bool(self.warm[0]) else None


class Initialiser(Protocol):
    """Turns the last plan and this tick's noise into a start."""

    def start(self, plan: Plan | None, stamp_s: float, anchor: Tensor, noise: Tensor, turned: bool) -> Start:
        """`noise` (K, H, A) fixes K; `anchor` (3,) m is the TCP now; `turned` = the goal has just changed."""
        ...


class ColdStart:
    """Every particle from noise, on every tick."""

    def start(self, plan: Plan | None, stamp_s: float, anchor: Tensor, noise: Tensor, turned: bool) -> Start:
        level = torch.ones(len(noise), dtype=noise.dtype, device=noise.device)
        return Start(noise, level, torch.zeros_like(noise), torch.zeros_like(level, dtype=torch.bool))


class WarmStart:
    """One incumbent at a small level, the others on a ladder of levels, the last ones scouts from noise."""

    def __init__(self, settings: StartSettings, action_space: ActionSpace, schedule: NoiseSchedule) -> None:
        self._settings = settings
        self._action_space = action_space
        self._schedule = schedule
        self._cold = ColdStart()

    def start(self, plan: Plan | None, stamp_s: float, anchor: Tensor, noise: Tensor, turned: bool) -> Start:
        cold = self._cold.start(plan, stamp_s, anchor, noise, turned)
        if plan is None or not stamp_s - plan.stamp_s <= self._settings.max_age_s:
            return cold
        level = self._levels(len(noise), len(plan.tcp), turned).to(noise)
        warm = len(level)
        if warm == 0:
            return cold
        tcp, width = plan.shifted(stamp_s - plan.stamp_s)
        guess = self._action_space.encode(tcp[:warm], width[:warm], anchor).to(noise)
        guess = torch.cat([guess[..., :3], self._gripper_guess(guess[..., 3:], turned)], dim=-1)
        x = noised(guess, level, self._schedule, noise[:warm])
        return Start(
            x=torch.cat([x, cold.x[warm:]]),
            level=torch.cat([level, cold.level[warm:]]),
            guess=torch.cat([guess, cold.guess[warm:]]),
            warm=torch.arange(len(noise), device=noise.device) < warm,
        )

    def _levels(self, particles: int, available: int, turned: bool) -> Tensor:
        """Levels of the warm particles, best first; its length says how many there are."""
        settings = self._settings
        warm = min(particles - min(settings.scouts, particles - 1), available)
        if turned:
            # The old chunks were made for another goal: keep a few, far up, and let the rest look anew.
            return torch.full((min(warm, int(particles * settings.turn_share)),), settings.turn_level)
        ladder = torch.linspace(settings.ladder_low, settings.ladder_high, max(warm - 1, 0))
        return torch.cat([torch.tensor([settings.incumbent_level]), ladder])

    def _gripper_guess(self, gripper: Tensor, turned: bool) -> Tensor:
        if turned:
            return torch.zeros_like(gripper)
        return gripper.clamp(-self._settings.gripper_clip, self._settings.gripper_clip)


def jump_in_sigma(start: Start, estimate: Tensor, schedule: NoiseSchedule) -> Tensor:
    """How far the first clean estimate (K, H, A) lies from a warm particle's guess, in sigma of its level; (K,).

    Root mean square over steps and positions; 0 for cold particles.  Beyond 1 the observation contradicts
    the plan by more than the noise that was added, so that level cannot correct it.
    """
    distance = (estimate - start.guess)[..., :3].square().mean(dim=(1, 2)).sqrt()
    return torch.where(start.warm, distance / schedule.sigma(start.level), torch.zeros_like(distance))
