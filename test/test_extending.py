"""docs/extending.md is true: its parts are taken out of the page and run, the files and names it gives exist."""

from __future__ import annotations

import ast
import importlib.util
import re
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from perception.pictures import RED, picture, robot_far_away, standing
from rewards.table import keypoints, motion, observe, straight

from vls_steering.bench.score import goal_of
from vls_steering.bench.suites import Shift, Task
from vls_steering.core.errors import ConfigurationError
from vls_steering.core.types import SetPoint
from vls_steering.perception import PerceptionPipeline, PerceptionSettings
from vls_steering.policies import make_example_observation
from vls_steering.rewards import Scene, compile_program, parse_program
from vls_steering.rewards.words import VOCABULARY
from vls_steering.robots.backend import RobotBackend
from vls_steering.robots.kinematics import ArmKinematics
from vls_steering.sim.scenes import SCENES
from vls_steering.sim.tasks import Skill, SkillKind
from vls_steering.steering.select import Candidates
from vls_steering.vlm import OfflineGrammar, PlanRequest, plan
from vls_steering.vlm.base import BackEndFailure

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
PARTS = {
    re.match(r"# (\S+)\n", text)[1]: text  # type: ignore[index]
    for text in re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
}
LINES = [text.strip() for text in re.findall(r"^```py\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)]
ROWS = re.findall(r"^\| ([^|`]+) \| `([^`]+)`, `(\w+)` \| `([^`]+)` \| `(\w+)` \|$", PAGE, re.MULTILINE)


def part(path: str, tmp_path: Path) -> ModuleType:
    """The page's file at `path` as a module."""
    file = tmp_path / Path(path).name
    file.write_text(PARTS[path], encoding="utf-8")
    spec = importlib.util.spec_from_file_location(f"extending_{file.stem}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def line(beginning: str) -> str:
    return next(text for text in LINES if text.startswith(beginning))


def defined(path: Path) -> set[str]:
    """Names that a file defines or assigns at its top."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


@pytest.mark.parametrize(("what", "protocol_file", "protocol", "registry_file", "registry"), ROWS)
def test_every_row_names_what_exists(
    what: str, protocol_file: str, protocol: str, registry_file: str, registry: str
) -> None:
    assert protocol in defined(ROOT / protocol_file), what
    assert registry in defined(ROOT / registry_file), what


def test_the_table_has_a_row_for_all_that_the_page_promises() -> None:
    wanted = ("robot", "policy format", "segmenter", "model back end", "reward primitive", "task", "shift")
    assert {f"a {part}" for part in wanted} <= {row[0] for row in ROWS}
    assert len(ROWS) == PAGE.count("\n| a ")


def test_every_file_that_the_text_names_exists() -> None:
    prose = re.sub(r"^```.*?^```$", "", PAGE, flags=re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"`((?:[\w.]+/)+[\w.]*)`", prose)) | set(re.findall(r"\]\((\w+\.md)\)", prose))
    homes = (ROOT, ROOT / "vls_steering", ROOT / "docs")
    assert [name for name in named if not any((home / name).exists() for home in homes)] == []


@pytest.mark.parametrize("path", PARTS)
def test_no_part_shadows_a_file_of_ours_and_none_imports_ros(path: str) -> None:
    assert not (ROOT / path).exists()
    assert (ROOT / path).parent.is_dir()
    assert "rclpy" not in PARTS[path]


def test_the_robot_is_a_back_end_that_goes_where_it_is_sent(tmp_path: Path) -> None:
    robot = part("vls_steering/robots/ghost.py", tmp_path).GhostRobot(ArmKinematics().tcp_pose, lambda: 1.0)
    wanted = {name for name in vars(RobotBackend) if not name.startswith("_")}
    assert wanted <= set(dir(robot))
    joints = np.full(7, 0.1)
    assert robot.send(SetPoint(1.0, joints, np.zeros(7), 0.02), lambda step_s: ())
    assert robot.state().joint_positions == pytest.approx(joints)
    assert robot.state().stamp_s == 1.0


def test_the_policy_format_reads_a_policy_that_predicts_its_chunks(tmp_path: Path) -> None:
    module = part("vls_steering/policies/recorded.py", tmp_path)
    chunks = np.linspace(-0.5, 0.5, 2 * 16 * 4).reshape(2, 16, 4)
    np.savez(tmp_path / "two.npz", chunks=chunks, scale_m=np.full(16, 0.1))
    policy = module.load_recorded(tmp_path / "two.npz")
    encoding = policy.encode([make_example_observation()])
    x = torch.from_numpy(chunks).float()
    assert torch.allclose(policy.predict_clean(encoding, x, torch.full((2,), 0.01)), x, atol=0.02)
    (tmp_path / "bad.npz").write_bytes(b"nothing")
    with pytest.raises(ConfigurationError, match="chunks and scale_m"):
        module.load_recorded(tmp_path / "bad.npz")


def test_the_segmenter_finds_the_thing_on_the_table(tmp_path: Path) -> None:
    segmenter = part("vls_steering/perception/blob.py", tmp_path).BlobSegmenter()
    pipeline = PerceptionPipeline(PerceptionSettings(), 0, segmenter)
    for update in range(5):
        stamp_s = 0.1 * update
        frame = picture([standing(0.5, 0.1, (0.038, 0.038, 0.038), RED)], stamp_s=stamp_s)
        seen = pipeline.update([frame], robot_far_away(stamp_s=stamp_s))
    assert len(seen.points) == 1
    assert seen.points[0].position[:2] == pytest.approx([0.5, 0.1], abs=0.01)


def test_the_model_back_end_answers_refuses_and_fails_as_a_planner_does(tmp_path: Path) -> None:
    planner = part("vls_steering/vlm/folder.py", tmp_path).FolderPlanner(tmp_path)
    request = PlanRequest("Pick up the  red cube", keypoints())
    assert "there is no program" in planner.write(request).refusal
    written = plan(request, OfflineGrammar()).program
    (tmp_path / "pick_up_the_red_cube.json").write_text(written.canonical)
    assert plan(request, planner).program.sha256 == written.sha256
    (tmp_path / "pick_up_the_red_cube.json").write_text("{")
    with pytest.raises(BackEndFailure, match="no JSON"):
        planner.write(request)


def test_the_scorer_prefers_the_straight_way(tmp_path: Path) -> None:
    scorer = part("vls_steering/steering/detour.py", tmp_path).DetourScorer()
    path = torch.linspace(0.01, 0.16, 16)[None, :, None].expand(2, 16, 3).clone()
    path[1, 8, 2] += 0.1
    everyone = torch.ones(2, dtype=torch.bool)
    scores = scorer.score(Candidates(path, torch.zeros(2, 16), torch.zeros(3), 0.1, everyone, torch.zeros(2)))
    assert scores[0] == pytest.approx(0.0, abs=1e-5)
    assert scores[1] < -0.05


def test_the_reward_primitive_steers_sideways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (word,) = part("vls_steering/rewards/words/sides.py", tmp_path).SIDE_WORDS
    table = {known.name: known for known in (*VOCABULARY.words, word)}
    monkeypatch.setattr(VOCABULARY, "_table", MappingProxyType(table))
    stage: dict[str, Any] = {"name": "a stage", "reward": [word.example], "done": "height(ee) >= 1 m"}
    program = parse_program({"instruction": "a task", "stages": [stage]})
    rollout = motion(straight([(0.5, 0.05, 0.2), (0.5, -0.4, 0.2)]))
    scores = compile_program(program).stages[0].score(rollout, Scene.from_observation(observe(keypoints())))
    assert scores[0] > scores[1]


def test_the_task_is_one_that_the_grammar_writes_and_the_judge_recognises() -> None:
    text = line("Task(").rstrip(",")
    call = ast.parse(text, mode="eval").body
    assert isinstance(call, ast.Call)
    name, scene, instruction = (ast.literal_eval(argument) for argument in call.args[:3])
    task = Task(name, scene, instruction, goal_of(instruction), ast.literal_eval(call.args[4]))
    assert ast.unparse(call.args[3]) == "Skill(SkillKind.LIFT, 'yellow brick')"
    assert task.goal == Skill(SkillKind.LIFT, "yellow brick")
    assert task.scene in SCENES
    assert plan(PlanRequest(instruction, keypoints()), OfflineGrammar()).program.stages


def test_the_shift_draws_what_its_docstring_says(tmp_path: Path) -> None:
    draw = part("vls_steering/sim/far.py", tmp_path).draw_far_layout
    layouts = [draw(seed, "red cube") for seed in range(20)]
    assert all(0.64 <= layout.position_of("red cube")[0] <= 0.68 for layout in layouts)
    assert layouts[3] == draw(3, "red cube")
    assert layouts[3] != draw(4, "red cube")
    call = ast.parse(line("Shift(").rstrip(","), mode="eval").body
    assert isinstance(call, ast.Call)
    name, scene, words = (ast.literal_eval(call.args[index]) for index in (0, 1, 3))
    task = Shift(name, scene, SkillKind.LIFT, words).task("red cube")
    assert goal_of(str(task.instruction)) == task.goal
    assert line('"far"') == f'"{scene}": draw_far_layout,'
