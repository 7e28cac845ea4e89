"""A reward that fails on one particle costs that particle its verdict, and the others nothing."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vls_steering.core.errors import VlsError
from vls_steering.rewards.rollout import Rollout

Judge = Callable[[Rollout], Tensor]  # K chunks -> (K,)

_MOST_GROUPS = 16
# What somebody else's reward may raise on a chunk that it did not foresee.
_FAULTS = (VlsError, ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


def isolated(judge: Judge, rollout: Rollout) -> Tensor:
    """Verdicts (K,), NaN for particles on which `judge` raises or gives no (1,) tensor.

    Without a fault this is one call.  After one, the broken ones are found by halving, and all are judged once
    more with a sound chunk in the place of each broken one: same shapes, same operations, so that the others
    get what they would have got, to the last bit.  Raises VlsError when no particle can be judged.
    """
    try:
        return _verdicts(judge, rollout)
    except _FAULTS as error:
        broken = _broken(judge, rollout)
        if bool(broken.all()):
            raise _hopeless(error) from error
    verdicts = _verdicts(judge, _replaced(rollout, broken, int(broken.long().argmin())))
    return torch.where(broken, torch.full_like(verdicts, torch.nan), verdicts)


def _broken(judge: Judge, rollout: Rollout) -> Tensor:
    """(K,) bool; where more than `_MOST_GROUPS` groups fail, all that is in them counts as broken."""
    everybody = torch.arange(len(rollout.tcp), device=rollout.tcp.device)
    groups = [everybody]
    while len(groups) <= _MOST_GROUPS and any(len(group) > 1 for group in groups):
        halves = [half for group in groups for half in group.tensor_split(min(2, len(group)))]
        groups = [half for half in halves if not _judges(judge, _subset(rollout, half))]
    return torch.isin(everybody, torch.cat([everybody[:0], *groups]))


def _verdicts(judge: Judge, rollout: Rollout) -> Tensor:
    found: object = judge(rollout)
    if not isinstance(found, Tensor) or found.shape != (len(rollout.tcp),):
        raise TypeError(f"a reward must answer with one number per chunk, not with {type(found).__name__}")
    return found


def _judges(judge: Judge, rollout: Rollout) -> bool:
    try:
        with torch.no_grad():
            _verdicts(judge, rollout)
    except _FAULTS:
        return False
    return True


def _subset(rollout: Rollout, particles: Tensor) -> Rollout:
    return Rollout(rollout.tcp[particles], rollout.gripper_width[particles], rollout.times_s)


def _replaced(rollout: Rollout, broken: Tensor, sound: int) -> Rollout:
    """Broken chunks become copies of a sound one, through which no gradient flows."""
    tcp = torch.where(broken[:, None, None], rollout.tcp[sound].detach(), rollout.tcp)
    width = torch.where(broken[:, None], rollout.gripper_width[sound].detach(), rollout.gripper_width)
    return Rollout(tcp, width, rollout.times_s)


def _hopeless(error: Exception) -> VlsError:
    return error if isinstance(error, VlsError) else VlsError(f"the reward fails on every candidate: {error}")
