"""docs/images/steering_scene.jpg: every particle of one tick before an obstacle, without and with guidance.

`python docs/figures/steering_scene.py [seed]`: the shipped policy in the obstacle layout of that seed (default 1, a
development seed).  Both halves plan from the same state and from the same noise; the program is the packaged one from
its grasp on, since the stages before it are done in this state.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np

from vls_steering.bench.paint import INK, QUIET, particles, text, veil
from vls_steering.bench.studio import Studio, View
from vls_steering.core.types import Observation
from vls_steering.policies import load_policy
from vls_steering.policies.shipped import SHIPPED_POLICY
from vls_steering.rewards import CompiledProgram, compile_program
from vls_steering.rewards.parse import parse_program
from vls_steering.sim.privileged import true_keypoints
from vls_steering.sim.scenes import draw_layout
from vls_steering.sim.world import World
from vls_steering.steering import Pilot, SteeringSettings, TickResult, preset

ROOT = Path(__file__).resolve().parent.parent.parent
IMAGES = ROOT / "docs" / "images"
PROGRAM = ROOT / "vls_steering" / "data" / "programs" / "pick_up_clear_of.json"
PARTICLES = 24
CROP = slice(60, 660), slice(130, 830)  # rows, columns of the picture


def tick(observation: Observation, program: CompiledProgram | None) -> TickResult:
    """The first tick of a run."""
    settings = SteeringSettings.model_validate({**preset("ours").model_dump(), "particles": PARTICLES})
    pilot = Pilot(load_policy(SHIPPED_POLICY), settings, seed=0)
    pilot.set_program(program)
    return pilot.tick(observation)


def panel(view: View, result: TickResult, scores: np.ndarray, title: str, remark: str) -> np.ndarray:
    """The picture with all particles coloured by `scores` (K,), cropped, with two lines of text."""
    picture = view.pixels.copy()
    particles(view, picture, result.candidates, scores, result.chosen)
    picture = np.ascontiguousarray(picture[CROP])
    veil(picture, (0, 0), (picture.shape[1], 64))
    text(picture, title, (14, 26), 20, INK, bold=True)
    text(picture, remark, (14, 52), 16, QUIET)
    return picture


def main(arguments: list[str]) -> None:
    """Write the picture."""
    layout = draw_layout("obstacle", int(arguments[0]) if arguments else 1)
    world = World(layout)
    world.reset(layout)
    observation = Observation(world.robot_state(), true_keypoints(world.truth()))
    document = json.loads(PROGRAM.read_text(encoding="utf-8"))
    program = compile_program(parse_program({**document, "stages": document["stages"][1:]}))
    alone, guided = tick(observation, None), tick(observation, program)
    with Studio(world) as studio:
        studio.show(world.full_state())
        view = studio.overview()
    unjudged = np.full(PARTICLES, np.nan)
    ruled_out = int((~np.isfinite(guided.scores)).sum())
    still = np.concatenate(
        [
            panel(
                view,
                alone,
                unjudged,
                "the policy alone",
                f"{PARTICLES} particles, nobody judges them; one is executed (teal)",
            ),
            panel(
                view,
                guided,
                guided.scores,
                program.program.instruction,
                f"best (green) to worst (red); {ruled_out} ruled out (grey); chosen (teal)",
            ),
        ],
        axis=1,
    )
    target = IMAGES / "steering_scene.jpg"
    cv2.imwrite(str(target), still[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])
    print(f"docs/images/{target.name}, {target.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
