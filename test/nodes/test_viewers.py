"""What people look at shows what there is: topics, fields and lines that exist, each in one place."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("rclpy")

from vls_steering.nodes import topics, viewers
from vls_steering.nodes.topics import Topic, camera_topics

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "config"
ANALYZERS = yaml.safe_load((CONFIG / "diagnostics.yaml").read_text())["/**/analyzers"]["ros__parameters"]
GROUPS = {group["path"]: group["regex"] for group in ANALYZERS.values() if isinstance(group, dict)}
CAMERAS = [getattr(camera_topics(camera), part) for camera in ("front", "wrist") for part in ("color", "depth", "pose")]
OURS = {topic.name: topic for topic in [*vars(topics).values(), *CAMERAS] if isinstance(topic, Topic)}


def groups_of(line: str) -> list[str]:
    """As GenericAnalyzer matches: an expression has to fit the whole name."""
    return [path for path, patterns in GROUPS.items() if any(re.fullmatch(pattern, line) for pattern in patterns)]


@pytest.mark.parametrize("namespace", ["", "cell/"])
@pytest.mark.parametrize(
    ("line", "group"),
    [
        ("executor: safety", "Safety"),
        ("policy: steering", "Steering"),
        ("camera: front camera", "Cameras"),
        ("perception: wrist camera", "Cameras"),
        ("executor: perception/cameras", "Cameras"),
        ("camera: lifecycle", "Nodes"),
        ("sim_bridge: clock", "Nodes"),
        ("manager: node set", "Nodes"),
        ("executor: action_chunk", "Streams"),
        ("perception: joint_states", "Streams"),
        ("manager: executor/status", "Streams"),
    ],
)
def test_every_line_of_the_diagnostics_has_its_group(namespace: str, line: str, group: str) -> None:
    assert groups_of(namespace + line) == [group]


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_stream_is_in_exactly_one_group(name: str) -> None:
    assert groups_of(f"some_node: {name}") in (["Cameras"], ["Streams"])


def perspective(path: Path) -> dict[str, list[str]]:
    """Topics by plugin."""
    plugins = json.loads(path.read_text())["groups"]["pluginmanager"]["groups"]
    found = {}
    for name, plugin in plugins.items():
        keys = plugin["groups"]["plugin"]["keys"]
        value: Any = ast.literal_eval((keys.get("topics") or keys.get("topic"))["repr"])
        found[name] = [value] if isinstance(value, str) else value
    return found


def test_the_perspective_plots_and_shows_what_is_published() -> None:
    for topic in (topic for shown in perspective(viewers.perspective_file("")).values() for topic in shown):
        name = next(name for name in OURS if topic[1:] == name or topic.startswith(f"/{name}/"))
        field = topic.removeprefix(f"/{name}").strip("/")
        assert not field or OURS[name].type.get_fields_and_field_types()[field] in ("float", "double")


def test_the_perspective_of_a_namespace_has_its_topics_in_it() -> None:
    path = viewers.perspective_file("/cell/left/")
    try:
        moved, shipped = perspective(path), perspective(viewers.perspective_file(""))
        assert moved == {plugin: [f"/cell/left{topic}" for topic in shown] for plugin, shown in shipped.items()}
    finally:
        path.unlink()


def test_rviz_shows_what_is_published_and_follows_a_namespace() -> None:
    displays = yaml.safe_load((CONFIG / "vls.rviz").read_text())["Visualization Manager"]["Displays"]
    shown = [display["Topic"]["Value"] for display in displays if "Topic" in display]
    assert len(shown) >= 4
    assert all(topic in OURS for topic in shown)  # relative names, hence in the namespace of the RViz that reads them


def test_nothing_is_installed_where_no_ros_is_sourced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AMENT_PREFIX_PATH", raising=False)
    assert viewers.missing("rviz2", "rclpy") == ("rviz2", "rclpy")
    assert viewers.description_file() is None
