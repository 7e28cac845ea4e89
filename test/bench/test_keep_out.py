"""A region that nothing sees reaches the sampler through the program."""

from __future__ import annotations

import pytest
import torch
from bench.runs import FREE, world

from vls_steering.bench.keep_out import WithKeepOut
from vls_steering.core.errors import Refusal
from vls_steering.core.types import Observation
from vls_steering.rewards import CompiledProgram, Rollout, Scene
from vls_steering.sim.layout import KeepOut
from vls_steering.sim.privileged import true_keypoints
from vls_steering.vlm import OfflineGrammar, PlanRequest, plan

REGION = KeepOut(0.45, 0.05, 0.05)


@pytest.fixture(scope="module")
def observation() -> Observation:
    world().reset(FREE)
    return Observation(world().robot_state(), true_keypoints(world().truth()))


@pytest.fixture(scope="module")
def program(observation: Observation) -> CompiledProgram:
    request = PlanRequest("pick up the green cylinder", observation.keypoints)
    return plan(request, WithKeepOut(OfflineGrammar(), REGION))


# The scorer's radius is 5 cm; the program keeps a margin.
@pytest.mark.parametrize(("offset_m", "safe"), [(0.0, False), (0.06, False), (0.07, True)])
def test_every_stage_keeps_the_fingertips_out(
    program: CompiledProgram, observation: Observation, offset_m: float, safe: bool
) -> None:
    tcp = torch.tensor([REGION.x_m + offset_m, REGION.y_m, 0.4]).expand(1, 8, 3)
    rollout = Rollout(tcp, torch.full((1, 8), 0.08), 0.1 * torch.arange(1, 9))
    for stage in program.stages:
        assert (float(stage.safety(rollout, Scene.from_observation(observation))) >= 0) is safe


def test_the_log_says_who_drew_it(program: CompiledProgram) -> None:
    assert program.written_by == "offline grammar and a marked region"


def test_a_refusal_stays_one(observation: Observation) -> None:
    with pytest.raises(Refusal, match="pink"):
        plan(PlanRequest("pick up the pink cube", observation.keypoints), WithKeepOut(OfflineGrammar(), REGION))
