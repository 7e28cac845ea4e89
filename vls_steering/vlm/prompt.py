"""What a language model is told: versioned templates around the generated language reference, and the answer's schema.

Two forms of answer.  A *program* uses the whole language; large models write it.  An *outline* fills in skills, objects
and constraints from closed lists, and the program is composed from it; a model of 1.5 billion parameters can do that.
"""

from __future__ import annotations

import json
from importlib import resources
from typing import Any, Literal

from vls_steering.rewards.reference import language_reference
from vls_steering.vlm.answers import MAX_CONSTRAINTS, MAX_STEPS
from vls_steering.vlm.base import PlanRequest
from vls_steering.vlm.outline import DIRECTIONS, ConstraintKind, Relation, Skill

Schema = dict[str, Any]
_TEXT: Schema = {"type": "string"}


Form = Literal["program", "outline"]

# What a user chooses; auto: the outline, and where the model says that none will do, the whole language.
FormChoice = Literal["auto", "outline", "program"]

# The file of each prompt; a changed prompt is a new file.
PROMPTS: dict[Form, str] = {"program": "program_v2", "outline": "outline_v1"}
ADVICE_PROMPT = "advice_v1"


def system_prompt(form: Form) -> str:
    """The rules of the answer: for programs the language with every word it has."""
    example = (_data() / "programs" / "pick_up_clear_of.json").read_text(encoding="utf-8").strip()
    return template(PROMPTS[form]).replace("<<reference>>", language_reference()).replace("<<example>>", example)


def template(name: str) -> str:
    text: str = (_data() / "prompts" / f"{name}.md").read_text(encoding="utf-8")
    return text


def request_text(request: PlanRequest) -> str:
    """Instruction and scene as one JSON object, so that nothing in them can pass for a rule.

    `number` is the label that the picture shows at the object.
    """
    scene = [
        {
            "number": number,
            "name": point.name,
            "center_cm": [round(100 * float(value), 1) for value in point.position],
            "size_cm": [round(100 * float(value), 1) for value in point.size],
        }
        for number, point in enumerate(request.keypoints.points, start=1)
    ]
    return json.dumps({"instruction": request.instruction, "objects": scene}, ensure_ascii=False)


def repair_text(request: PlanRequest) -> str:
    """The checker's findings about the previous answer."""
    faults = "\n".join(f"- {diagnostic}" for diagnostic in request.diagnostics[:12])
    return f"Your answer was rejected:\n{faults}\nAnswer with the whole corrected JSON object."


def answer_schema(form: Form, request: PlanRequest) -> Schema:
    """JSON schema of an answer.  What comes first is written first: the constraints, then what follows from them."""
    return _outline_schema(request.keypoints.names) if form == "outline" else _program_schema()


def _program_schema() -> Schema:
    """Expressions are strings, which only our own parser judges."""
    terms = _list(_record({"term": _TEXT, "phrase": _TEXT}))
    stage = {"name": _TEXT, "reward": terms, "safety": terms}
    stage |= dict.fromkeys(("gripper", "requires", "done", "deadline"), _TEXT)
    return _record(
        {
            "version": {"type": "integer", "enum": [1]},
            "instruction": _TEXT,
            "constraints": _list(_record({"phrase": _TEXT, "meaning": _TEXT})),
            "stages": _list(_record(stage)),
            "refusal": _TEXT,
        }
    )


def _outline_schema(names: tuple[str, ...]) -> Schema:
    thing = _choice("", *names)
    constraint = {
        "phrase": {"type": "string", "maxLength": 120},
        "kind": _choice(*(kind.value for kind in ConstraintKind)),
        "object": thing,
        "amount": {"type": "number"},
    }
    step = {
        "skill": _choice(*(skill.value for skill in Skill)),
        "object": thing,
        "relation": _choice("", *(relation.value for relation in Relation)),
        "target": thing,
        "second_target": thing,
        "direction": _choice("", *DIRECTIONS),
        "length_cm": {"type": "number"},
    }
    return _record(
        {
            "constraints": {**_list(_record(constraint)), "maxItems": MAX_CONSTRAINTS},
            "steps": {**_list(_record(step)), "maxItems": MAX_STEPS},
            "refusal": {"type": "string", "maxLength": 200},
        }
    )


def choice_schema(options: tuple[str, ...]) -> Schema:
    """Schema of an answer that is one of `options`."""
    return _record({"answer": _choice(*options)})


def _record(properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _choice(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


def _data() -> Any:
    return resources.files("vls_steering") / "data"
