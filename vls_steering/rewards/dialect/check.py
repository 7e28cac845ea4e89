"""A guidance program against a scene: can it be evaluated there, and does its gradient say anything?"""

from __future__ import annotations

import torch
from torch import Tensor

from vls_steering.core.types import Keypoints
from vls_steering.rewards.diagnostics import Diagnostic
from vls_steering.rewards.dialect.interpret import GuidanceFault, run_guidance
from vls_steering.rewards.dialect.program import GuidanceProgram, GuidanceStage, as_reward
from vls_steering.rewards.dialect.syntax import fault_at

# Where a hand usually is, base frame, m; the paths tried lead from there towards the keypoints.
_HOME = (0.40, 0.0, 0.30)
_STEPS = 17
_LENGTHS = (9, 17, 33)


def check_guidance(program: GuidanceProgram, keypoints: Keypoints) -> tuple[Diagnostic, ...]:
    """Every fault of the program with these keypoints, in their order; empty when it may steer."""
    points = torch.tensor([point.position.tolist() for point in keypoints.points], dtype=torch.float32).reshape(-1, 3)
    faults = [fault for stage in program.stages for fault in _stage_faults(program, stage, points)]
    return tuple(faults)


def _stage_faults(program: GuidanceProgram, stage: GuidanceStage, points: Tensor) -> list[Diagnostic]:
    function = stage.function
    if function is None:
        return []
    last = function.body[-1]
    try:
        for steps in _LENGTHS:
            reward, slope = _evaluate(stage, points, steps)
    except GuidanceFault as fault:
        accepted = f"an index up to {len(points) - 1}" if "out of" in fault.problem else ""
        return [fault_at(program.source, function.name, fault.node, fault.problem, accepted=accepted)]
    if not bool(torch.isfinite(reward)) or (slope is not None and not bool(torch.isfinite(slope).all())):
        return [fault_at(program.source, function.name, last, "the reward or its gradient is not finite here")]
    if slope is None or not bool(slope.any()):
        problem = "the reward does not depend on the motion: it has no gradient"
        return [fault_at(program.source, function.name, last, problem, accepted="a reward made of action_sequence")]
    return []


def _evaluate(stage: GuidanceStage, points: Tensor, steps: int) -> tuple[Tensor, Tensor | None]:
    """Reward and its gradient on a path that bends past every keypoint; raises GuidanceFault."""
    function = stage.function
    assert function is not None
    goal = points.mean(0) if len(points) else torch.zeros(3)
    share = torch.linspace(0.0, 1.0, steps).unsqueeze(-1)
    bend = 0.03 * torch.sin(torch.linspace(0.3, 3.7, steps)).unsqueeze(-1) * torch.tensor([1.0, -0.7, 0.4])
    path = (torch.tensor(_HOME) + share * (goal - torch.tensor(_HOME)) + bend).unsqueeze(0).requires_grad_()
    before = points.clone(), path.detach().clone()
    reward = as_reward(function, run_guidance(function, points, path), path)
    if not torch.equal(points, before[0]) or not torch.equal(path.detach(), before[1]):
        raise GuidanceFault(function, "the inputs must not be changed")
    if not reward.requires_grad:
        return reward.detach(), None
    try:
        (slope,) = torch.autograd.grad(reward, path, allow_unused=True)
    except RuntimeError as error:
        raise GuidanceFault(function, str(error).split("\n")[0][:200]) from None
    return reward.detach(), slope
