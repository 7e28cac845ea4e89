"""The chunks that a replay made beside those that were sent."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vls_steering.core.types import ActionChunk
from vls_steering.nodes.conversions import chunk_message, pose_arrays, stamp_seconds
from vls_steering.nodes.replay_log import ChunkKey, chunk_key
from vls_steering.steering.replay import Replay

CLOSE = 1e-6  # m, s: below what any arm could show


@dataclass(frozen=True)
class Difference:
    """How a chunk made again differs from the one sent."""

    sequence: int
    stamp_s: float
    what: str
    size: float  # of the largest number; infinite when it is another kind of chunk

    def __str__(self) -> str:
        size = "" if math.isinf(self.size) else f" by {self.size:.3g}"
        return f"tick {self.sequence} (stamp {self.stamp_s:.3f} s): {self.what}{size}"


@dataclass
class Comparison:
    """Counts of ticks."""

    identical: int = 0  # to the last bit
    close: int = 0  # within CLOSE
    different: int = 0
    unrecorded: int = 0  # made again, but what was sent is not in the log
    skipped: int = 0  # the log lacks what they were made from
    first: Difference | None = None  # of those that are not identical
    largest: Difference | None = None

    @property
    def compared(self) -> int:
        return self.identical + self.close + self.different

    @property
    def agrees(self) -> bool:
        return self.compared > 0 and self.different == 0

    def take(self, difference: Difference | None) -> None:
        """One more tick; None: identical."""
        if difference is None:
            self.identical += 1
            return
        self.close += difference.size <= CLOSE
        self.different += difference.size > CLOSE
        self.first = self.first or difference
        if self.largest is None or difference.size > self.largest.size:
            self.largest = difference


def compare(lines: Iterable[str], sent: Mapping[ChunkKey, Any], player: Replay) -> Comparison:
    """`sent` are ActionChunk messages."""
    comparison = Comparison()
    for line in lines:
        chunk = player.play(line)
        if chunk is None:
            continue
        message = chunk_message(chunk)
        before = sent.get(chunk_key(message))
        if before is None:
            comparison.unrecorded += 1
        else:
            comparison.take(_difference(chunk, message, before))
    comparison.skipped = player.skipped
    return comparison


def _difference(chunk: ActionChunk, now: Any, before: Any) -> Difference | None:
    # Not by their serialised bytes: what lies between the fields is not defined.
    if before == now and all(
        _numbers(before)[name].tobytes() == table.tobytes() for name, table in _numbers(now).items()
    ):
        return None
    what, size = _largest(before, now)
    return Difference(chunk.sequence, stamp_seconds(now.header.stamp), what, size)


def _largest(before: Any, now: Any) -> tuple[str, float]:
    """The name and size of the largest difference between two chunk messages."""
    for name in ("source", "space", "program_sha256"):
        if getattr(before, name) != getattr(now, name):
            return f"{name} was {getattr(before, name)!r}, is {getattr(now, name)!r}", math.inf
    numbers, again = _numbers(before), _numbers(now)
    if any(numbers[name].shape != again[name].shape for name in numbers):
        return "another number of steps", math.inf
    sizes = {name: float(np.abs(numbers[name] - again[name]).max(initial=0.0)) for name in numbers}
    largest = max(sizes, key=lambda name: sizes[name])
    return largest, sizes[largest]


def _numbers(message: Any) -> dict[str, np.ndarray]:
    poses = [np.concatenate(pose_arrays(pose)) for pose in message.poses]
    table = np.array(poses).reshape(-1, 7)
    return {
        "positions (m)": table[:, :3],
        "quaternions": table[:, 3:],
        "times (s)": np.asarray(message.times_from_stamp_s),
        "gripper widths (m)": np.asarray(message.gripper_widths_m),
    }
