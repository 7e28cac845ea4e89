"""Installs vls_steering with pip, ROS interfaces included.

The Python modules are ordinary setuptools packages, described in pyproject.toml.  Where a ROS 2 installation is found
(a sourced one, or the ROS 2 wheels in the same environment) the package's own CMakeLists.txt generates and compiles
msg/ and action/, and the result joins the wheel: Python modules beside ours, libraries and share files as data files.
Where none is found the wheel is pure Python and everything but the nodes works.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Distribution, Extension, setup
from setuptools.command.build_ext import build_ext

PACKAGE = "vls_steering"
ROOT = Path(__file__).resolve().parent
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


def ros_prefixes() -> list[Path]:
    """Prefixes of the ROS 2 installations to build against; empty where interfaces cannot be generated."""
    named = [Path(prefix) for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if prefix]
    candidates = [*named, Path(sys.prefix)]
    prefixes = [prefix for prefix in dict.fromkeys(candidates) if (prefix / "share/ament_index").is_dir()]
    can_generate = any((prefix / "share/rosidl_default_generators/cmake").is_dir() for prefix in prefixes)
    return prefixes if can_generate else []


class BuildInterfaces(build_ext):
    """`build_ext` that runs CMake for the interfaces instead of a compiler for each extension."""

    outputs: list[str]

    def run(self) -> None:
        self.outputs = []
        prefixes = ros_prefixes()
        if not prefixes:
            return
        build = Path(self.build_temp).resolve() / "interfaces"
        stage = build / "stage"
        shutil.rmtree(stage, ignore_errors=True)
        self._cmake(build, stage, prefixes)
        self._take_modules(stage)
        self._take_data(stage)

    def _cmake(self, build: Path, stage: Path, prefixes: list[Path]) -> None:
        environment = dict(os.environ, AMENT_PREFIX_PATH=os.pathsep.join(map(str, prefixes)))
        # pip's isolated build replaces PYTHONPATH, but the generators of a sourced ROS 2 live outside this environment.
        layouts = (f"lib/{PYTHON}/site-packages", f"local/lib/{PYTHON}/dist-packages")
        folders = [p / layout for p in prefixes if p != Path(sys.prefix) for layout in layouts]
        environment["PYTHONPATH"] = os.pathsep.join(str(folder) for folder in folders if folder.is_dir())
        environment.pop("PYTHONNOUSERSITE", None)
        generator = ["-G", "Ninja"] if shutil.which("ninja") else []
        configure = [
            *("cmake", *generator, "-S", str(ROOT), "-B", str(build), "-Wno-dev"),
            *("-DCMAKE_BUILD_TYPE=Release", "-DBUILD_TESTING=OFF", "-DVLS_INTERFACES_ONLY=ON"),
            f"-DPython3_EXECUTABLE={sys.executable}",
            f"-DCMAKE_PREFIX_PATH={';'.join(map(str, prefixes))}",
            f"-DCMAKE_INSTALL_PREFIX={stage}",
        ]
        jobs = str(self.parallel or os.cpu_count() or 1)
        for command in (
            configure,
            ["cmake", "--build", str(build), "--parallel", jobs],
            ["cmake", "--install", str(build)],
        ):
            subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)

    def _take_modules(self, stage: Path) -> None:
        """Copy the generated modules beside ours; the generated `__init__.py` must not replace our own."""
        source = next(stage.glob(f"**/{PYTHON}/*-packages/{PACKAGE}"))
        target = (ROOT if self.inplace else Path(self.build_lib)) / PACKAGE
        for path in sorted(source.rglob("*")):
            relative = path.relative_to(source)
            if path.suffix not in (".py", ".so") or relative == Path("__init__.py"):
                continue
            destination = target / relative
            destination.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, destination)
            self.outputs.append(str(destination))

    def _take_data(self, stage: Path) -> None:
        files: dict[str, list[str]] = {}
        for path in sorted([*stage.glob("lib/*.so"), *stage.glob("share/**/*")]):
            if path.is_file():
                files.setdefault(str(path.relative_to(stage).parent), []).append(os.path.relpath(path, ROOT))
        self.distribution.data_files = [*(self.distribution.data_files or []), *files.items()]

    def get_outputs(self) -> list[str]:
        return self.outputs

    def get_output_mapping(self) -> dict[str, str]:
        return {}


class RosDistribution(Distribution):
    """Lets an editable install place data files too: the generated libraries are among them."""

    def has_data(self) -> bool:
        # The name setuptools' editable_wheel asks for; distutils itself asks for has_data_files().
        return self.has_data_files()


def data_files() -> list[tuple[str, list[str]]]:
    """Where ROS tools look: package marker, share folder, and executables for `ros2 run` and launch."""
    share = f"share/{PACKAGE}"

    def folder(name: str) -> list[str]:
        return sorted(str(path.relative_to(ROOT)) for path in (ROOT / name).iterdir() if path.is_file())

    return [
        ("share/ament_index/resource_index/packages", [f"resource/{PACKAGE}"]),
        (share, ["package.xml"]),
        (f"{share}/launch", folder("launch")),
        (f"{share}/config", folder("config")),
        (f"lib/{PACKAGE}", folder("scripts")),
    ]


setup(
    # Named so that the wheel carries a platform tag; BuildInterfaces does the work.
    ext_modules=[Extension(f"{PACKAGE}.msg", sources=[])] if ros_prefixes() else [],
    distclass=RosDistribution,
    cmdclass={"build_ext": BuildInterfaces},
    data_files=data_files(),
)
