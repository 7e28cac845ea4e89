"""From a selected candidate to the chunk that the executor gets."""

from __future__ import annotations

import numpy as np

from vls_steering.core.arrays import FloatArray
from vls_steering.core.types import DOWN_QUAT_XYZW, GRIPPER_OPEN_M, ActionChunk, ChunkSource, Observation

# A gripper command flips only when the policy is clearly on the other side of half open.
CLOSE_BELOW_M = 0.4 * GRIPPER_OPEN_M
OPEN_ABOVE_M = 0.6 * GRIPPER_OPEN_M


def motion_chunk(
    observation: Observation,
    begins_s: float,
    positions: FloatArray,
    widths_m: FloatArray,
    opened: bool,
    step_s: float,
    source: ChunkSource,
    program_sha256: str,
    sequence: int,
) -> ActionChunk:
    """Positions (H, 3) m and continuous widths (H,) m, due every `step_s` after `begins_s`; hand down.

    `opened` is the gripper command in force when the chunk begins.
    """
    return ActionChunk(
        stamp_s=observation.stamp_s,
        times_s=begins_s + step_s * np.arange(1.0, len(positions) + 1.0),
        positions=positions,
        quats_xyzw=np.tile(DOWN_QUAT_XYZW, (len(positions), 1)),
        gripper_widths_m=switched(widths_m, opened),
        source=source,
        program_sha256=program_sha256,
        sequence=sequence,
    )


def hold_chunk(
    observation: Observation, horizon: int, opened: bool, step_s: float, program_sha256: str, sequence: int
) -> ActionChunk:
    """Stay at the measured TCP with the gripper command in force."""
    positions = np.tile(observation.robot.tcp_position, (horizon, 1))
    widths = np.full(horizon, GRIPPER_OPEN_M if opened else 0.0)
    begins_s = observation.stamp_s
    return motion_chunk(
        observation, begins_s, positions, widths, opened, step_s, ChunkSource.HOLD, program_sha256, sequence
    )


def begins_at(chunk: ActionChunk | None, observation: Observation, delay_s: float) -> float:
    """When a chunk begins that arrives `delay_s` after its observation, s.

    With the observation while the arm moves along `chunk`, which it will have followed in the meantime; on arrival
    when the arm stands.
    """
    stands = chunk is None or chunk.source is ChunkSource.HOLD or chunk.times_s[-1] <= observation.stamp_s
    return observation.stamp_s + delay_s if stands else observation.stamp_s


def switched(widths_m: FloatArray, opened: bool) -> FloatArray:
    """Continuous widths (H,) m -> 0 or fully open at each step, with hysteresis from the command in force."""
    commands = np.empty(len(widths_m))
    for step, width in enumerate(widths_m):
        opened = width > (CLOSE_BELOW_M if opened else OPEN_ABOVE_M)
        commands[step] = GRIPPER_OPEN_M if opened else 0.0
    return commands


def opened_at(chunk: ActionChunk | None, observation: Observation) -> bool:
    """The gripper command in force at the observation: the last step due by then, else what is measured."""
    if chunk is None:
        return observation.robot.gripper_width_m > 0.5 * GRIPPER_OPEN_M and not observation.robot.gripper_holds
    due = int(np.searchsorted(chunk.times_s, observation.stamp_s, side="right"))
    return bool(chunk.gripper_widths_m[max(due - 1, 0)] > 0.5 * GRIPPER_OPEN_M)
