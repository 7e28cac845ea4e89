"""Hostile chunk streams, drawn once and used by the tests and by the nightly command.

An example is a short stream: what is wrong with each chunk and when the next one comes.  Whatever it is, what the
executor sends must stay within the arm's tables, the hand's, and the workspace.
"""

from __future__ import annotations

import contextlib
import sys
import time
from functools import cache

import numpy as np
from safety.arms import FINE_S, HOME_Q, Cell, CompliantArm, LinearArm, PerfectArm
from scipy.spatial.transform import Rotation

from vls_steering.core.arrays import FloatArray
from vls_steering.core.errors import VlsError
from vls_steering.core.types import DOWN_QUAT_XYZW, ActionChunk
from vls_steering.robots.clearance import ArmClearance
from vls_steering.robots.kinematics import ArmKinematics
from vls_steering.safety import (
    FR3_LIMITS,
    Band,
    DeltaChunk,
    ExecutorState,
    JointChunk,
    ReasonCode,
    Violation,
    clearance_check,
    tcp_violations,
    violations,
)
from vls_steering.safety.chunks import Chunk
from vls_steering.safety.tcp import TILT_SLACK_RAD, WORKSPACE_SLACK_M

KINDS = (
    "good", "good", "good", "joints", "deltas", "stale", "future", "old", "jump", "far", "fast", "nan", "inf", "huge",
    "long", "dense", "sparse", "tilted", "wide", "twice", "single", "wobble", "reverse",
)  # fmt: skip
# Less of what is refused at once, more of what moves: where the limits of a real hand are met.
REAL_KINDS = (
    "good", "good", "good", "joints", "deltas", "wobble", "jump", "fast", "single", "tilted", "stale", "twice",
)  # fmt: skip
SHORT, LONG = 3, 12  # chunks of an example; of one on the real arm
WAITS_S = (0.0, 0.01, 0.02, 0.05, 0.05)
CLEARANCES_M = (0.01, 0.01)


class Stream:
    """One example from one integer: deterministic, and cheap enough for a million of them.

    `real`: the FR3's own kinematics and volume instead of an arm that is linear in its joints and never turns its hand;
    some hundred times slower.
    """

    def __init__(self, seed: int, period_s: float, real: bool = False) -> None:
        self.real, self.rng = real, np.random.default_rng(seed)
        self.arm, checks = (fr3(), (clearance_check(volume()),)) if real else (LinearArm(), ())
        # Every other arm lags behind and rests beside its set-points.
        error = np.random.default_rng([seed, 1]).uniform(-0.02, 0.02, 7)
        self.cell = Cell(
            arm=CompliantArm(standing_error=error) if seed % 2 else PerfectArm(),
            kinematics=self.arm,
            checks=checks,
            control_period_s=period_s,
            chunk_timeout_s=0.1,
            policy_timeout_s=0.3,
            # Half of the real arms may turn their hands far, where the Jacobian changes most.
            max_tilt_rad=1.0 if real and seed % 4 > 1 else 0.35,
        )
        self.kinds: list[str] = []

    def run(self, chunks: int = SHORT) -> None:
        cell, rng = self.cell, self.rng
        cell.q = self._start()
        cell.arm()
        for _ in range(chunks):
            kinds = REAL_KINDS if self.real else KINDS
            kind = kinds[rng.integers(len(kinds))]
            self.kinds.append(kind)
            for _ in range(1 + (kind == "twice")):
                self._submit(kind)
            cell.run((4 if self.real else 1) * WAITS_S[rng.integers(len(WAITS_S))])
            if cell.executor.status().state in (ExecutorState.HOLDING, ExecutorState.FAULT):
                cell.arm()
        cell.executor.stop(ReasonCode.SHUTDOWN, cell.now_s)
        for _ in range(400):
            cell.run(cell.settings.control_period_s)
            if cell.executor.status().state is not ExecutorState.STOPPING:
                break

    def _start(self) -> FloatArray:
        near_home = HOME_Q + self.rng.uniform(-0.2, 0.2, 7)
        if not self.real:
            return near_home
        while True:  # from one seed in several thousand the solver ends in a corner
            place = self.rng.uniform([0.35, -0.25, 0.12], [0.62, 0.25, 0.5])
            with contextlib.suppress(VlsError):
                return np.asarray(self.arm.solve_path(place[None], np.array([DOWN_QUAT_XYZW]), near_home[None])[0])

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
        step_s = {"dense": 1e-5, "sparse": 3.0, "fast": 0.02}.get(kind, 0.1 if self.real else 0.05)
        stamp_s = now_s + {"stale": -3.0, "old": -0.3, "future": 100.0}.get(kind, 0.0)
        times = stamp_s + step_s * np.arange(1, steps + 1)
        if kind == "reverse":
            times = times[::-1]
        here, quat = self.arm.tcp_pose(self.cell.q)
        direction = rng.normal(size=3)
        start = here + {"jump": 0.09, "far": 0.5, "huge": 1e9}.get(kind, 0.0) * direction / np.linalg.norm(direction)
        fastest = 0.5 if self.real else 0.8
        path = start + np.outer(times - now_s, rng.uniform(-fastest, fastest, 3))
        path = path + {"wobble": 0.01}.get(kind, 0.0) * rng.normal(size=path.shape)
        widths = np.full(steps, 1e6 if kind == "wide" else 0.08)
        if kind in ("nan", "inf"):
            path[steps // 2, 1] = np.nan if kind == "nan" else np.inf
        if kind == "joints":
            return JointChunk(stamp_s, times, self.cell.q + rng.normal(0, 0.02, (steps, 7)).cumsum(axis=0), widths)
        if kind == "deltas":
            return DeltaChunk(stamp_s, times, rng.normal(0, 0.01, (steps, 3)), rng.normal(0, 0.01, (steps, 3)), widths)
        if self.real:
            turns = Rotation.from_rotvec(np.outer(times - now_s, rng.uniform(-1.5, 1.5, 3)))
            if kind == "tilted":
                turns = turns * Rotation.from_rotvec([0.0, 1.0, 0.0])
            return ActionChunk(stamp_s, times, path, (turns * Rotation.from_quat(quat)).as_quat(), widths)
        half = 0.5 if kind == "tilted" else 0.0
        quats = np.tile([np.cos(half), 0.0, np.sin(half), 0.0], (steps, 1))
        return ActionChunk(stamp_s, times, path, quats, widths)

    def violations(self) -> tuple[Violation, ...]:
        """Of the joints' tables, the hand's, the workspace and the clearances: of the set-points, and every
        millisecond of the motion that leads from one to the next.
        """
        cell = self.cell
        sent = violations(cell.sent, cell.settings.control_period_s, FR3_LIMITS)
        if any(v.quantity == "finite" for v in sent) or not cell.moved:
            return sent
        moved = np.array(cell.moved)
        joints = violations(moved, FINE_S, FR3_LIMITS)
        hand = tcp_violations(moved, FINE_S, FR3_LIMITS, self.arm.tcp_pose)
        states = self.arm.tcp_states(moved)
        tilts = np.arccos(np.clip(-states.rotations[:, 2, 2], -1.0, 1.0))
        return (*sent, *joints, *hand, *self._outside(states.positions), *self._tilted(tilts), *self._too_close(moved))

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

    def _tilted(self, tilts: FloatArray) -> list[Violation]:
        most = max(self.cell.settings.max_tilt_rad + TILT_SLACK_RAD, tilts[0]) + 1e-3
        return [
            Violation("tilt", int(sample), 0, float(tilts[sample]), most) for sample in np.flatnonzero(tilts > most)
        ]

    def _too_close(self, moved: FloatArray) -> list[Violation]:
        """A millimetre for what lies between the samples that were looked at."""
        if not self.real:
            return []
        found = [(sample, volume().closest(q)) for sample, q in enumerate(moved)]
        first = found[0][1].missing_m if found[0][1] is not None else 0.0
        return [
            Violation("clearance", sample, 0, closest.missing_m, first)
            for sample, closest in found
            if closest is not None and closest.missing_m > first + 1e-3
        ]


@cache
def fr3() -> ArmKinematics:
    return ArmKinematics()


@cache
def volume() -> ArmClearance:
    return ArmClearance(*CLEARANCES_M)


def examine(first: int, count: int, period_s: float, real: bool = False) -> tuple[int, list[tuple[int, Violation]]]:
    """Set-points sent, and the first violation of each example that has one."""
    samples, found = 0, []
    for seed in range(first, first + count):
        stream = Stream(seed, period_s, real)
        stream.run(LONG if real else SHORT)
        samples += len(stream.cell.sent)
        bad = stream.violations()
        if bad:
            found.append((seed, bad[0]))
    return samples, found


def main() -> int:
    """`python -m safety.hostile FIRST COUNT PERIOD_S linear|fr3`, from test/: the nightly run."""
    first, count, period_s, arm = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    began_s = time.monotonic()
    samples, found = examine(first, count, period_s, real=arm == "fr3")
    print(f'{{"arm": "{arm}", "examples": {count}, "first": {first}, "period_s": {period_s}, "set_points": {samples}, '
          f'"violations": {len(found)}, "seconds": {time.monotonic() - began_s:.0f}}}')  # fmt: skip
    for seed, violation in found[:20]:
        print(f"seed {seed}: {violation}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
