"""The language page and the packaged examples are true; `vls check` says what is wrong where."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from rewards.table import keypoints

from vls_steering.core.errors import ConfigurationError, ExitCode
from vls_steering.rewards import ProgramRejected, parse_program
from vls_steering.rewards.report import check_file, check_text
from vls_steering.rewards.words import VOCABULARY
from vls_steering.vlm import OfflineGrammar, PlanRequest, plan

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reward_programs.md").read_text(encoding="utf-8")
BLOCKS = [
    (kind, text.strip()) for kind, text in re.findall(r"^```([\w-]+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
]
PROGRAMS = sorted(
    (path for path in (resources.files("vls_steering") / "data" / "programs").iterdir() if path.name.endswith(".json")),
    key=lambda path: path.name,
)
ALL = ("red cube", "blue cube", "green cylinder", "yellow brick", "white plate", "purple box")


def around(kind: str, text: str) -> Any:
    stage: dict[str, Any] = {"name": "a stage", "reward": ["maximize(height(ee))"], "done": "height(ee) >= 1 m"}
    stage |= {
        "term": {"reward": [text]},
        "rejected": {"reward": [text]},
        "safety": {"safety": [text]},
        "condition": {"done": text},
        "gripper": {"gripper": text},
    }[kind]
    return {"instruction": "a task", "stages": [stage]}


@pytest.mark.parametrize(("kind", "text"), BLOCKS)
def test_examples_of_the_page(kind: str, text: str) -> None:
    if kind == "json":
        parse_program(text)
    elif "guidance" in kind:
        assert check_text(text, "x.txt", keypoints()).accepted is (kind == "guidance")
    elif kind == "rejected":
        with pytest.raises(ProgramRejected):
            parse_program(around(kind, text))
    else:
        parse_program(around(kind, text))


def test_the_page_has_an_example_of_every_word() -> None:
    shown = " ".join(text for kind, text in BLOCKS if kind != "rejected")
    directions = {"backward", "left", "right", "up", "down"}
    missing = [w.name for w in VOCABULARY.words if not re.search(rf"\b{w.name}\b", shown) and w.name not in directions]
    assert missing == []


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_packaged_programs_are_what_the_offline_grammar_writes(path: Path) -> None:
    program = parse_program(path.read_text(encoding="utf-8"))
    names = ALL if "purple box" in program.canonical else ALL[:-1]
    report = check_text(path.read_text(encoding="utf-8"), path.name, keypoints(*names))
    assert report.accepted, report.render()
    stages = plan(PlanRequest(program.instruction, keypoints(*names)), OfflineGrammar()).program.stages
    assert [stage.name for stage in program.stages] == [stage.name for stage in stages]
    assert [stage.safety for stage in program.stages] == [stage.safety for stage in stages]


class TestCheck:
    GOOD = around("condition", "grasped('red cube')")

    def test_an_accepted_file(self, tmp_path: Path) -> None:
        path = tmp_path / "program.json"
        path.write_text(json.dumps(self.GOOD))
        report = check_file(path, keypoints())
        assert report.exit_code is ExitCode.SUCCESS
        assert report.as_dict()["program_sha256"] == parse_program(self.GOOD).sha256
        assert "accepted; stages:" in report.render()

    def test_a_fault_is_underlined_on_its_line(self) -> None:
        text = json.dumps(around("term", "always(dst(ee, 'red cube') >= 2 cm)"), indent=1)
        report = check_text(text, "p.json")
        assert report.exit_code is ExitCode.REFUSED
        head, code, carets, *_ = report.render().splitlines()
        line, row = next((i, row) for i, row in enumerate(text.splitlines(), 1) if "dst(" in row)
        assert head.startswith(f"p.json:{line}:{row.index('dst(') + 1}: stages[0].reward[0]: an unknown word")
        assert code[carets.index("^") : carets.rindex("^") + 1] == "dst(ee, 'red cube')"
        assert report.as_dict()["diagnostics"][0]["line"] == line
        json.dumps(report.as_dict())

    def test_an_object_that_is_not_in_the_scene(self) -> None:
        report = check_text(json.dumps(self.GOOD), "p.json", keypoints("blue cube"))
        assert not report.accepted
        assert "no such object in the scene" in report.render()

    def test_yaml_reads_the_same_program(self) -> None:
        stage = "- name: a stage\n  reward: [maximize(height(ee))]\n  done: height(ee) >= 1 m\n"
        text = f"instruction: a task\nstages:\n{stage}"
        report = check_text(text, "p.yaml")
        assert report.accepted, report.render()

    @pytest.mark.parametrize("text", ["", "a: b: c", "!!python/object/apply:os.system ['true']", "- 1", "a: &a [*a]"])
    def test_bad_yaml_is_rejected(self, text: str) -> None:
        assert check_text(text, "p.yaml").exit_code is ExitCode.REFUSED

    def test_an_unreadable_file_is_a_bad_argument(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError):
            check_file(tmp_path / "none.json")
