"""Both policies that ship, one diffusion and one flow, do what they are told by the same loop."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.runs import FREE, LIFT

from vls_steering.bench.episode import EpisodeRunner, EpisodeSpec
from vls_steering.policies import load_policy
from vls_steering.policies.exported import graph_path
from vls_steering.policies.shipped import SHIPPED_FLOW_POLICY, SHIPPED_POLICY
from vls_steering.steering.presets import preset

KINDS = {SHIPPED_POLICY: "vp_cosine", SHIPPED_FLOW_POLICY: "flow"}


@pytest.mark.parametrize("path", KINDS, ids=KINDS.values())
def test_it_lifts_what_it_is_told_to(path: Path) -> None:
    """One seed: what a success rate is, the benchmarks say; that nothing is broken, one episode does."""
    policy = load_policy(path)
    assert policy.schedule.name == KINDS[path]
    assert graph_path(path).exists()
    spec = EpisodeSpec(FREE, f"pick up the {LIFT.target}", LIFT, preset("ours"), seed=0, limit_s=14.0, privileged=True)
    result = EpisodeRunner(policy, FREE).run(spec)
    assert result.success, result.ending
    assert result.share_steered > 0.8
