"""The transformers back end on tiny models of real architectures, saved to disk and loaded as users load theirs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rewards.table import keypoints

pytest.importorskip("transformers")

from vlm.scripted import OUTLINE
from vlm.tiny_models import save_text_model, save_vision_model

from vls_steering.core.errors import ConfigurationError, Refusal
from vls_steering.vlm import PlanRequest, plan
from vls_steering.vlm.base import BackEndFailure, Failure, Question
from vls_steering.vlm.chat import plan_messages
from vls_steering.vlm.decoding import Fit, fit
from vls_steering.vlm.local import TransformersPlanner, TransformersSettings
from vls_steering.vlm.plan import PlanSettings
from vls_steering.vlm.prompt import answer_schema

SCENE = keypoints("red cube", "white plate")
REQUEST = PlanRequest("pick up the red cube", SCENE, np.full((40, 60, 3), 128, np.uint8))
SCHEMA = answer_schema("outline", REQUEST)
QUESTION = Question("Which stage is this?", ("1: grasp", "2: lift"), REQUEST.image)


@pytest.fixture(scope="module")
def vision(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_vision_model(tmp_path_factory.mktemp("vision"))


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_text_model(tmp_path_factory.mktemp("text"))


def load(folder: Path, **settings: Any) -> TransformersPlanner:
    return TransformersPlanner(TransformersSettings(**{"model": str(folder), "device": "cpu", **settings}))


class Favouring:
    """Stands in for training: the logits of one text, token after token."""

    def __init__(self, planner: TransformersPlanner, text: str) -> None:
        self._tokens = planner._tokenizer(text, add_special_tokens=False)["input_ids"]

    def __call__(self, module: Any, arguments: Any, output: Any) -> Any:
        output.logits[:, -1, self._tokens.pop(0) if self._tokens else 2] += 1e3
        return output


@pytest.mark.parametrize("kind", ["vision", "text"])
def test_even_an_untrained_model_writes_nothing_but_the_schema(kind: str, request: pytest.FixtureRequest) -> None:
    planner = load(request.getfixturevalue(kind), max_tokens=120)
    text = planner._generate(plan_messages(REQUEST, "outline", None), SCHEMA, turn=0)
    assert text.startswith('{"constraints": [')
    assert fit(text, SCHEMA) is not Fit.WRONG


@pytest.mark.parametrize("kind", ["vision", "text"])
def test_what_the_model_means_becomes_the_program(kind: str, request: pytest.FixtureRequest) -> None:
    planner = load(request.getfixturevalue(kind))
    planner._model.register_forward_hook(Favouring(planner, json.dumps({**OUTLINE, "refusal": ""})))
    compiled = plan(REQUEST, planner, PlanSettings(programs=1))
    assert compiled.stages[-1].name == "lift the red cube"
    assert compiled.written_by.startswith("transformers:")


def test_prose_that_a_model_would_rather_write_cannot_come_out(text: Path) -> None:
    planner = load(text, max_tokens=120)
    planner._model.register_forward_hook(Favouring(planner, "Sure! Here is the plan you asked for: "))
    with pytest.raises(Refusal):
        plan(REQUEST, planner, PlanSettings(programs=1, max_repairs=0))


def test_the_picture_reaches_a_model_that_sees(vision: Path) -> None:
    planner = load(vision)
    seen: list[torch.Size] = []
    tower = next(module for name, module in planner._model.named_modules() if name.endswith("vision_tower"))
    tower.register_forward_hook(lambda module, arguments, output: seen.append(output[0].shape))
    planner.choose(QUESTION)
    assert len(seen) == 1


@pytest.mark.parametrize("kind", ["vision", "text"])
def test_a_question_is_answered_by_one_of_its_options(kind: str, request: pytest.FixtureRequest) -> None:
    assert load(request.getfixturevalue(kind)).choose(QUESTION) in QUESTION.options


def test_the_first_answer_is_the_likeliest_and_later_ones_have_seeds_of_their_own(text: Path) -> None:
    planner = load(text, temperature=2.0)
    before = torch.random.get_rng_state()
    asked = [Question(QUESTION.text, tuple("abcdefgh"), turn=turn) for turn in (0, 0, 1, 1, 2, 3, 4, 5)]
    answers = [planner.choose(question) for question in asked]
    assert answers[0] == answers[1]
    assert answers[2] == answers[3]
    assert len(set(answers)) > 1
    assert torch.equal(before, torch.random.get_rng_state())


def test_time_and_length_are_bounded(text: Path) -> None:
    with pytest.raises(BackEndFailure) as slow:
        load(text, timeout_s=1e-6).write(REQUEST)
    assert slow.value.failure is Failure.TIMED_OUT
    with pytest.raises(BackEndFailure) as short:
        load(text, max_tokens=16).write(REQUEST)
    assert short.value.failure is Failure.CUT_OFF


def test_what_cannot_be_loaded_is_a_configuration_error(tmp_path: Path, text: Path) -> None:
    with pytest.raises(ConfigurationError, match="has no model"):
        TransformersPlanner(TransformersSettings())
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        load(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "qwen2"}')
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        load(tmp_path)


def test_code_that_comes_with_a_model_is_never_run(tmp_path: Path) -> None:
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Config: pass\n")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "evil", "auto_map": {"AutoConfig": "evil.Config"}}))
    with pytest.raises(ConfigurationError):
        load(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_model_without_a_chat_template_is_no_instruct_model(tmp_path: Path) -> None:
    folder = save_text_model(tmp_path)
    for name in ("chat_template.jinja", "chat_template.json"):
        (folder / name).unlink(missing_ok=True)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings.pop("chat_template", None)
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    with pytest.raises(ConfigurationError, match="no chat template"):
        load(folder)
