"""What a node really runs with: one line in its log, and a parameter file beside it that starts the same node again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from rclpy.logging import get_logging_directory
from rclpy.node import Node

from vls_steering.core.config import Settings
from vls_steering.nodes.parameters import flatten, nest, to_parameter, value_at

LONGEST = 60  # characters of a value in the log


def tell_effective(node: Node, settings: Settings) -> None:
    """Write every parameter to the ROS log folder and say in the log which differ from their defaults.

    A folder that cannot be written costs the file alone.
    """
    path = Path(get_logging_directory()) / f"{node.get_fully_qualified_name().strip('/').replace('/', '.')}.yaml"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(effective(node, settings), sort_keys=False), encoding="utf-8")
        where = f"all parameters: {path}"
    except OSError as error:
        where = f"parameters not written to {path}: {error.strerror or error}"
    changed = ", ".join(f"{name}={_brief(value)}" for name, value in differing(settings).items())
    node.get_logger().info(f"{where}; other than default: {changed or 'none'}")


def effective(node: Node, settings: Settings) -> dict[str, Any]:
    """In the form of a ROS parameter file.  An empty list has no type there, and is left out."""
    values = {name: to_parameter(value_at(settings, name)) for name, _ in flatten(type(settings))}
    given = {"use_sim_time": bool(node.get_parameter("use_sim_time").value), **values}
    written = {name: value for name, value in given.items() if value != []}
    return {node.get_fully_qualified_name(): {"ros__parameters": nest(written)}}


def differing(settings: Settings) -> dict[str, Any]:
    """Parameters by dotted name that somebody has set to something else than the default."""
    shipped = type(settings)()
    names = [name for name, _ in flatten(type(settings))]
    return {name: value_at(settings, name) for name in names if value_at(settings, name) != value_at(shipped, name)}


def _brief(value: Any) -> str:
    text = str(to_parameter(value))
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
