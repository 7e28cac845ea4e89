"""`vls replay`: the chunks of a log made again from what the pilot was told, and compared with those it sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from vls_steering.core.clocks import Clock
from vls_steering.core.errors import ConfigurationError, ExitCode
from vls_steering.nodes.journal import made_with
from vls_steering.nodes.log_timeline import timeline
from vls_steering.nodes.mcap_log import read_log
from vls_steering.nodes.replay_compare import CLOSE, Comparison, compare
from vls_steering.nodes.replay_log import Witness, graph_log, witness
from vls_steering.policies.formats import open_policy
from vls_steering.policies.shipped import SHIPPED_POLICY
from vls_steering.steering import Pilot
from vls_steering.steering.journal import Origin
from vls_steering.steering.replay import Replay


@dataclass(frozen=True)
class ReplayOptions:
    """Which log, and where the policy is when it is not where it was."""

    log: Path
    policy: Path | None = None
    namespace: str = ""  # only needed when the log holds several
    show: bool = False


def replay(options: ReplayOptions, echo: Callable[[str], None] = print) -> ExitCode:
    """Replay the log and say how it went; 0 when every chunk is what was sent, 4 when not or when there was none.

    4 as well when the journal tells of observations that were published otherwise.

    Raises ConfigurationError when the log cannot be replayed: no journal, no such policy, not a log.
    """
    if options.show:
        for line in timeline(read_log(options.log)):
            echo(line)
        return ExitCode.SUCCESS
    graph = graph_log(read_log(options.log), options.namespace)
    player = Replay(lambda origin, clock: _pilot(origin, clock, options.policy))
    comparison = compare(graph.lines, graph.chunks, player)
    if player.origin is not None:
        origin = player.origin
        echo(f"policy {origin.policy} {origin.policy_sha256[:12]}, preset {origin.preset}, seed {origin.seed}")
    seen = witness(graph)
    for line in report(comparison, seen):
        echo(line)
    if not comparison.agrees and player.origin is not None:
        for line in _elsewhere(player.origin, options.policy):
            echo(line)
    return ExitCode.SUCCESS if comparison.agrees and not seen.contradicted else ExitCode.TASK_FAILED


def report(comparison: Comparison, seen: Witness) -> list[str]:
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
    lines.append(
        f"{seen.seen} observations are in the log as they were published, {seen.unseen} are not in it, "
        f"{seen.contradicted} contradict it"
    )
    return lines


def _pilot(origin: Origin, clock: Clock, weights: Path | None) -> Pilot:
    """Raises ConfigurationError when the policy is not to be found."""
    torch.set_num_threads(origin.threads)
    return Pilot(open_policy(_weights(origin, weights)), origin.steering, origin.seed, clock)


def _weights(origin: Origin, given: Path | None) -> Path:
    """The file with the weights that the log names."""
    places = [given] if given is not None else [SHIPPED_POLICY, *([Path(origin.weights)] if origin.weights else [])]
    for path in places:
        # Where nobody pointed at a file, it need not be there.
        if (given is not None or path.is_file()) and open_policy(path).sha256 == origin.policy_sha256:
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
