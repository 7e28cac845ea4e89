"""Hostile chunk streams, drawn once and used by the tests and by the nightly command.

An example is a short stream: what is wrong with each chunk and when the next one comes.  Whatever it is, what the
executor sends must stay within the arm's tables, the hand's, and the workspace.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from safety.arms import HOME_Q, Cell, CompliantArm, LinearArm, PerfectArm

from vls_steering.core.arrays import FloatArray
from vls_steering.core.types import ActionChunk
from vls_steering.safety import (
    FR3_LIMITS,
    Band,
    DeltaChunk,
    ExecutorState,
    JointChunk,
    ReasonCode,
    Violation,
    tcp_violations,
    violations,
)
from vls_steering.safety.chunks import Chunk
from vls_steering.safety.tcp import WORKSPACE_SLACK_M

KINDS = (
    "good", "good", "good", "joints", "deltas", "stale", "future", "old", "jump", "far", "fast", "nan", "inf", "huge",
    "long", "dense", "sparse", "tilted", "wide", "twice", "single", "wobble", "reverse",
)  # fmt: skip
WAITS_S = (0.0, 0.01, 0.02, 0.05, 0.05)
ARM = LinearArm()


class Stream:
    """One example from one integer: deterministic, and cheap enough for a million of them."""

    def __init__(self, seed: int, period_s: float) -> None:
        self.rng = np.random.default_rng(seed)
        # Every other arm lags behind and rests beside its set-points.
        error = np.random.default_rng([seed, 1]).uniform(-0.02, 0.02, 7)
        arm = CompliantArm(standing_error=error) if seed % 2 else PerfectArm()
        self.cell = Cell(arm=arm, control_period_s=period_s, chunk_timeout_s=0.1, policy_timeout_s=0.3)
        self.kinds: list[str] = []

    def run(self, chunks: int = 3) -> None:
        cell, rng = self.cell, self.rng
        cell.q = HOME_Q + rng.uniform(-0.2, 0.2, 7)
        cell.arm()
        for _ in range(chunks):
            kind = KINDS[rng.integers(len(KINDS))]
            self.kinds.append(kind)
            for _ in range(1 + (kind == "twice")):
                self._submit(kind)
            cell.run(WAITS_S[rng.integers(len(WAITS_S))])
            if cell.executor.status().state in (ExecutorState.HOLDING, ExecutorState.FAULT):
                cell.arm()
        cell.executor.stop(ReasonCode.SHUTDOWN, cell.now_s)
        for _ in range(400):
            cell.run(cell.settings.control_period_s)
            if cell.executor.status().state is not ExecutorState.STOPPING:
                break

    def _submit(self, kind: str) -> None:
        cell = self.cell
        try:
            chunk = self.chunk(kind)
        except ValueError:
            raise
        except Exception as error:  # noqa: BLE001 - what core refuses to build is refused by the executor, too
            verdict = cell.executor.refuse(str(error), cell.now_s)
        else:
            verdict = cell.submit(chunk)
        if verdict.band is Band.REJECT:
            assert verdict.reason is not ReasonCode.NONE
            assert verdict.text, kind
        if verdict.band is Band.SCALE:
            assert 0 < verdict.scale < 1

    def chunk(self, kind: str) -> Chunk:
        """Raises ShapeError for those kinds that are no chunk."""
        rng, now_s = self.rng, self.cell.now_s
        steps = {"single": 1, "long": 200}.get(kind, int(rng.integers(2, 17)))
        step_s = {"dense": 1e-5, "sparse": 3.0, "fast": 0.02}.get(kind, 0.05)
        stamp_s = now_s + {"stale": -3.0, "old": -0.3, "future": 100.0}.get(kind, 0.0)
        times = stamp_s + step_s * np.arange(1, steps + 1)
        if kind == "reverse":
            times = times[::-1]
        here, _ = ARM.tcp_pose(self.cell.q)
        direction = rng.normal(size=3)
        start = here + {"jump": 0.09, "far": 0.5, "huge": 1e9}.get(kind, 0.0) * direction / np.linalg.norm(direction)
        path = start + np.outer(times - now_s, rng.uniform(-0.8, 0.8, 3))
        path = path + {"wobble": 0.01}.get(kind, 0.0) * rng.normal(size=path.shape)
        widths = np.full(steps, 1e6 if kind == "wide" else 0.08)
        if kind in ("nan", "inf"):
            path[steps // 2, 1] = np.nan if kind == "nan" else np.inf
        if kind == "joints":
            return JointChunk(stamp_s, times, self.cell.q + rng.normal(0, 0.02, (steps, 7)).cumsum(axis=0), widths)
        if kind == "deltas":
            return DeltaChunk(stamp_s, times, rng.normal(0, 0.01, (steps, 3)), rng.normal(0, 0.01, (steps, 3)), widths)
        half = 0.5 if kind == "tilted" else 0.0
        quats = np.tile([np.cos(half), 0.0, np.sin(half), 0.0], (steps, 1))
        return ActionChunk(stamp_s, times, path, quats, widths)

    def violations(self) -> tuple[Violation, ...]:
        """Of the joints' tables, the hand's and the workspace."""
        cell = self.cell
        period_s = cell.settings.control_period_s
        found = violations(cell.sent, period_s, FR3_LIMITS)
        if any(v.quantity == "finite" for v in found):
            return found
        return (*found, *tcp_violations(cell.sent, period_s, FR3_LIMITS, ARM.tcp_pose), *self._outside(cell.tcp))

    def _outside(self, tcp: FloatArray) -> list[Violation]:
        s = self.cell.settings
        lower, upper = np.array(s.workspace_lower_m), np.array(s.workspace_upper_m)
        outside = np.maximum(lower - tcp, tcp - upper) - WORKSPACE_SLACK_M - 1e-3
        # One that was armed outside may come back, but not go further.
        beyond = outside - np.maximum(outside[0], 0.0)
        return [
            Violation("workspace", int(sample), int(axis), float(tcp[sample, axis]), 0.0)
            for sample, axis in np.argwhere(beyond > 0)
        ]


def examine(first: int, count: int, period_s: float) -> tuple[int, list[tuple[int, Violation]]]:
    """Set-points looked at, and the first violation of each example that has one."""
    samples, found = 0, []
    for seed in range(first, first + count):
        stream = Stream(seed, period_s)
        stream.run()
        samples += len(stream.cell.sent)
        bad = stream.violations()
        if bad:
            found.append((seed, bad[0]))
    return samples, found


def main() -> int:
    """`python -m safety.hostile FIRST COUNT PERIOD_S`, from test/: the nightly run."""
    first, count, period_s = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    began_s = time.monotonic()
    samples, found = examine(first, count, period_s)
    print(f'{{"examples": {count}, "first": {first}, "period_s": {period_s}, "set_points": {samples}, '
          f'"violations": {len(found)}, "seconds": {time.monotonic() - began_s:.0f}}}')  # fmt: skip
    for seed, violation in found[:20]:
        print(f"seed {seed}: {violation}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
