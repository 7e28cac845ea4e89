"""What a joint motion does to the hand: where it goes, how fast, and how close to a singular posture.

Pose and Jacobian are computed once per sample and judged for everything that depends on them, because every set-point
is preceded by such a judgement of its stop manoeuvre.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vls_steering.core.arrays import FloatArray
from vls_steering.safety.checks import Finding, JointPath, PathCheck
from vls_steering.safety.kinematics import Kinematics
from vls_steering.safety.limits import ArmLimits
from vls_steering.safety.reasons import ReasonCode
from vls_steering.safety.settings import ExecutorSettings

# A smooth motion through steps on the edge of the workspace rounds its corners outside of it.
WORKSPACE_SLACK_M = 0.005
TILT_SLACK_RAD = 0.02
ELBOW_JOINT = 2  # index of the third joint
# A step along the joint velocity for the Jacobian's derivative; its error is of second order.
_DERIVATIVE_STEP_S = 1e-4
# Hovering at one condition number is no approach, although it never stands exactly still.  Granted below `stop` alone:
# beyond it every chunk of a patient stream would be granted a little more.
_APPROACH = 1.02
_ROUNDING = 1e-6


@dataclass(frozen=True)
class TcpPath:
    """The hand along N samples of a joint path, base frame; twists have their linear part first."""

    positions: FloatArray  # (N, 3) m
    tilts: FloatArray  # (N,) rad, of the hand from straight down
    velocities: FloatArray  # (N, 6) m/s, rad/s
    accelerations: FloatArray  # (N, 6) m/s2, rad/s2
    conditions: FloatArray  # (N,) condition number of the Jacobian (metres and radians)

    @staticmethod
    def of(path: JointPath, kinematics: Kinematics) -> TcpPath:
        count = len(path.positions)
        ahead = path.positions + _DERIVATIVE_STEP_S * path.velocities
        states = kinematics.tcp_states(np.concatenate([path.positions, ahead]))
        jacobians, change = states.jacobians[:count], np.diff(states.jacobians.reshape(2, count, 6, -1), axis=0)[0]
        velocities = np.einsum("nij,nj->ni", jacobians, path.velocities)
        accelerations = np.einsum("nij,nj->ni", jacobians, path.accelerations)
        accelerations += np.einsum("nij,nj->ni", change / _DERIVATIVE_STEP_S, path.velocities)
        tilts = np.arccos(np.clip(-states.rotations[:count, 2, 2], -1.0, 1.0))
        return TcpPath(states.positions[:count], tilts, velocities, accelerations, _conditions(jacobians))


def _conditions(jacobians: FloatArray) -> FloatArray:
    """Condition numbers (N,), from the squares of the singular values: half the time of the values themselves."""
    squares = np.linalg.eigvalsh(jacobians @ jacobians.transpose(0, 2, 1))
    return np.asarray(np.sqrt(squares[:, -1] / np.maximum(squares[:, 0], 1e-12)))


def tcp_path_check(kinematics: Kinematics, limits: ArmLimits, settings: ExecutorSettings, share: float) -> PathCheck:
    """Workspace box, tilt, `share` of the Cartesian and elbow limits, distance from singular postures.

    Too fast is curable by stretching.  A path that starts outside of the box, too tilted or beyond a singularity's
    bound, as after arming there, may come back but not go further.
    """
    lower = np.array(settings.workspace_lower_m) - WORKSPACE_SLACK_M
    upper = np.array(settings.workspace_upper_m) + WORKSPACE_SLACK_M

    def check(path: JointPath) -> Finding | None:
        tcp = TcpPath.of(path, kinematics)
        return (
            _outside_workspace(tcp, lower, upper)
            or _tilted(tcp, settings.max_tilt_rad)
            or _too_singular(tcp, settings)
            or _too_fast(tcp, path, limits, share)
        )

    return check


def _outside_workspace(tcp: TcpPath, lower: FloatArray, upper: FloatArray) -> Finding | None:
    outside = np.maximum(lower - tcp.positions, tcp.positions - upper)
    beyond = outside - np.maximum(outside[0], 0.0)
    sample, axis = np.unravel_index(int(beyond.argmax()), beyond.shape)
    if beyond[sample, axis] <= 0:
        return None
    return Finding(ReasonCode.WORKSPACE, f"the motion would pass {'xyz'[axis]} = {tcp.positions[sample, axis]:.3f} m")


def _tilted(tcp: TcpPath, most_rad: float) -> Finding | None:
    worst = float(tcp.tilts.max())
    if worst <= max(most_rad + TILT_SLACK_RAD, float(tcp.tilts[0]) + _ROUNDING):
        return None
    return Finding(ReasonCode.TILT, f"the motion would tilt the hand by {worst:.2f} rad, at most {most_rad:g}")


def _too_singular(tcp: TcpPath, settings: ExecutorSettings) -> Finding | None:
    """The approach is slowed down in proportion to what is left of the way from `slow` to `stop` (moveit_servo)."""
    worst, slow, stop = float(tcp.conditions.max()), settings.singularity_slow, settings.singularity_stop
    start = float(tcp.conditions[0])
    if worst <= slow or worst <= max(min(_APPROACH * start, stop), (1.0 + _ROUNDING) * start):
        return None
    left = (stop - worst) / (stop - slow)
    text = f"condition number {worst:.0f}, slowed down from {slow:g}, never above {stop:g}"
    return Finding(ReasonCode.SINGULARITY, text, 1.0 / left) if left > 0 else Finding(ReasonCode.SINGULARITY, text)


def _too_fast(tcp: TcpPath, path: JointPath, limits: ArmLimits, share: float) -> Finding | None:
    """The elbow's acceleration has the third joint's own limit, which is judged with the joints."""
    translation, rotation = limits.cartesian.translation, limits.cartesian.rotation
    speed = max(
        _largest(tcp.velocities[:, :3]) / translation.velocity, _largest(tcp.velocities[:, 3:]) / rotation.velocity
    )
    push = max(
        _largest(tcp.accelerations[:, :3]) / translation.acceleration,
        _largest(tcp.accelerations[:, 3:]) / rotation.acceleration,
    )
    swing = float(np.abs(path.velocities[:, ELBOW_JOINT]).max()) / limits.cartesian.elbow.velocity
    ratios = (
        (ReasonCode.TCP_SPEED, speed / share, 1.0),
        (ReasonCode.TCP_ACCELERATION, push / share, 1 / 2),
        (ReasonCode.ELBOW_SPEED, swing / share, 1.0),
    )
    reason, ratio, power = max(ratios, key=lambda r: r[1] ** r[2])
    return Finding(reason, f"{ratio:.2f} times the share of the limit in use", ratio**power) if ratio > 1.0 else None


def _largest(vectors: FloatArray) -> float:
    """Length of the longest row."""
    return float(np.linalg.norm(vectors, axis=1).max())
