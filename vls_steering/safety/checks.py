"""The checks every chunk passes before it moves anything, and those every stop passes before it may be needed.

A check returns None when it is content, else a `Finding`.  More checks (self-collision, keep-out, singularity) are
further callables handed to the governor; nothing here has to change for them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vls_steering.core.arrays import FloatArray
from vls_steering.core.types import GRIPPER_OPEN_M, ActionChunk
from vls_steering.safety.limits import ArmLimits
from vls_steering.safety.reasons import ReasonCode
from vls_steering.safety.settings import ExecutorSettings

_QUAT_TOLERANCE = 1e-2
# A network's gripper output overshoots a little; beyond this the numbers are not widths.
_WIDTH_TOLERANCE_M = 0.05
_SHORTEST_STEP_S = 1e-3


@dataclass(frozen=True)
class Proposal:
    """A chunk and the situation it arrived in."""

    chunk: ActionChunk
    now_s: float
    commanded_tcp: FloatArray  # (3,) m, where the last set-point has the TCP
    commanded_s: float  # when that was
    last_stamp_s: float  # of the last accepted chunk; -inf when there is none
    joint_positions: FloatArray | None = None  # (H, 7) rad, of a chunk that came in joint space


@dataclass(frozen=True)
class JointPath:
    """Samples of a joint motion: times (N,) s, the rest (N, 7) rad, rad/s, rad/s2; jerk rad/s3 where it is known."""

    times_s: FloatArray
    positions: FloatArray
    velocities: FloatArray
    accelerations: FloatArray
    jerks: FloatArray | None = None


@dataclass(frozen=True)
class Finding:
    """What a check objects to; `stretch` > 1 is the factor in time that would cure it, infinite when nothing would."""

    reason: ReasonCode
    text: str
    stretch: float = math.inf


ChunkCheck = Callable[[Proposal], Finding | None]
PathCheck = Callable[[JointPath], Finding | None]


def chunk_checks(settings: ExecutorSettings) -> tuple[ChunkCheck, ...]:
    """The built-in checks on a chunk, cheapest first; the first that finds a rejection ends the review."""
    lower, upper = np.array(settings.workspace_lower_m), np.array(settings.workspace_upper_m)

    def finite(p: Proposal) -> Finding | None:
        c = p.chunk
        if all(np.isfinite(a).all() for a in (c.times_s, c.positions, c.quats_xyzw, c.gripper_widths_m, c.stamp_s)):
            return None
        return Finding(ReasonCode.NOT_FINITE, "the chunk holds a number that is not finite")

    def horizon(p: Proposal) -> Finding | None:
        if p.chunk.horizon <= settings.max_horizon:
            return None
        return Finding(ReasonCode.BAD_HORIZON, f"{p.chunk.horizon} steps, at most {settings.max_horizon} are accepted")

    def stamp(p: Proposal) -> Finding | None:
        age = p.now_s - p.chunk.stamp_s
        if age < -settings.max_clock_skew_s:
            return Finding(ReasonCode.FUTURE_CHUNK, f"stamped {-age:.3f} s in the future")
        if age > settings.max_chunk_age_s:
            return Finding(ReasonCode.STALE_CHUNK, f"{age:.3f} s old, at most {settings.max_chunk_age_s:g} s")
        if p.chunk.stamp_s == p.last_stamp_s:
            return Finding(ReasonCode.DUPLICATE_CHUNK, f"stamp {p.chunk.stamp_s:.3f} s was accepted before")
        if p.chunk.stamp_s < p.last_stamp_s:
            return Finding(ReasonCode.OUT_OF_ORDER, f"{p.last_stamp_s - p.chunk.stamp_s:.3f} s older than the last one")
        return None

    def step_times(p: Proposal) -> Finding | None:
        times, most = p.chunk.times_s, settings.max_step_gap_s
        if times[0] < p.chunk.stamp_s - 1e-6:
            return Finding(ReasonCode.BAD_STEP_TIMES, "the first step lies before the observation")
        # A chunk for an arm at rest begins when it arrives, so its first step counts from now.
        if (wait := times[0] - max(p.chunk.stamp_s, p.now_s)) > most:
            return Finding(ReasonCode.BAD_STEP_TIMES, f"the first step is {wait:.3f} s ahead, at most {most:g} s")
        gaps = np.diff(times)
        if len(gaps) and (gaps.max() > most or gaps.min() < _SHORTEST_STEP_S):
            worst = f"{gaps.min():.4f} to {gaps.max():.3f} s between steps"
            return Finding(ReasonCode.BAD_STEP_TIMES, f"{worst}, accepted {_SHORTEST_STEP_S:g} to {most:g} s")
        if times[-1] <= p.now_s:
            return Finding(ReasonCode.CHUNK_EXPIRED, f"the last step was due {p.now_s - times[-1]:.3f} s ago")
        return None

    def gripper(p: Proposal) -> Finding | None:
        widths = p.chunk.gripper_widths_m
        if widths.min() >= -_WIDTH_TOLERANCE_M and widths.max() <= GRIPPER_OPEN_M + _WIDTH_TOLERANCE_M:
            return None
        return Finding(ReasonCode.BAD_GRIPPER_WIDTH, f"widths {widths.min():.3f} to {widths.max():.3f} m")

    def workspace(p: Proposal) -> Finding | None:
        outside = np.maximum(lower - p.chunk.positions, p.chunk.positions - upper)
        step, axis = np.unravel_index(int(outside.argmax()), outside.shape)
        if outside[step, axis] <= 0:
            return None
        excess = f"{'xyz'[axis]} = {p.chunk.positions[step, axis]:.3f} m"
        box = f"[{lower[axis]:g}, {upper[axis]:g}] m"
        return Finding(ReasonCode.WORKSPACE, f"step {step} has {excess}, the box allows {box}")

    def orientation(p: Proposal) -> Finding | None:
        quats = p.chunk.quats_xyzw
        if np.abs(np.linalg.norm(quats, axis=1) - 1.0).max() > _QUAT_TOLERANCE:
            return Finding(ReasonCode.BAD_ORIENTATION, "a quaternion is not of unit length")
        tilt = math.acos(float(np.clip(-hand_axis_z(quats).max(), -1.0, 1.0)))
        if tilt <= settings.max_tilt_rad:
            return None
        return Finding(ReasonCode.TILT, f"{tilt:.2f} rad from straight down, at most {settings.max_tilt_rad:g}")

    def step_speed(p: Proposal) -> Finding | None:
        if p.chunk.horizon < 2:
            return None
        distances = np.linalg.norm(np.diff(p.chunk.positions, axis=0), axis=1)
        speed = float((distances / np.diff(p.chunk.times_s)).max())
        if speed <= settings.max_tcp_speed_m_s:
            return None
        text = f"{speed:.2f} m/s between two steps, at most {settings.max_tcp_speed_m_s:g}"
        return Finding(ReasonCode.STEP_SPEED, text, speed / settings.max_tcp_speed_m_s)

    def start(p: Proposal) -> Finding | None:
        gap = float(np.linalg.norm(position_at(p.chunk, p.commanded_s) - p.commanded_tcp))
        if gap <= settings.max_start_gap_m:
            return None
        text = f"the chunk is {gap:.3f} m away from the arm, at most {settings.max_start_gap_m:g}"
        return Finding(ReasonCode.START_GAP, text)

    return (finite, horizon, stamp, step_times, gripper, workspace, orientation, step_speed, start)


def planned_path_check(limits: ArmLimits, settings: ExecutorSettings) -> PathCheck:
    """Joint range and the planned share of velocity, acceleration and jerk; too fast is curable by stretching."""
    within_range = joint_range_check(limits, settings.joint_margin_rad)
    share = settings.plan_fraction
    accelerations = share * settings.acceleration_fraction * limits.acceleration
    jerks = share * settings.jerk_fraction * limits.jerk

    def check(path: JointPath) -> Finding | None:
        finding = within_range(path)
        if finding is not None:
            return finding
        ratios = [
            (ReasonCode.JOINT_VELOCITY, velocity_ratio(limits, path) / (share * settings.velocity_fraction), 1.0),
            (ReasonCode.JOINT_ACCELERATION, float((np.abs(path.accelerations) / accelerations).max()), 1 / 2),
        ]
        if path.jerks is not None:
            ratios.append((ReasonCode.JOINT_JERK, float((np.abs(path.jerks) / jerks).max()), 1 / 3))
        reason, ratio, power = max(ratios, key=lambda r: r[1] ** r[2])
        if ratio <= 1.0:
            return None
        return Finding(reason, f"{ratio:.2f} times the planned share of the limit", ratio**power)

    return check


def stop_check(limits: ArmLimits, settings: ExecutorSettings) -> PathCheck:
    """What every stop manoeuvre must keep: the joint range and the full position-dependent velocity."""
    within_range = joint_range_check(limits, settings.joint_margin_rad)

    def check(path: JointPath) -> Finding | None:
        finding = within_range(path)
        if finding is not None:
            return finding
        ratio = velocity_ratio(limits, path)
        return Finding(ReasonCode.JOINT_VELOCITY, f"{ratio:.2f} times the bound") if ratio > 0.95 else None

    return check


def joint_range_check(limits: ArmLimits, margin_rad: float) -> PathCheck:
    """Every position at least `margin_rad` away from the joint stops."""
    lower, upper = limits.soft_range(margin_rad)

    def check(path: JointPath) -> Finding | None:
        excess = np.maximum(lower - path.positions, path.positions - upper)
        if excess.max() <= 0:
            return None
        sample, joint = np.unravel_index(int(excess.argmax()), excess.shape)
        where = f"joint {joint + 1} at {path.positions[sample, joint]:.3f} rad"
        return Finding(ReasonCode.JOINT_RANGE, f"{where}, kept within [{lower[joint]:.3f}, {upper[joint]:.3f}]")

    return check


def velocity_ratio(limits: ArmLimits, path: JointPath) -> float:
    """Largest velocity over its position-dependent bound in the direction of motion."""
    lowest, highest = limits.velocity_bounds(path.positions)
    bounds = np.where(path.velocities >= 0, np.maximum(highest, 1e-3), np.maximum(-lowest, 1e-3))
    return float((np.abs(path.velocities) / bounds).max())


def hand_axis_z(quats_xyzw: FloatArray) -> FloatArray:
    """Vertical component (N,) of the hand's approach axis: -1 points straight down."""
    x, y = quats_xyzw[:, 0], quats_xyzw[:, 1]
    return np.asarray(1.0 - 2.0 * (x * x + y * y) / (quats_xyzw**2).sum(axis=1))


def position_at(chunk: ActionChunk, now_s: float) -> FloatArray:
    """TCP position (3,) m of the chunk at `now_s`; before its first step, its first segment carried back."""
    times, positions = chunk.times_s, chunk.positions
    if now_s < times[0] and chunk.horizon > 1:
        pace = (positions[1] - positions[0]) / (times[1] - times[0])
        return np.asarray(positions[0] - pace * (times[0] - now_s))
    return np.array([np.interp(now_s, times, positions[:, axis]) for axis in range(3)])
