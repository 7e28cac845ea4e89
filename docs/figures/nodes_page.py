"""The node graph's own definitions -> docs/nodes.md: nodes, topics, services, actions, parameters, launch arguments.

Who publishes and who subscribes is read from the source of each node's module and of what that uses of nodes/: nothing
is started, and what only some parameters or back ends need is there too.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo
from rclpy.qos import QoSProfile

from vls_steering.core.config import Settings, choices, load_yaml
from vls_steering.nodes import topics
from vls_steering.nodes.node_set import NODES, Deployment, NodeEntry
from vls_steering.nodes.parameters import describe, flatten, to_parameter, value_at

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "nodes.md"
SOURCES = ROOT / "vls_steering" / "nodes"
CAMERA = "<camera>"
# What a topic or service is for, where neither its message nor a comment in topics.py says so.
ABOUT: Mapping[str, str] = {
    "/clock": "simulated time, with `robot:=sim` and `protocol`; every node with `use_sim_time` hears it",
    "/tf": "the links of a simulated arm; those of a physical one come from its robot_state_publisher",
    "/tf_static": "where the links' fixed frames and the cameras are",
    "joint_states": "arm and fingers as measured, 100 Hz",
    "gripper/is_grasped": "whether the gripper reports a grasped object",
    "sim/layout": "what stands where in the simulated world, JSON",
    "estop": "emergency stop, engaged while the last message said true; software only ([safety.md](safety.md))",
    "instruction": "the sentence to obey; empty: none, and the arm is held",
    "perception/overlay": "the picture with its numbered keypoints, while somebody looks",
    "perception/markers": "keypoints for RViz, while somebody looks",
    "steering/markers": "every particle coloured by reward, the chosen one, keypoints, keep-outs, while somebody looks",
    "executor/arm": "arm the executor at a resting arm; refused with the reason",
    "executor/hold": "come to rest and hold, whatever comes, until somebody arms",
    "executor/end_task": "come to rest; the next good chunk moves the arm again",
    "executor/estop": "engage (true) or release (false) the emergency stop; releasing does not arm",
    "sim/reset": "put everything on the simulated table back; time goes on",
    "perception/reset": "forget the scene",
    "manager/bring_up": "configure and activate every node in order",
    "manager/shut_down": "take every node down in reverse order",
    "protocol_arm/push": "push the simulated arm (true) until false: a collision on purpose",
    "protocol_arm/refuse_hand": "have the simulated hand refuse its commands (true) until false",
    f"{CAMERA}/color/image_raw": "colour picture, rgb8",
    f"{CAMERA}/depth/image_rect_raw": "depth, 32FC1 m or 16UC1 mm, aligned with the colour picture, of the same stamp",
    f"{CAMERA}/camera_info": "intrinsics",
    f"{CAMERA}/pose": "optical frame in the base frame",
}
INTRODUCTION = f"""# Nodes, topics, services, parameters

Made by `make docs` from the definitions themselves (`docs/figures/nodes_page.py`); do not edit. All names are relative,
so that a namespace and remappings work. `{CAMERA}` is `camera` for the front camera, `wrist_camera` for the wrist's.
Units are SI, positions in the robot's base frame `fr3_link0`.

Every node is a lifecycle node: the manager configures and activates itself, then the others in order, and takes them
down in reverse (`<node>/change_state`, `<node>/get_state`). Every node publishes `/diagnostics` once a second: its
lifecycle, the last failure, and rate and age of each of its streams. A node shows here what it may publish and
subscribe to; some of it depends on parameters and back ends. What the back end `ros2_control` says to franka_ros2 is in
[franka.md](franka.md).
"""


@dataclass
class Ends:
    """What one node talks through, by name."""

    publishes: set[str] = field(default_factory=set)
    subscribes: set[str] = field(default_factory=set)
    serves: dict[str, str] = field(default_factory=dict)  # service -> type
    acts: dict[str, str] = field(default_factory=dict)  # action -> type
    calls: set[str] = field(default_factory=set)


def main() -> None:
    """Write docs/nodes.md."""
    PAGE.write_text(render(), encoding="utf-8")


def render() -> str:
    """The page."""
    ends = {entry.name: ends_of(entry.name) for entry in NODES}
    parts = [
        INTRODUCTION,
        "## Nodes\n",
        *table(("node", "what it does", "after", "`robot:=`", "from launch arguments"), map(node_row, NODES)),
        "\n## Topics\n",
        *table(("topic", "type", "quality", "from", "to", "what"), topic_rows(ends)),
        "\n## Qualities of service\n",
        *table(("name", "reliability", "durability", "depth", "for"), quality_rows()),
        "\n## Services and actions\n",
        *table(("name", "type", "served by", "called by", "what"), service_rows(ends)),
        "\n## Messages\n",
        "Every field has a unit and a comment in the file itself.\n",
        *table(("file", "what"), message_rows()),
        "\n## Launch arguments\n",
        "Of `ros2 launch vls_steering bringup.launch.py`; `vls run --help` has the options of `vls run`.\n",
        *table(("argument", "default", "choices", "what"), launch_rows()),
        "\n## Parameters\n",
        parameters_introduction(),
    ]
    for entry in NODES:
        parts += [f"\n### {entry.name}\n", *parameter_table(entry)]
    return "\n".join(parts) + "\n"


# Who talks to whom ---------------------------------------------------------------------------------------------------


def ends_of(node: str) -> Ends:
    """Everything that the node's module, and what it uses of others, talks through."""
    ends = Ends()
    for unit in sorted(reached(node)):
        read_unit(unit, ends)
    return ends


# A class, a function or a constant at the top of a module of nodes/: (module, name).
Unit = tuple[str, str]


def reached(node: str) -> set[Unit]:
    """Everything in the module of `node`, and whatever that names, however indirectly."""
    waiting: list[Unit] = [(node, name) for name in units(node)]
    found = set(waiting)
    while waiting:
        for other in named_in(waiting.pop()) - found:
            found.add(other)
            waiting.append(other)
    return found


@cache
def tree(module: str) -> ast.Module:
    return ast.parse((SOURCES / f"{module}.py").read_text(encoding="utf-8"))


@cache
def units(module: str) -> Mapping[str, ast.stmt]:
    found: dict[str, ast.stmt] = {}
    for node in tree(module).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            found[node.name] = node
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id: node for target in targets if isinstance(target, ast.Name)}
    return found


@cache
def imported(module: str) -> Mapping[str, Unit]:
    """Name here -> what it is in the module of nodes/ that it comes from."""
    return {
        alias.asname or alias.name: (node.module.rpartition(".")[2], alias.name)
        for node in ast.walk(tree(module))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vls_steering.nodes.") and node.module
        for alias in node.names
    }


def named_in(unit: Unit) -> set[Unit]:
    module, name = unit
    if name not in units(module):
        return set()
    names = {node.id for node in ast.walk(units(module)[name]) if isinstance(node, ast.Name)}
    here = {(module, other) for other in names & set(units(module))}
    return here | {imported(module)[other] for other in names & set(imported(module))}


def read_unit(unit: Unit, ends: Ends) -> None:
    """Add what the calls of one unit open."""
    module, name = unit
    if name not in units(module):
        return
    calls = [node for node in ast.walk(units(module)[name]) if isinstance(node, ast.Call)]
    has_cameras = any(last_name(call.func) == "camera_topics" for call in calls)
    service_types = [ast.unparse(call.args[0]) for call in calls if last_name(call.func) == "create_service"]
    for call in calls:
        kind, arguments = last_name(call.func), call.args
        if kind in ("publisher", "subscribe") and arguments:
            target = ends.publishes if kind == "publisher" else ends.subscribes
            topic = constant(module, arguments[0])
            if isinstance(topic, topics.Topic):
                target.add(topic.name)
            elif has_cameras:
                target |= {topic.name for topic in camera_topics()}
        elif kind == "ActionServer":
            ends.acts[constant(module, arguments[2])] = f"vls_steering/action/{ast.unparse(arguments[1])}"
        elif kind == "serve_trigger":
            ends.serves[constant(module, arguments[0])] = "std_srvs/srv/Trigger"
        else:
            for service in service_names(module, arguments):
                if kind == "create_client":
                    ends.calls.add(service)
                elif service_types:
                    ends.serves[service] = f"std_srvs/srv/{service_types[0]}"


def service_names(module: str, arguments: Sequence[ast.expr]) -> Iterator[str]:
    """Services that are named among the arguments of a call, by a constant whose name ends in _SERVICE."""
    for argument in arguments:
        if isinstance(argument, (ast.Name, ast.Attribute)) and last_name(argument).endswith("_SERVICE"):
            yield constant(module, argument)


def constant(module: str, node: ast.expr) -> Any:
    """The value of a literal, or of a constant of the module or of topics.py; None for anything else."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "topics":
        return getattr(topics, node.attr)
    if isinstance(node, ast.Name) and node.id.isupper():
        return getattr(importlib.import_module(f"vls_steering.nodes.{module}"), node.id)
    return None


def last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


# Rows ----------------------------------------------------------------------------------------------------------------


def node_row(entry: NodeEntry) -> list[str]:
    set_by = [f"`{name}`" if name == given else f"`{name}` ({given})" for name, given in entry.from_deployment.items()]
    return [
        f"`{entry.name}`",
        purpose(ast.get_docstring(tree(entry.name)) or ""),
        code(entry.after),
        code(entry.robots) or "all",
        ", ".join(set_by),
    ]


def purpose(docstring: str) -> str:
    """The first sentence without the name of the node that it may begin with."""
    sentence = first_sentence(docstring)
    return sentence.partition(": ")[2] or sentence


def camera_topics() -> list[topics.Topic[Any]]:
    found = topics.camera_topics(CAMERA)
    return [found.color, found.depth, found.info, found.pose]


def all_topics() -> list[topics.Topic[Any]]:
    named = [value for value in vars(topics).values() if isinstance(value, topics.Topic)]
    return [*camera_topics(), *named]


def topic_rows(ends: Mapping[str, Ends]) -> Iterator[list[str]]:
    for topic in all_topics():
        yield [
            f"`{topic.name}`",
            f"`{type_name(topic.type)}`",
            quality_name(topic.quality),
            code(name for name, end in ends.items() if topic.name in end.publishes),
            code(name for name, end in ends.items() if topic.name in end.subscribes),
            about_topic(topic),
        ]


def about_topic(topic: topics.Topic[Any]) -> str:
    if topic.name in ABOUT:
        return ABOUT[topic.name]
    constant_name = next((name for name, value in vars(topics).items() if value is topic), "")
    file = ROOT / "msg" / f"{topic.type.__name__}.msg"
    return first_sentence(comment_above(constant_name) or (message_comment(file) if file.is_file() else ""))


def comment_above(name: str) -> str:
    """The comment on the lines before `name` is set in topics.py."""
    source = inspect.getsource(topics)
    found = re.search(rf"((?:^#.*\n)+)^{name}\b.*=", source, re.MULTILINE) if name else None
    return " ".join(line.removeprefix("#").strip() for line in found[1].splitlines()) if found else ""


def quality_rows() -> Iterator[list[str]]:
    listed = re.findall(r"^- ([\w, ]+): (.*(?:\n  .*)*)", inspect.getdoc(topics) or "", re.MULTILINE)
    said = {name: why for names, why in listed for name in names.split(", ")}
    for name, value in vars(topics).items():
        if isinstance(value, QoSProfile):
            why = " ".join(said.get(name, "").split()) or comment_above(name)
            reliability, durability = (e.name.lower().replace("_", " ") for e in (value.reliability, value.durability))
            yield [f"`{name}`", reliability, durability, str(value.depth), why]


def quality_name(quality: QoSProfile) -> str:
    return next(name for name, value in vars(topics).items() if value is quality)


def service_rows(ends: Mapping[str, Ends]) -> Iterator[list[str]]:
    def rows(of: Callable[[Ends], Mapping[str, str]]) -> Iterator[list[str]]:
        kinds = {name: kind for end in ends.values() for name, kind in of(end).items()}
        for name, kind in sorted(kinds.items()):
            servers = code(node for node, end in ends.items() if name in of(end))
            callers = code(node for node, end in ends.items() if name in end.calls)
            file = ROOT / "action" / f"{kind.rpartition('/')[2]}.action"
            what = ABOUT.get(name, "") or (first_sentence(message_comment(file)) if file.is_file() else "")
            yield [f"`{name}`", f"`{kind}`", servers, callers, what]

    yield from rows(lambda end: end.acts)
    yield from rows(lambda end: end.serves)


def message_rows() -> Iterator[list[str]]:
    for file in [*sorted((ROOT / "msg").glob("*.msg")), *sorted((ROOT / "action").glob("*.action"))]:
        name = f"{file.parent.name}/{file.name}"
        yield [f"[{name}](../{name})", message_comment(file)]


def message_comment(file: Path) -> str:
    """The comment that a message file begins with."""
    lines: list[str] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return " ".join(" ".join(lines).split())


def launch_rows() -> Iterator[list[str]]:
    for name, info in Deployment.model_fields.items():
        accepted = code(filter(None, choices(info)))
        yield [f"`{name}`", shown(info.default), accepted, info.description or ""]
    # launch is not on the package index, so that the file is read instead of run.
    launch = ast.parse((ROOT / "launch" / "bringup.launch.py").read_text(encoding="utf-8"))
    (viewers,) = (
        node.value for node in launch.body if isinstance(node, ast.Assign) and last_name(node.targets[0]) == "VIEWERS"
    )
    for name, (default, what) in ast.literal_eval(viewers).items():
        yield [f"`{name}`", shown(default), "", what]


# Parameters ----------------------------------------------------------------------------------------------------------


def settings_of(entry: NodeEntry) -> type[Settings]:
    model: type[Settings] = importlib.import_module(entry.module).NODE.settings
    return model


def parameters_introduction() -> str:
    descriptors = [describe(name, info) for entry in NODES for name, info in flatten(settings_of(entry))]
    changeable = [descriptor.name for descriptor in descriptors if not descriptor.read_only]
    which = f"All but {code(changeable)}" if changeable else "All"
    return (
        f"{which} are read-only: they are set before a node starts, by `config/vls.yaml` or another `params_file`. An\n"
        "unknown name or a value out of range ends the node with an error that names what is accepted. Where\n"
        "`config/vls.yaml` says something else than the default, it stands in brackets. `use_sim_time` comes on top."
    )


def parameter_table(entry: NodeEntry) -> list[str]:
    model = settings_of(entry)
    default = model()
    section = load_yaml(ROOT / "config" / "vls.yaml").get(f"/**/{entry.name}", {}).get("ros__parameters", {})
    rows = []
    for name, info in flatten(model):
        value, written = to_parameter(value_at(default, name)), written_at(section, name)
        shipped = f" ({shown(written)})" if written is not None and written != value else ""
        rows.append([f"`{name}`", shown(value) + shipped, accepted(info), info.description or ""])
    return table(("parameter", "default", "accepted", "what"), rows)


def written_at(section: Mapping[str, Any], dotted: str) -> Any:
    value: Any = section
    for part in dotted.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def accepted(info: FieldInfo) -> str:
    """Choices, or the type with its bounds."""
    if info.annotation is not None and describe("", info).additional_constraints:
        return code(describe("", info).additional_constraints.removeprefix("one of: ").split(", "))
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    bounds = [
        f"{sign} {getattr(item, key):g}"
        for key, sign in signs.items()
        for item in info.metadata
        if getattr(item, key, None) is not None
    ]
    return " ".join([type_text(info.annotation), ", ".join(bounds)]).strip()


def type_text(annotation: Any) -> str:
    if annotation in (bool, int, float, str):
        return str(annotation.__name__)
    if get_origin(annotation) is tuple:
        return f"list of {type_text(get_args(annotation)[0])}"
    if get_origin(annotation) is dict:
        return "mapping"
    return re.sub(r"\b\w+\.", "", str(annotation))


# Markdown ------------------------------------------------------------------------------------------------------------


def table(names: Sequence[str], rows: Any) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return [line(names), "|" + "---|" * len(names), *(line(row) for row in rows)]


def code(names: Any) -> str:
    return ", ".join(f"`{name}`" for name in names)


def shown(value: Any) -> str:
    """A value as a parameter file has it."""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, float):
        return f"`{value:.6g}`"
    if isinstance(value, (list, tuple)):
        return f"`[{', '.join(map(str, value))}]`"
    return f"`{value}`" if value != "" else "empty"


def type_name(kind: Any) -> str:
    return f"{kind.__module__.split('.')[0]}/msg/{kind.__name__}"


def first_sentence(text: str) -> str:
    return re.split(r"(?<=[.;])\s", " ".join(text.split("\n\n")[0].split()))[0].rstrip(".;")


if __name__ == "__main__":
    main()
