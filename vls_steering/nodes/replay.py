"""`vls replay`: the chunks of a log made again from what the pilot was told, and compared with those it sent."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vls_steering.core.clocks import Clock
from vls_steering.core.errors import ConfigurationError, ExitCode
from vls_steering.core.types import ActionChunk
from vls_steering.nodes import topics
from vls_steering.nodes.conversions import chunk_message, pose_arrays, stamp_seconds
from vls_steering.nodes.journal import made_with
from vls_steering.nodes.log_timeline import timeline
from vls_steering.nodes.mcap_log import Logged, read_log
from vls_steering.policies.checkpoint import load_card, load_policy
from vls_steering.policies.shipped import SHIPPED_POLICY
from vls_steering.steering import Pilot
from vls_steering.steering.journal import Origin
from vls_steering.steering.replay import Replay

CLOSE = 1e-6  # m, s: below what any arm could show
Key = tuple[int, int, int]  # stamp and sequence of a chunk


@dataclass(frozen=True)
class ReplayOptions:
    """Which log, and where the policy is when it is not where it was."""

    log: Path
    policy: Path | None = None
    namespace: str = ""  # only needed when the log holds several
    show: bool = False


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


def replay(options: ReplayOptions, echo: Callable[[str], None] = print) -> ExitCode:
    """Replay the log and say how it went; 0 when every chunk is what was sent, 4 when not or when there was none.

    Raises ConfigurationError when the log cannot be replayed: no journal, no such policy, not a log.
    """
    if options.show:
        for line in timeline(read_log(options.log)):
            echo(line)
        return ExitCode.SUCCESS
    lines, sent = _of_one_graph(read_log(options.log), options)
    player = Replay(lambda origin, clock: _pilot(origin, clock, options.policy))
    comparison = compare(lines, sent, player)
    if player.origin is not None:
        origin = player.origin
        echo(f"policy {origin.policy} {origin.policy_sha256[:12]}, preset {origin.preset}, seed {origin.seed}")
    for line in report(comparison):
        echo(line)
    if not comparison.agrees and player.origin is not None:
        for line in _elsewhere(player.origin, options.policy):
            echo(line)
    return ExitCode.SUCCESS if comparison.agrees else ExitCode.TASK_FAILED


def compare(lines: Iterable[str], sent: dict[Key, Any], player: Replay) -> Comparison:
    """`sent` are ActionChunk messages."""
    comparison = Comparison()
    for line in lines:
        chunk = player.play(line)
        if chunk is None:
            continue
        message = chunk_message(chunk)
        before = sent.get(_key(message))
        if before is None:
            comparison.unrecorded += 1
        else:
            comparison.take(_difference(chunk, message, before))
    comparison.skipped = player.skipped
    return comparison


def report(comparison: Comparison) -> list[str]:
    """For a person."""
    counts = f"{comparison.identical} bit-identical, {comparison.close} within {CLOSE:g}"
    lines = [f"{comparison.compared} chunks compared: {counts}, {comparison.different} different"]
    if comparison.first is not None:
        lines.append(f"first difference: {comparison.first}")
    if comparison.largest is not None and comparison.largest is not comparison.first:
        lines.append(f"largest difference: {comparison.largest}")
    if comparison.unrecorded:
        lines.append(f"{comparison.unrecorded} ticks were made again whose chunk is not in the log")
    if comparison.skipped:
        lines.append(
            f"{comparison.skipped} ticks cannot be made again: the log lacks the program's beginning, or a line of "
            "the journal"
        )
    return lines


def _of_one_graph(log: Iterable[Logged], options: ReplayOptions) -> tuple[list[str], dict[Key, Any]]:
    """Lines of the journal and the chunks sent."""
    lines: dict[str, list[str]] = {}
    sent: dict[str, dict[Key, Any]] = {}
    for logged in log:
        if logged.is_of(topics.STEERING_JOURNAL):
            space = logged.namespace_of(topics.STEERING_JOURNAL)
            lines.setdefault(space, []).append(logged.message(topics.STEERING_JOURNAL).data)
        elif logged.is_of(topics.ACTION_CHUNK):
            space = logged.namespace_of(topics.ACTION_CHUNK)
            message = logged.message(topics.ACTION_CHUNK)
            sent.setdefault(space, {})[_key(message)] = message
    space = _chosen(tuple(lines), options)
    return lines[space], sent.get(space, {})


def _chosen(found: Sequence[str], options: ReplayOptions) -> str:
    if not found:
        cure = "Record the graph with `vls record` of this version from before its instruction on"
        raise ConfigurationError(f"{options.log} has no {topics.STEERING_JOURNAL.name} topic", cure)
    wanted = f"/{options.namespace.strip('/')}" if options.namespace else ""
    if wanted and wanted not in found:
        raise ConfigurationError(f"{options.log} has nothing of namespace {wanted}", f"It has: {', '.join(found)}")
    if not wanted and len(found) > 1:
        raise ConfigurationError(f"{options.log} has several graphs", f"Choose --namespace: {', '.join(found)}")
    return wanted or found[0]


def _pilot(origin: Origin, clock: Clock, weights: Path | None) -> Pilot:
    """Raises ConfigurationError when the policy is not to be found."""
    torch.set_num_threads(origin.threads)
    return Pilot(load_policy(_weights(origin, weights)), origin.steering, origin.seed, clock)


def _weights(origin: Origin, given: Path | None) -> Path:
    """The file with the weights that the log names."""
    places = [given] if given is not None else [SHIPPED_POLICY, *([Path(origin.weights)] if origin.weights else [])]
    for path in places:
        # Where nobody pointed at a file, it need not be there.
        if (given is not None or path.is_file()) and load_card(path).sha256 == origin.policy_sha256:
            return path
    raise ConfigurationError(
        f"the log was made with the policy {origin.policy} {origin.policy_sha256[:12]}, which is not "
        f"{' or '.join(map(str, places))}",
        "Point at its weights with --policy",
    )


def _elsewhere(origin: Origin, weights: Path | None) -> list[str]:
    """What is not as it was when the log was made."""
    here = made_with(_weights(origin, weights))
    return [
        f"note: {name} was {origin.made_with.get(name, 'unknown')}, is {value}"
        for name, value in here.items()
        if origin.made_with.get(name) != value
    ]


def _key(message: Any) -> Key:
    return message.header.stamp.sec, message.header.stamp.nanosec, message.sequence


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
