"""One description feeds launch, `vls run` and the parameter file."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

pytest.importorskip("rclpy")

from vls_steering.core.config import choices, load_yaml, parse_settings
from vls_steering.core.errors import ConfigurationError
from vls_steering.nodes import viewers
from vls_steering.nodes.effective import differing
from vls_steering.nodes.node_set import MANAGER, NODES, Deployment, NodeEntry, in_order, nodes_for, share_folder
from vls_steering.nodes.parameters import flatten, nest, to_parameter
from vls_steering.nodes.supervisor import node_processes
from vls_steering.nodes.vlm import VlmNodeSettings
from vls_steering.sim.scene_names import CAMERA_SCENES

ROOT = Path(__file__).resolve().parents[2]
PARAMETERS = load_yaml(ROOT / "config" / "vls.yaml")
WRITTEN = [entry for entry in NODES if importlib.util.find_spec(entry.module) is not None]


def names(entries: tuple[NodeEntry, ...]) -> list[str]:
    return [entry.name for entry in entries]


def test_a_node_comes_after_those_it_needs_and_the_manager_last() -> None:
    for robot in get_args(Deployment.model_fields["robot"].annotation):
        order = names(nodes_for(robot))
        for entry in nodes_for(robot):
            assert all(order.index(other) < order.index(entry.name) for other in entry.after if other in order)
        assert order[-1] == MANAGER.name


def test_only_a_simulated_world_gives_time_and_no_physical_arm_brings_a_simulation_along() -> None:
    for robot, simulation in (("sim", {"sim_bridge"}), ("protocol", {"protocol_arm"}), ("libfranka", set())):
        nodes = nodes_for(robot)
        assert {"sim_bridge", "protocol_arm"} & set(names(nodes)) == simulation
        for entry in nodes:
            assert entry.parameters(Deployment(robot=robot))["use_sim_time"] == bool(simulation)


@pytest.mark.parametrize("robot", ["sim", "libfranka", "ros2_control"])
@pytest.mark.parametrize("said", ["true", "True", "false", False])
def test_who_says_where_the_time_comes_from_is_heard_whatever_the_robot(robot: str, said: str | bool) -> None:
    """Gazebo, mock hardware or a bag with /clock behind ros2_control; launch and the command line hand over strings."""
    deployment = parse_settings(Deployment, {"robot": robot, "use_sim_time": said}, "test")
    assert deployment.simulates_time is (str(said).lower() == "true")


def test_the_back_ends_of_a_deployment_are_those_of_the_node() -> None:
    known = choices(VlmNodeSettings.model_fields["back_end"])
    assert choices(Deployment.model_fields["vlm"]) == ("", *known)


def test_a_parameter_file_that_is_not_there_is_told_before_anything_starts() -> None:
    with pytest.raises(ConfigurationError, match=r"params_file: .*no such file \(found '/nonexistent'\)"):
        parse_settings(Deployment, {"params_file": "/nonexistent"}, "vls run")


def test_every_robot_that_can_be_asked_for_has_a_back_end() -> None:
    from vls_steering.nodes.back_ends import BACK_ENDS
    from vls_steering.nodes.executor import ExecutorNodeSettings

    asked = get_args(Deployment.model_fields["robot"].annotation)
    assert set(asked) == set(get_args(ExecutorNodeSettings.model_fields["robot"].annotation)) == set(BACK_ENDS)


def test_a_circle_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="circle"):
        in_order((NodeEntry("egg", after=("hen",)), NodeEntry("hen", after=("egg",))))


def test_the_checkout_serves_its_own_configuration() -> None:
    assert share_folder() == ROOT


@pytest.mark.parametrize("entry", WRITTEN, ids=lambda entry: entry.name)
def test_the_parameter_file_is_valid_and_shows_every_key_of_the_node_itself(entry: NodeEntry) -> None:
    """Keys of a room's nested section (`steering.`) are listed where they differ from the room's own defaults."""
    settings = importlib.import_module(entry.module).NODE.settings
    section = PARAMETERS[f"/**/{entry.name}"]["ros__parameters"]
    parse_settings(settings, section, "config/vls.yaml")
    own = {name for name, _ in flatten(settings) if "." not in name}
    # An empty list has no type in a ROS parameter file: it cannot be written down.
    shown = own - {name for name in own if to_parameter(settings.model_fields[name].default) == []}
    assert shown - set(section) == set()


@pytest.mark.parametrize("entry", WRITTEN, ids=lambda entry: entry.name)
def test_every_node_starts_with_defaults_alone(entry: NodeEntry) -> None:
    """So that its log can tell what somebody has changed."""
    assert differing(importlib.import_module(entry.module).NODE.settings()) == {}


def test_every_section_of_the_parameter_file_belongs_to_a_node() -> None:
    assert set(PARAMETERS) <= {f"/**/{entry.name}" for entry in NODES}


@pytest.mark.parametrize("entry", WRITTEN, ids=lambda entry: entry.name)
def test_a_deployment_sets_only_parameters_that_the_node_has(entry: NodeEntry) -> None:
    known = {name for name, _ in flatten(importlib.import_module(entry.module).NODE.settings)}
    assert set(entry.from_deployment) <= known
    assert set(entry.from_deployment.values()) <= set(Deployment.model_fields)


def test_what_is_not_given_leaves_the_parameter_file_alone() -> None:
    bridge = NODES[0]
    assert bridge.parameters(Deployment()) == {"use_sim_time": True}
    given = bridge.parameters(Deployment(scene="obstacle", seed=7))
    assert given == {"use_sim_time": True, "scene": "obstacle", "seed": 7}


def test_a_command_line_names_node_namespace_parameters_and_level() -> None:
    spec = node_processes(Deployment(namespace="cell", seed=3, scene="obstacle", log_level="warn"))[0]
    line = " ".join(spec.command)
    assert "-m vls_steering.nodes.sim_bridge --ros-args -r __node:=sim_bridge --log-level warn" in line
    assert "-r __ns:=/cell" in line
    assert "-p seed:=3" in line
    assert "-p scene:='obstacle'" in line  # quoted: a string stays one, whatever it reads like


class Recorded:
    """Stands for any class of launch: remembers how it was made."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.arguments, self.named = arguments, named


class FakeConfiguration(Recorded):
    values: dict[str, str] = {}  # noqa: RUF012 - one launch at a time

    def perform(self, _context: object) -> str:
        return self.values[self.arguments[0]]


@pytest.fixture
def bringup(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """launch/bringup.launch.py with recorders in place of launch, which is not on the package index."""
    provided = {
        "launch": ["LaunchContext", "LaunchDescription", "LaunchDescriptionEntity"],
        "launch.actions": ["DeclareLaunchArgument", "LogInfo", "OpaqueFunction", "SetEnvironmentVariable", "Shutdown"],
        "launch.substitutions": ["Command", "LaunchConfiguration"],
        "launch_ros": [],
        "launch_ros.actions": ["Node"],
        "launch_ros.parameter_descriptions": ["ParameterValue"],
    }
    for name, classes in provided.items():
        module = types.ModuleType(name)
        for one in classes:
            setattr(module, one, FakeConfiguration if one == "LaunchConfiguration" else type(one, (Recorded,), {}))
        monkeypatch.setitem(sys.modules, name, module)
    location = ROOT / "launch" / "bringup.launch.py"
    specification = importlib.util.spec_from_file_location("bringup_launch", location)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    # launch hands over strings, whatever was typed.
    defaults = {name: str(field.default) for name, field in Deployment.model_fields.items()}
    viewers = {name: default for name, (default, _) in module.VIEWERS.items()}
    monkeypatch.setattr(FakeConfiguration, "values", {**defaults, **viewers})
    return module


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Says which ROS packages there are."""

    def install(*packages: str) -> None:
        monkeypatch.setattr(viewers, "_share", lambda name: tmp_path / name if name in packages else None)
        model = tmp_path / "franka_description" / "robots" / "fr3" / "fr3.urdf.xacro"
        model.parent.mkdir(parents=True)
        model.touch()

    return install


def test_launch_offers_the_arguments_everyone_knows(bringup: types.ModuleType) -> None:
    entities = bringup.generate_launch_description().arguments[0]
    declared = {e.arguments[0]: e.named for e in entities if type(e).__name__ == "DeclareLaunchArgument"}
    expected = {"namespace", "use_sim_time", "params_file", "autostart", "log_level", "use_rviz", "use_rqt"}
    assert set(declared) >= expected | {"robot", "scene", "seed", "vlm"}
    assert all(named["description"] for named in declared.values())
    assert declared["log_level"]["choices"] == ["debug", "info", "warn", "error", "fatal"]
    assert declared["scene"]["choices"] == ["", *CAMERA_SCENES]
    assert declared["use_sim_time"]["choices"] is None  # as everyone writes it: true, True, false ...


def test_a_misspelt_launch_argument_is_an_error_and_a_strangers_is_told(bringup: types.ModuleType) -> None:
    def names(*words: str) -> str:
        told = bringup._names(types.SimpleNamespace(argv=words))
        return " ".join(entity.named["msg"] for entity in told)

    assert names("scene:=obstacle", "use_rviz:=true", "--debug") == ""
    assert "cell_door is no argument" in names("cell_door:=open")
    with pytest.raises(ConfigurationError, match=r"'scen' .did you mean 'scene'"):
        names("scen:=obstacle")


def test_launch_starts_the_same_nodes_with_the_same_parameters(bringup: types.ModuleType) -> None:
    FakeConfiguration.values.update(seed="11")
    nodes = bringup._nodes(object())
    deployment = Deployment(seed=11)
    assert [node.named["executable"] for node in nodes] == [e.executable for e in nodes_for("sim")]
    for node, entry in zip(nodes, nodes_for("sim"), strict=True):
        assert node.named["parameters"] == [str(deployment.parameter_file), entry.parameters(deployment)]


def started(bringup: types.ModuleType, **values: str) -> tuple[dict[str, Any], str]:
    """Viewers by package, and what launch says of the others."""
    FakeConfiguration.values.update(values)
    entities = bringup._viewers(object())
    told = " ".join(e.named["msg"] for e in entities if type(e).__name__ == "LogInfo")
    return {e.named["package"]: e.named for e in entities if type(e).__name__ == "Node"}, told


def arm_frames(bringup: types.ModuleType) -> bool:
    bridge = next(node for node in bringup._nodes(object()) if node.named["name"] == "sim_bridge")
    return bool(bridge.named["parameters"][1].get("arm_frames", True))


def test_viewers_take_the_time_of_the_simulation_and_the_namespace(bringup: types.ModuleType, installed: Any) -> None:
    installed("rviz2", "rqt_gui")
    nodes, _ = started(bringup, use_rviz="true", use_rqt="true", namespace="cell")
    for package in ("rviz2", "rqt_gui"):
        assert nodes[package]["parameters"][0] == {"use_sim_time": True}
        assert nodes[package]["namespace"] == "cell"
    nodes, _ = started(bringup, robot="libfranka")
    assert nodes["rviz2"]["parameters"][0] == {"use_sim_time": False}


def test_what_is_not_installed_is_told_and_left_out(bringup: types.ModuleType, installed: Any) -> None:
    installed()
    nodes, told = started(bringup, use_rviz="True")
    assert nodes == {}
    assert "diagnostic_aggregator is not installed" in told
    assert "no robot model: franka_description, xacro, robot_state_publisher is not installed" in told
    assert arm_frames(bringup)


def test_diagnostics_are_aggregated_unless_told_otherwise(bringup: types.ModuleType, installed: Any) -> None:
    installed("diagnostic_aggregator")
    nodes, told = started(bringup)
    assert nodes["diagnostic_aggregator"]["parameters"] == [str(ROOT / "config" / "diagnostics.yaml")]
    assert told == ""
    assert started(bringup, use_aggregator="False")[0] == {}


def test_with_the_robots_model_the_links_frames_come_from_its_publisher_alone(
    bringup: types.ModuleType, installed: Any
) -> None:
    installed("rviz2", *viewers.DESCRIPTION_PACKAGES)
    assert "robot_state_publisher" not in started(bringup)[0]
    assert arm_frames(bringup)  # nobody looks
    assert "robot_state_publisher" in started(bringup, use_rviz="True")[0]
    assert not arm_frames(bringup)
    # franka_ros2 starts one itself.
    assert "robot_state_publisher" not in started(bringup, robot="ros2_control")[0]


def test_the_parameter_file_is_one_that_ros_reads() -> None:
    for section in yaml.safe_load((ROOT / "config" / "vls.yaml").read_text()).values():
        assert set(section) == {"ros__parameters"}
        assert nest(section["ros__parameters"]) == section["ros__parameters"]  # nested, not dotted
