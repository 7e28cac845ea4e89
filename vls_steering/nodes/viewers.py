"""What launch starts beside the node set for people to look at, where it is installed.

None of it is needed to move the arm, so what is missing is told and left out.
"""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory

from vls_steering.nodes.node_set import share_folder

# What the robot's model takes in RViz: its description, who expands that, and who publishes it with the links' frames.
DESCRIPTION_PACKAGES = ("franka_description", "xacro", "robot_state_publisher")
# Their drivers bring a robot_state_publisher of their own: a second one would tell every frame twice.
DESCRIBES_ITSELF = ("ros2_control",)
# Nodes that tell the links' frames when nobody else does; their parameter `arm_frames`.
FRAME_TELLERS = ("sim_bridge", "protocol_arm")
# Of the whole host, in no namespace.
GLOBAL_TOPICS = ("/diagnostics", "/diagnostics_agg", "/tf", "/tf_static", "/clock")


def missing(*packages: str) -> tuple[str, ...]:
    """Those of the ROS packages that are not installed."""
    return tuple(package for package in packages if _share(package) is None)


def description_file() -> Path | None:
    """The FR3's xacro, when everything is there that makes a robot model of it."""
    share = _share("franka_description")
    if share is None or missing(*DESCRIPTION_PACKAGES):
        return None
    path = share / "robots" / "fr3" / "fr3.urdf.xacro"
    return path if path.is_file() else None


def perspective_file(namespace: str) -> Path:
    """The rqt perspective for a node set in this namespace.

    rqt's plugins keep full topic names, and know neither namespaces nor remappings: another namespace is another file.
    """
    shipped = share_folder() / "config" / "vls.perspective"
    if not namespace.strip("/"):
        return shipped
    with tempfile.NamedTemporaryFile("w", prefix="vls_", suffix=".perspective", delete=False) as file:
        json.dump(_moved(json.loads(shipped.read_text()), namespace.strip("/")), file, indent=2)
    return Path(file.name)


def _moved(node: Any, namespace: str) -> Any:
    """The perspective with every topic of ours moved into the namespace."""
    if not isinstance(node, dict):
        return node
    if node.get("type") == "repr":
        return {**node, "repr": re.sub(r"'(/[^']*)'", lambda topic: f"'{_in(topic[1], namespace)}'", node["repr"])}
    return {key: _moved(value, namespace) for key, value in node.items()}


def _in(topic: str, namespace: str) -> str:
    return topic if topic in GLOBAL_TOPICS else f"/{namespace}{topic}"


def _share(package: str) -> Path | None:
    try:
        return Path(get_package_share_directory(package))
    except (PackageNotFoundError, OSError):  # OSError: no ROS 2 is sourced at all
        return None
