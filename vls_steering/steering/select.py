"""Which candidate becomes the chunk: a safety gate, scores made comparable, and a margin for the lineage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from vls_steering.steering.noise import Stream, TickNoise
from vls_steering.steering.settings import SelectSettings


@dataclass(frozen=True)
class Candidates:
    """K clean chunks in metres, and what they are compared with."""

    tcp: Tensor  # (K, H, 3) m, base frame
    gripper_width: Tensor  # (K, H) m
    anchor: Tensor  # (3,) m, measured TCP
    step_s: float
    admissible: Tensor  # (K,) bool
    reward: Tensor  # (K,), smooth reward of the stage; zeros when there is no program
    committed: Tensor | None = None  # (H', 3) m, what is left of the executed chunk, at the same first steps
    memory: Tensor | None = None  # (K,), the resampler's record of the rewards
    robustness: Tensor | None = None  # (K,), exact, of the stage's worst condition; +inf where it has none

    def velocity(self) -> Tensor:
        """(K, H, 3) m/s, the first step seen from the measured TCP."""
        anchor = self.anchor.to(self.tcp).expand(len(self.tcp), 1, 3)
        return torch.diff(torch.cat([anchor, self.tcp], dim=1), dim=1) / self.step_s


class Scorer(Protocol):
    """One opinion about the candidates; higher is better."""

    @property
    def name(self) -> str: ...

    @property
    def resolution(self) -> float:
        """Differences below this mean nothing, in the scorer's own unit."""
        ...

    def score(self, candidates: Candidates) -> Tensor:
        """(K,)"""
        ...


@dataclass(frozen=True)
class RewardScorer:
    """The stage's smooth reward."""

    name: str = "reward"
    resolution: float = 1e-3

    def score(self, candidates: Candidates) -> Tensor:
        return candidates.reward


@dataclass(frozen=True)
class RobustnessScorer:
    """By how much the stage's worst condition is met or missed, exactly: the smooth reward is only near it."""

    name: str = "robustness"
    resolution: float = 0.05  # 5 mm where a condition is about a distance

    def score(self, candidates: Candidates) -> Tensor:
        if candidates.robustness is None:
            return candidates.reward.new_zeros(len(candidates.reward))
        # Without conditions (+inf) there is nothing to prefer.
        return candidates.robustness.to(candidates.reward).nan_to_num(posinf=0.0)


@dataclass(frozen=True)
class SmoothnessScorer:
    """Minus the mean acceleration, m/s^2."""

    name: str = "smoothness"
    resolution: float = 0.1

    def score(self, candidates: Candidates) -> Tensor:
        change = torch.diff(candidates.velocity(), dim=1)
        return -_length(change).mean(dim=1) / candidates.step_s


@dataclass(frozen=True)
class LimitsScorer:
    """Minus the worst excess over the speed limit, m/s."""

    speed_limit_m_s: float
    name: str = "limits"
    resolution: float = 0.02

    def score(self, candidates: Candidates) -> Tensor:
        return -(_length(candidates.velocity()) - self.speed_limit_m_s).clamp_min(0.0).amax(dim=1)


@dataclass(frozen=True)
class OverlapScorer:
    """Minus the mean distance to the committed chunk, m (the idea of PTP, without its head)."""

    name: str = "overlap"
    resolution: float = 2e-3

    def score(self, candidates: Candidates) -> Tensor:
        if candidates.committed is None:
            return candidates.tcp.new_zeros(len(candidates.tcp))
        ahead = candidates.tcp[:, : len(candidates.committed)]
        return -_length(ahead - candidates.committed).mean(dim=1)


@dataclass(frozen=True)
class Selection:
    """The chosen candidate, or None when none is admissible."""

    chosen: int | None
    scores: Tensor  # (K,), combined; -inf for candidates that are out
    margin: float  # combined score of the chosen one less the median of the admissible ones
    order: Tensor  # (P,) indices of the admissible candidates: the chosen one, then from best to worst


class Selector:
    """Weighted scorers, each standardised inside the admissible set, then the lineage margin.

    With a temperature T the choice is drawn with probability exp(score / T): what wins by a hair among many
    candidates wins by luck or by a flaw of the reward, so the best of more is not always better (V-GPS).
    """

    def __init__(self, scorers: Sequence[tuple[Scorer, float]], settings: SelectSettings) -> None:
        self._scorers = [(scorer, weight) for scorer, weight in scorers if weight > 0.0]
        self._combine = by_rank if settings.combine == "rank" else by_zscore
        self._margin = settings.lineage_margin
        self._temperature = settings.temperature
        self._by_memory = settings.choose == "memory"

    def select(self, candidates: Candidates, incumbent: int | None, draw: Tensor | None = None) -> Selection:
        """`incumbent` is the particle that continues the executed chunk; None lets the best score win.

        `draw` (K,) are the standard Gumbel numbers of a choice with a temperature.
        """
        ok = candidates.admissible
        total = self._total(candidates)
        order = torch.argsort(total, descending=True, stable=True)[: int(ok.sum())]
        if len(order) == 0:
            return Selection(None, total, 0.0, order)
        chosen = int(order[0])
        if draw is not None:
            chosen = int((total / self._temperature + draw.to(total)).argmax())
        if incumbent is not None and bool(ok[incumbent]) and float(total[chosen] - total[incumbent]) < self._margin:
            chosen = incumbent
        margin = float(total[chosen] - total[order].median())
        return Selection(chosen, total, margin, torch.cat([order.new_tensor([chosen]), order[order != chosen]]))

    def _total(self, candidates: Candidates) -> Tensor:
        """Combined score (K,), -inf for those that are out."""
        ok = candidates.admissible
        total = torch.zeros(len(ok), dtype=candidates.tcp.dtype, device=candidates.tcp.device)
        if self._by_memory and candidates.memory is not None:
            total = candidates.memory.to(total).nan_to_num(neginf=0.0)  # nobody looked: the first one
        else:
            for scorer, weight in self._scorers:
                total = total + weight * self._combine(scorer.score(candidates), ok, scorer.resolution)
        return torch.where(ok, total, torch.full_like(total, -torch.inf))


def gumbel(noise: TickNoise, count: int) -> Tensor:
    """(count,) standard Gumbel numbers: adding them to log probabilities and taking the largest draws from those."""
    return -torch.log(-torch.log(noise.uniform(Stream.SELECT, 0, count).clamp(1e-12, 1.0 - 1e-12)))


def standard_scorers(settings: SelectSettings) -> tuple[tuple[Scorer, float], ...]:
    """The scorers of every preset with their weights."""
    return (
        (RewardScorer(), settings.reward_weight),
        (RobustnessScorer(), settings.robustness_weight),
        (SmoothnessScorer(), settings.smoothness_weight),
        (LimitsScorer(settings.speed_limit_m_s), settings.limits_weight),
        (OverlapScorer(), settings.overlap_weight),
    )


def by_zscore(scores: Tensor, admissible: Tensor, resolution: float) -> Tensor:
    """(K,) scores in standard deviations of the admissible ones; the deviation never falls below `resolution`."""
    kept = scores[admissible]
    if len(kept) == 0:
        return torch.zeros_like(scores)
    spread = kept.std(correction=0).clamp_min(resolution)
    return torch.where(admissible, (scores - kept.mean()) / spread, torch.zeros_like(scores))


def by_rank(scores: Tensor, admissible: Tensor, resolution: float) -> Tensor:
    """(K,) share of the admissible candidates that each beats by more than `resolution`, minus those that beat it."""
    pairs = admissible[:, None] & admissible[None, :]
    difference = scores[:, None] - scores[None, :]
    beats = ((difference > resolution) & pairs).sum(dim=1) - ((difference < -resolution) & pairs).sum(dim=1)
    return beats.to(scores.dtype) / max(int(admissible.sum()) - 1, 1)


def admissible(alive: Tensor, reward: Tensor, safety_m: Tensor, standing_still_m: float) -> Tensor:
    """(K,) bool: finite, and its exact safety robustness (K,) is not negative.

    `standing_still_m` is the robustness of not moving at all.  Where that is negative already (the arm is
    inside a keep-out), a candidate that never gets worse than it is now may lead out; else the arm could
    never leave.  A robustness that is not a number is not safe.
    """
    return alive & torch.isfinite(reward) & (safety_m >= min(standing_still_m, 0.0))


def _length(vectors: Tensor) -> Tensor:
    """(K, N, 3) -> (K, N)."""
    return vectors.square().sum(dim=2).sqrt()
