"""What the composer puts together means something in its scene: the verifier, which knows no stages, agrees."""

from __future__ import annotations

import pytest
from vlm.suite import Case, load

from vls_steering.core.errors import Refusal
from vls_steering.rewards import parse_program, verify_program
from vls_steering.vlm.compose import compose
from vls_steering.vlm.offline import read_instruction

# The hand is wider than the room that is left: its body would be 2 cm too near the box wherever it grasps the cube.
IMPOSSIBLE = "keep 6 cm away from the box and pick up the blue cube"


def said(case: Case) -> str:
    """What the verifier says against the program of an instruction."""
    document = compose(case.text, read_instruction(case.text, case.scene), case.scene)
    return "\n".join(map(str, verify_program(parse_program(document), case.scene)))


def composed() -> list[Case]:
    """The cases of the instruction suite that a program comes of."""
    found = []
    for case in load():
        try:
            compose(case.text, read_instruction(case.text, case.scene), case.scene)
        except Refusal:
            continue
        found.append(case)
    return found


@pytest.mark.parametrize("case", composed(), ids=lambda case: case.text)
def test_a_composed_program_passes_unless_the_scene_leaves_no_room(case: Case) -> None:
    if case.text == IMPOSSIBLE:
        assert "grasp the blue cube" in said(case)
    else:
        assert said(case) == ""
