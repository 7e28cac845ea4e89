"""The one description of the node set; the launch files, `vls run` and the manager all read it.

A node is one line here, a module with `NODE` and `main`, an executable in scripts/, and a section in config/vls.yaml.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

import vls_steering
from vls_steering.core.config import OneOf, Settings
from vls_steering.core.errors import ConfigurationError
from vls_steering.sim.scene_names import CAMERA_SCENES

PACKAGE = "vls_steering"
# Arms next to which nobody can stand: what arms one of these by itself must never arm another.
SIMULATED_ROBOTS = ("sim", "protocol")


class Deployment(Settings):
    """What differs from one start to the next; everything else is in the parameter file.

    The fields are the launch arguments and the options of `vls run`, with these descriptions and choices.
    """

    namespace: str = Field("", description="namespace of every node")
    use_sim_time: Literal["auto"] | bool = Field(
        "auto", description="take the time from /clock: true, false, or auto: where a simulated world of ours gives it"
    )
    params_file: str = Field("", description="parameter file; empty: config/vls.yaml")
    autostart: bool = Field(True, description="configure and activate the nodes in order")
    log_level: Literal["debug", "info", "warn", "error", "fatal"] = Field("info", description="least severe log line")
    robot: Literal["sim", "protocol", "libfranka", "ros2_control"] = Field(
        "sim", description="robot back end; protocol: the simulated arm behind libfranka's protocol, in real time"
    )
    scene: Annotated[str, OneOf("scene", ("", *CAMERA_SCENES))] = Field(
        "", description="scene of the simulation; empty: the parameter file's"
    )
    seed: int = Field(-1, ge=-1, description="seed of scene, noise and policy; -1: the parameter file's")
    vlm: Literal["", "offline", "replay", "openai", "transformers"] = Field(
        "", description="back end that writes reward programs; empty: the parameter file's"
    )

    @field_validator("params_file")
    @classmethod
    def _is_there(cls, path: str) -> str:
        if path and not Path(path).is_file():
            raise ValueError("there is no such file")
        return path

    @property
    def simulates_time(self) -> bool:
        """Our simulated worlds publish /clock and a physical arm keeps the host's time; who says otherwise knows of a
        bag or a Gazebo that does."""
        return self.robot in SIMULATED_ROBOTS if self.use_sim_time == "auto" else self.use_sim_time

    @property
    def parameter_file(self) -> Path:
        return Path(self.params_file) if self.params_file else share_folder() / "config" / "vls.yaml"


@dataclass(frozen=True)
class NodeEntry:
    """One node of the set.

    `after` names the nodes that must be up before it.  `from_deployment` maps its parameters to the deployment's
    fields; a field that is left at "unset" (empty or -1) leaves the parameter file's value alone.
    """

    name: str
    after: tuple[str, ...] = ()
    from_deployment: Mapping[str, str] = field(default_factory=dict)
    robots: tuple[str, ...] = ()  # back ends that need this node; empty: all

    @property
    def module(self) -> str:
        return f"{PACKAGE}.nodes.{self.name}"

    @property
    def executable(self) -> str:
        """Name in lib/vls_steering, for `ros2 run` and launch."""
        return f"{self.name}_node"

    def parameters(self, deployment: Deployment) -> dict[str, Any]:
        """Parameters that the deployment sets on top of the parameter file."""
        chosen = {name: getattr(deployment, attribute) for name, attribute in self.from_deployment.items()}
        given = {name: value for name, value in chosen.items() if value not in ("", -1)}
        return {"use_sim_time": deployment.simulates_time, **given}

    def ros_arguments(self, deployment: Deployment) -> list[str]:
        """Everything after the executable's name on its command line."""
        arguments = ["--ros-args", "-r", f"__node:={self.name}", "--log-level", deployment.log_level]
        if deployment.namespace:
            arguments += ["-r", f"__ns:=/{deployment.namespace.strip('/')}"]
        arguments += ["--params-file", str(deployment.parameter_file)]
        for name, value in self.parameters(deployment).items():
            arguments += ["-p", f"{name}:={_yaml_scalar(value)}"]
        return arguments


MANAGER = NodeEntry("manager", from_deployment={"autostart": "autostart", "robot": "robot"})

NODES: tuple[NodeEntry, ...] = (
    NodeEntry("sim_bridge", from_deployment={"scene": "scene", "seed": "seed"}, robots=("sim",)),
    NodeEntry("protocol_arm", from_deployment={"scene": "scene", "seed": "seed"}, robots=("protocol",)),
    NodeEntry("executor", after=("sim_bridge", "protocol_arm"), from_deployment={"robot": "robot"}),
    NodeEntry("camera", after=("sim_bridge", "protocol_arm"), from_deployment={"seed": "seed"}),
    NodeEntry("perception", after=("camera",), from_deployment={"seed": "seed"}),
    NodeEntry("vlm", after=("perception",), from_deployment={"back_end": "vlm"}),
    NodeEntry("policy", after=("perception", "executor", "vlm"), from_deployment={"seed": "seed"}),
    MANAGER,
)


def nodes_for(robot: str) -> tuple[NodeEntry, ...]:
    """The nodes that this robot needs, manager included, in bring-up order."""
    wanted = [entry for entry in NODES if not entry.robots or robot in entry.robots]
    return in_order(tuple(wanted))


def in_order(entries: tuple[NodeEntry, ...]) -> tuple[NodeEntry, ...]:
    """Every node after those it depends on, otherwise as listed; raises ConfigurationError on a cycle."""
    present = {entry.name for entry in entries}
    waiting, ordered, done = list(entries), [], set[str]()
    while waiting:
        ready = next((e for e in waiting if all(name in done for name in e.after if name in present)), None)
        if ready is None:
            raise ConfigurationError(f"nodes depend on one another in a circle: {[e.name for e in waiting]}")
        waiting.remove(ready)
        ordered.append(ready)
        done.add(ready.name)
    return tuple(ordered)


def share_folder() -> Path:
    """Where config/ and launch/ are: the checkout when running from one, else the installed share folder.

    The checkout comes first so that an edit to config/vls.yaml counts without installing again.
    """
    checkout = Path(vls_steering.__file__).resolve().parents[1]
    if (checkout / "package.xml").is_file():
        return checkout
    from ament_index_python.packages import get_package_share_directory

    return Path(get_package_share_directory(PACKAGE))


def _yaml_scalar(value: Any) -> str:
    """A parameter value as `-p name:=value` reads it: strings quoted, so that "1" or "on" stays a string."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"'{value}'" if isinstance(value, str) else str(value)
