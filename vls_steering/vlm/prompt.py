"""What a language model is told: the versioned template around the generated language reference."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

from vls_steering.rewards.reference import language_reference
from vls_steering.vlm.base import PlanRequest

PROMPT_VERSION = "reward_program_v1"


def system_prompt() -> str:
    """The rules of the language, with every word it has."""
    data = resources.files("vls_steering") / "data"
    template = (data / "prompts" / f"{PROMPT_VERSION}.md").read_text(encoding="utf-8")
    example = (data / "programs" / "pick_up_clear_of.json").read_text(encoding="utf-8").strip()
    return template.replace("<<reference>>", language_reference()).replace("<<example>>", example)


def request_text(request: PlanRequest) -> str:
    """Instruction and scene as one JSON object, so that nothing in them can pass for a rule."""
    scene = [
        {
            "name": point.name,
            "center_cm": [round(100 * float(value), 1) for value in point.position],
            "size_cm": [round(100 * float(value), 1) for value in point.size],
        }
        for point in request.keypoints.points
    ]
    return json.dumps({"instruction": request.instruction, "objects": scene}, ensure_ascii=False)


def repair_text(request: PlanRequest) -> str:
    """The checker's findings about the previous answer."""
    faults = "\n".join(f"- {diagnostic}" for diagnostic in request.diagnostics)
    return f"Your program was rejected:\n{faults}\nAnswer with the whole corrected JSON object."


def answer_schema() -> dict[str, Any]:
    """JSON schema of an answer; expressions are strings, which only our own parser judges."""
    text = {"type": "string"}
    term = {
        "type": "object",
        "properties": {"term": text, "phrase": text},
        "required": ["term", "phrase"],
        "additionalProperties": False,
    }
    terms = {"type": "array", "items": term}
    stage = {
        "name": text,
        "reward": terms,
        "safety": terms,
        "gripper": text,
        "requires": text,
        "done": text,
        "deadline": text,
    }
    program = {
        "version": {"type": "integer", "enum": [1]},
        "instruction": text,
        "stages": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": stage,
                "required": list(stage),
                "additionalProperties": False,
            },
        },
        "refusal": text,
    }
    return {"type": "object", "properties": program, "required": list(program), "additionalProperties": False}
