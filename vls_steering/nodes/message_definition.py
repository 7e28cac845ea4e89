"""What a message type looks like in words, for logs that carry their own definitions."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory


def definition(message_type: Any) -> str:
    """The .msg text of a type, followed by those of every type it contains (encoding `ros2msg`)."""
    texts: list[str] = []
    waiting, seen = [message_type], {type_name(message_type)}
    while waiting:
        current = waiting.pop(0)
        package, _, short = type_name(current).split("/")
        source = _share_folder(package) / "msg" / f"{short}.msg"
        heading = f"{'=' * 80}\nMSG: {package}/{short}\n" if texts else ""
        texts.append(heading + source.read_text(encoding="utf-8"))
        for inner in _inner_types(current):
            if inner not in seen:
                seen.add(inner)
                waiting.append(_message_class(inner))
    return "\n".join(texts)


def type_name(message_type: Any) -> str:
    """For example `sensor_msgs/msg/JointState`."""
    package = message_type.__module__.split(".", 1)[0]
    return f"{package}/msg/{message_type.__name__}"


def _inner_types(message_type: Any) -> list[str]:
    """Full names of the message types among the fields."""
    found = []
    for declared in message_type.get_fields_and_field_types().values():
        match = re.search(r"(\w+)/(\w+)", declared)
        if match is not None:
            found.append(f"{match[1]}/msg/{match[2]}")
    return found


def _share_folder(package: str) -> Path:
    try:
        return Path(get_package_share_directory(package))
    except (LookupError, OSError):  # wheels in a virtual environment need no ament index
        return Path(sys.prefix) / "share" / package


def _message_class(type_name: str) -> Any:
    package, _, short = type_name.split("/")
    return getattr(import_module(f"{package}.msg"), short)
