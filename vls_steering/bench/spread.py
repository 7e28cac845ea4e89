"""Episodes spread over processes, each with a world, a camera rig and a policy of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import torch

from vls_steering.bench.episode import EpisodeRunner
from vls_steering.policies import open_policy
from vls_steering.sim.oracle import Oracle
from vls_steering.sim.proven import ProvenLayouts, cache_folder
from vls_steering.sim.scenes import draw_layout

KeyT = TypeVar("KeyT")
ResultT = TypeVar("ResultT")


def spread(run: Callable[[KeyT], ResultT], keys: Sequence[KeyT], jobs: int) -> Iterator[tuple[KeyT, ResultT]]:
    """`run` on every key, in `jobs` processes; each result as it comes.  With more than one, `run` must pickle."""
    if jobs <= 1:
        for key in keys:
            yield key, run(key)
        return
    # A forked child would inherit the parent's threads and OpenGL state.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        pending = {pool.submit(run, key): key for key in keys}
        for future in as_completed(pending):
            yield pending[future], future.result()


@cache
def stage(policy: Path) -> tuple[EpisodeRunner, ProvenLayouts]:
    """What this process runs its episodes of a policy with."""
    _one_thread()
    runner = EpisodeRunner(open_policy(policy), draw_layout("play", 0))
    return runner, ProvenLayouts(Oracle(runner.world), cache_folder())


def _one_thread() -> None:
    """More threads slow small networks down."""
    torch.set_num_threads(1)
