"""What `vls demo` is asked for, and what it makes of that before anything starts."""

from __future__ import annotations

import shlex
import typing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from vls_steering.core.config import load_yaml, parse_settings
from vls_steering.core.errors import ConfigurationError
from vls_steering.core.files import writable_folder
from vls_steering.nodes.node_set import Deployment
from vls_steering.nodes.sim_layout import layout_text
from vls_steering.nodes.vlm import VlmNodeSettings
from vls_steering.policies.shipped import SHIPPED_POLICY
from vls_steering.sim.layout import SceneLayout
from vls_steering.sim.scene_names import check_scene

DEFAULT_INSTRUCTION = "pick up the green cylinder but stay clear of the purple box"

# What a demo calls the arm -> back end: it brings its own simulated world along, behind whichever interface.
# The protocol's 1 kHz takes about a core, which the cameras' renderer then lacks on a machine with two.
PROTOCOL_PACE = 0.4
ROBOTS = {"sim": "sim", "libfranka": "protocol"}


@dataclass(frozen=True)
class DemoOptions:
    """The options of `vls demo`; empty strings and None stand for "not given"."""

    instruction: str = DEFAULT_INSTRUCTION
    scene: str = "obstacle"
    seed: int = 7
    vlm: str = "offline"
    base_url: str = ""
    model: str = ""
    replay: str = ""
    robot: str = "sim"
    pace: float | None = None
    policy: Path | None = None
    out: Path | None = None
    headless: bool = True

    @property
    def policy_file(self) -> Path:
        return (self.policy or SHIPPED_POLICY).resolve()

    @property
    def command(self) -> str:
        """The command line that asks for the same again."""
        words = ["vls", "demo", "--headless", "--scene", self.scene, "--seed", str(self.seed)]
        words += ["--vlm", self.vlm, "--robot", self.robot]
        for name in ("base_url", "model", "replay", "pace", "policy"):
            if value := getattr(self, name):
                words += [f"--{name.replace('_', '-')}", str(value)]
        return shlex.join([*words, "--instruction", self.instruction])

    def check(self) -> None:
        """Raises ConfigurationError with cause and cure for the first option that cannot be meant."""
        if not self.instruction.strip():
            raise ConfigurationError("the instruction is empty", f"For example: --instruction {DEFAULT_INSTRUCTION!r}")
        check_scene(self.scene)
        if self.seed < 0:
            raise ConfigurationError(f"--seed {self.seed} is negative", "Give a seed of 0 or more")
        back_ends = typing.get_args(VlmNodeSettings.model_fields["back_end"].annotation)
        if self.vlm not in back_ends:
            raise ConfigurationError(f"there is no --vlm {self.vlm!r}", f"Choose one of: {', '.join(back_ends)}")
        if self.robot not in ROBOTS:
            raise ConfigurationError(f"there is no --robot {self.robot!r}", f"Choose one of: {', '.join(ROBOTS)}")
        if self.pace is not None and self.robot != "libfranka":
            raise ConfigurationError(
                f"--pace is for --robot libfranka, and the robot is {self.robot}",
                "Its time is the policy's: leave it out",
            )
        if self.pace is not None and not 0.0 < self.pace <= 1.0:
            raise ConfigurationError(
                f"--pace {self.pace:g} is no share of real time", "Give one above 0; 1 is real time"
            )
        if self.vlm == "replay" and not Path(self.replay).is_file():
            raise ConfigurationError(f"--vlm replay has no recording {self.replay!r}", "Name one with --replay FILE")
        if not self.policy_file.is_file():
            raise ConfigurationError(
                f"there is no policy {self.policy_file}", "Name one with --policy FILE, or train it"
            )

    def open_folder(self) -> Path:
        """The folder of this run, made and proven writable; raises ConfigurationError otherwise."""
        folder = self.out or Path("runs") / datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
        return writable_folder(folder)


def write_parameters(options: DemoOptions, layout: SceneLayout, pace: float, folder: Path) -> Deployment:
    """params.yaml of this run: the shipped parameter file with what the options say on top.

    `pace` is the real-time factor that this machine keeps up with; the protocol arm keeps the one that was asked for.
    """
    values = {"scene": options.scene, "seed": options.seed, "vlm": options.vlm, "robot": ROBOTS[options.robot]}
    shipped = parse_settings(Deployment, values, "vls demo")
    parameters = load_yaml(shipped.parameter_file)
    _set(parameters, "sim_bridge", {"layout": layout_text(layout), "real_time_factor": round(pace, 3)})
    slowed = options.pace if options.pace is not None else round(PROTOCOL_PACE * pace, 3)
    _set(parameters, "protocol_arm", {"layout": layout_text(layout), "real_time_factor": slowed})
    _set(parameters, "policy", {"policy": str(options.policy_file)})
    _set(parameters, "vlm", {"replay_file": str(Path(options.replay).resolve())} if options.replay else {})
    if options.vlm in ("openai", "transformers"):
        # What the model answered goes with the run: `--vlm replay` on this file ends in the same program.
        _set(parameters, "vlm", {"record_file": str(folder / "answers.json")})
        asked = {"model": options.model, **({"base_url": options.base_url} if options.vlm == "openai" else {})}
        section = parameters["/**/vlm"]["ros__parameters"].get(options.vlm, {})
        _set(parameters, "vlm", {options.vlm: {**section, **{name: value for name, value in asked.items() if value}}})
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(parameters, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return shipped.model_copy(update={"params_file": str(path)})


def _set(parameters: dict[str, Any], node: str, values: dict[str, Any]) -> None:
    parameters.setdefault(f"/**/{node}", {}).setdefault("ros__parameters", {}).update(
        {name: value for name, value in values.items() if value != {}}
    )
