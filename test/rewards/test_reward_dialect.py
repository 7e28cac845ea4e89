"""Guidance functions in the VLS format: they mean what Python would make of them, without Python running them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from rewards.guidance_programs import APPROACH, GOOD, NO_CHOICE_LEFT, PICK_AND_PLACE, PUSH
from rewards.table import PLACES, keypoints, motion, observe, straight

from vls_steering.core.errors import StreamFault
from vls_steering.rewards import ProgramRejected, Scene
from vls_steering.rewards.dialect import CompiledGuidance, check_guidance, compile_guidance, parse_guidance
from vls_steering.rewards.report import check_text

POINTS = keypoints()
SCENE = Scene.from_observation(observe(POINTS))
GOALS = [(0.5, -0.12, 0.02), (0.6, 0.0, 0.1), (0.3, 0.2, 0.2)]


def compiled(text: str) -> CompiledGuidance:
    program = parse_guidance(text, POINTS.names)
    assert check_guidance(program, POINTS) == ()
    return compile_guidance(program)


def executed(text: str, folder: Path) -> Any:
    """The same functions as Python runs them: a module of its own, written by this test."""
    path = folder / "guidance.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("guidance", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    vars(module).update(torch=torch, np=SimpleNamespace(zeros=torch.zeros))
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", GOOD)
def test_each_kind_of_program_means_what_python_makes_of_it(name: str, tmp_path: Path) -> None:
    module, tcp = executed(GOOD[name], tmp_path), straight(GOALS).requires_grad_()
    paths = torch.cat([SCENE.tcp.expand(len(GOALS), 1, 3), tcp], 1)
    for number, stage in enumerate(compiled(GOOD[name]).stages, 1):
        function = getattr(module, f"stage{number}_guidance")
        told = stage.score(motion(tcp), SCENE)
        wanted = torch.stack([torch.as_tensor(function(SCENE.positions, path.unsqueeze(0))) for path in paths])
        assert torch.allclose(told, wanted.to(told.dtype), atol=1e-6)
        if not told.requires_grad:
            continue
        slopes = [torch.autograd.grad(value.sum(), tcp, retain_graph=True)[0] for value in (told, wanted)]
        assert torch.allclose(slopes[0], slopes[1], atol=1e-6)


def test_particles_do_not_mix() -> None:
    stage = compiled(APPROACH).stages[0]
    tcp = straight(GOALS)
    alone = stage.score(motion(tcp[1:2]), SCENE)
    tcp[0, 3] = torch.nan
    together = stage.score(motion(tcp), SCENE)
    assert torch.allclose(together[1:2], alone)
    assert together[0].isnan()


def test_a_stage_that_returns_zero_leaves_the_policy_alone() -> None:
    score = compiled(NO_CHOICE_LEFT).stages[1].score(motion(straight(GOALS)), SCENE)
    assert not score.any()


def test_an_approach_ends_at_its_target_and_a_push_never_by_itself() -> None:
    approach = compiled(APPROACH).stages[0]
    far, near, there = (observe(POINTS, tcp=(0.5, -0.12, z)) for z in (0.4, 0.1, 0.02))
    assert approach.progress(far) < approach.progress(near) < approach.progress(there) == 1.0
    assert approach.done(there)
    push = compiled(PUSH).stages[1]
    assert not any(push.done(here) for here in (far, near, there, observe(POINTS, tcp=PLACES["yellow brick"])))


def test_indices_keep_their_objects_whatever_order_perception_gives_them() -> None:
    stage = compiled(APPROACH).stages[0]
    shuffled = keypoints("white plate", "yellow brick", "red cube", "green cylinder", "blue cube")
    again = Scene.from_observation(observe(shuffled))
    rollout = motion(straight(GOALS))
    assert torch.allclose(stage.score(rollout, again), stage.score(rollout, SCENE))
    with pytest.raises(StreamFault, match="'red cube'"):
        stage.score(rollout, Scene.from_observation(observe(keypoints("blue cube"))))


def test_comments_and_layout_do_not_change_the_hash_but_meaning_and_keypoints_do() -> None:
    bare = "\n".join(line for line in APPROACH.splitlines() if not line.strip().startswith("#"))
    one = parse_guidance(APPROACH, POINTS.names)
    assert one.sha256 == parse_guidance(bare, POINTS.names).sha256
    assert one.sha256 != parse_guidance(APPROACH.replace("4.0", "5.0"), POINTS.names).sha256
    assert one.sha256 != parse_guidance(APPROACH, POINTS.names[::-1]).sha256


def test_a_fault_is_underlined_where_it_is() -> None:
    text = PICK_AND_PLACE.replace("corners = torch.tensor([1, 2, 4]", "corners = torch.tensor([1, 2, 9]")
    report = check_text(text, "cached.txt", POINTS)
    head, row, carets, *_ = report.render().splitlines()
    line = next(i for i, row in enumerate(text.splitlines(), 1) if "keypoints[corners]" in row)
    assert head.startswith(f"cached.txt:{line}:14: stage2_guidance: index 9 is out of bounds")
    assert row[carets.index("^") : carets.rindex("^") + 1] == "keypoints[corners]"


def test_windows_line_ends_are_read() -> None:
    assert parse_guidance(APPROACH.replace("\n", "\r\n")).sha256 == parse_guidance(APPROACH).sha256


def test_a_broken_program_tells_every_fault_at_once() -> None:
    with pytest.raises(ProgramRejected) as rejection:
        parse_guidance(APPROACH.replace("torch.norm", "torch.nrm").replace("torch.where", "torch.wear"))
    assert [fault.line for fault in rejection.value.diagnostics] == [11, 15]
