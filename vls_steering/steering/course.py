"""The itinerary of a tick: which levels are visited in which order, up as well as down.

Going back up and down again is all that sets apart repeated visits (ITPS's stochastic sampling, TFG's
n_recur) and Diffusion-ES from a plain descent, so it is a matter of the itinerary and not of the loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vls_steering.steering.levels import descend


@dataclass(frozen=True)
class Move:
    """From one level to the next one."""

    step: int  # which denoising step it belongs to, counted from 0 over all descents
    falls: bool  # a denoising step; else the forward process back up
    settles: bool  # the last fall of its step: what happens once a step happens now
    lands: bool  # it ends at level 0


@dataclass(frozen=True)
class Course:
    """`steps` steps down from each particle's own level, with repeated visits, then whole descents again."""

    moves: tuple[Move, ...]
    steps: int  # of the first descent
    visits: tuple[int, ...]  # rung of the first descent before and after each of its moves, 0 = its own level
    again: tuple[float, ...]  # levels after the moves of the later descents, the same for all particles

    @property
    def evaluations(self) -> int:
        """Network evaluations, one after the other."""
        return sum(move.falls for move in self.moves)

    def levels(self, start: Tensor) -> Tensor:
        """(K,) starting levels -> (K, moves + 1), one column before each move and one after the last."""
        first = descend(start, self.steps).levels[:, list(self.visits)]
        return torch.cat([first, start.new_tensor(self.again).expand(len(start), -1)], dim=1)

    def restarted(self, levels: Tensor, particles: Tensor, start: Tensor) -> Tensor:
        """Particles marked in `particles` (K,) go down from `start` (K,) in the steps after the first move.

        Where the others go back up to their own level, these go back to `start`.
        """
        rungs = [max(rung - 1, 0) for rung in self.visits[1:]]
        rest = descend(start, self.steps - 1).levels[:, rungs]
        changed = levels.clone()
        changed[:, 1 : len(self.visits)] = torch.where(particles[:, None], rest, levels[:, 1 : len(self.visits)])
        return changed


def make_course(repeats: Sequence[int], rounds: int = 0, level: float = 1.0, round_steps: int = 1) -> Course:
    """A descent that visits the level of step i `repeats[i]` times, then `rounds` plain ones from `level`."""
    visits, moves = [0], list[Move]()
    for step, count in enumerate(repeats):
        last = step + 1 == len(repeats)
        for visit in range(count):
            settles = visit + 1 == count
            moves.append(Move(step, falls=True, settles=settles, lands=last))
            visits.append(step + 1)
            if not settles:
                moves.append(Move(step, falls=False, settles=False, lands=False))
                visits.append(step)
    step, again = len(repeats) - 1, list[float]()
    for _ in range(rounds):
        moves.append(Move(step, falls=False, settles=False, lands=False))
        again.append(level)
        for rung in range(round_steps - 1, -1, -1):
            step += 1
            moves.append(Move(step, falls=True, settles=True, lands=rung == 0))
            again.append(level * rung / round_steps)
    return Course(tuple(moves), len(repeats), tuple(visits), tuple(again))
