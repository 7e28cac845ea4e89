"""franka_ros2's interfaces for the tests: the installed packages, or stand-ins generated into build/ once."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "test" / "interfaces"
STAGE = ROOT / "build" / "test_interfaces"
PACKAGES = ("control_msgs", "franka_msgs", "controller_manager_msgs")


def environment() -> dict[str, str]:
    """What a process needs in its environment to import the interfaces; generates them when they are not there."""
    if all(importlib.util.find_spec(name) is not None for name in PACKAGES):
        return dict(os.environ)
    for name in PACKAGES:
        _generate(name)
    modules = STAGE / Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    paths = {"PYTHONPATH": str(modules), "LD_LIBRARY_PATH": str(STAGE / "lib")}
    joined = {key: os.pathsep.join(filter(None, (value, os.environ.get(key)))) for key, value in paths.items()}
    return {**os.environ, **joined}


def _generate(name: str) -> None:
    done = STAGE / "share" / name / "package.xml"
    newest = max(path.stat().st_mtime for path in (SOURCES / name).rglob("*") if path.is_file())
    if done.is_file() and done.stat().st_mtime >= newest:
        return
    build = STAGE / "build" / name
    prefix = os.environ.get("AMENT_PREFIX_PATH", sys.prefix)
    commands = (
        [
            *("cmake", "-S", str(SOURCES / name), "-B", str(build), "-Wno-dev"),
            *("-DCMAKE_BUILD_TYPE=Release", "-DBUILD_TESTING=OFF"),
            f"-DCMAKE_PREFIX_PATH={prefix.replace(os.pathsep, ';')}",
            f"-DCMAKE_INSTALL_PREFIX={STAGE}",
            f"-DPython3_EXECUTABLE={sys.executable}",
        ],
        ["cmake", "--build", str(build), "--parallel", "2"],
        ["cmake", "--install", str(build)],
    )
    given = {**os.environ, "AMENT_PREFIX_PATH": prefix, "PATH": f"{sys.prefix}/bin{os.pathsep}{os.environ['PATH']}"}
    for command in commands:
        subprocess.run(command, check=True, env=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    done.touch()
