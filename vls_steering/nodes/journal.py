"""The pilot's journal as a topic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from std_msgs.msg import String

from vls_steering import __version__
from vls_steering.bench.machine import describe_machine
from vls_steering.nodes import topics
from vls_steering.nodes.base import RoomNode
from vls_steering.policies.base import FrozenPolicy
from vls_steering.policies.checkpoint import load_card
from vls_steering.policies.shipped import SHIPPED_POLICY
from vls_steering.steering import Pilot, SteeringSettings
from vls_steering.steering.journal import JournaledPilot, Origin, TapedClock


def journaled(node: RoomNode, pilot: Pilot, clock: TapedClock, origin: Origin) -> JournaledPilot:
    """`pilot`, whose `clock` is that one, with a journal that `node` publishes."""
    publisher = node.publisher(topics.STEERING_JOURNAL)
    return JournaledPilot(pilot, clock, origin, lambda line: publisher.publish(String(data=line)))


def origin_of(
    policy: FrozenPolicy, weights: str, preset: str, steering: SteeringSettings, seed: int, threads: int
) -> Origin:
    """`weights` is where the policy came from; empty stands for the one that comes along."""
    path = Path(weights) if weights else SHIPPED_POLICY
    return Origin(
        policy=policy.name,
        policy_sha256=policy.sha256,
        weights=weights and str(path.resolve()),
        preset=preset,
        steering=steering,
        seed=seed,
        threads=threads,
        made_with=made_with(path),
    )


def made_with(weights: Path) -> dict[str, str]:
    """What may round differently elsewhere, for the policy with these weights."""
    graph = load_card(weights).graph_sha256 if weights.suffix == SHIPPED_POLICY.suffix else ""
    return {
        **{name: str(value) for name, value in describe_machine().items()},
        "numpy": np.__version__,
        "network": f"onnxruntime {onnxruntime.__version__}, graph {graph[:12]}" if graph else "torch",
        "vls_steering": __version__,
    }
