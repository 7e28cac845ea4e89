"""Source distribution, wheel and `colcon build` of the checkout are whole; all of it happens in temporary folders.

The wheel is built from the source distribution, so that a file that MANIFEST.in forgets is missed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

pytestmark = [pytest.mark.ros, pytest.mark.slow, pytest.mark.long]

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "vls_steering"
PURELIB = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
LONGEST_S = 1800.0  # generating and compiling the interfaces takes a minute of one core, on a busy machine far longer
PROBE = """
import vls_steering
from vls_steering.action import RunTask
from vls_steering.msg import ActionChunk
from vls_steering.nodes.node_set import share_folder
from vls_steering.policies.shipped import SHIPPED_POLICY
assert SHIPPED_POLICY.is_file(), SHIPPED_POLICY
assert ActionChunk(sequence=7).sequence == 7 and RunTask.Goal(instruction="x").instruction == "x"
print(vls_steering.__file__)
print(share_folder())
"""


def run(command: Sequence[str | Path], cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def tracked() -> list[str]:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    names = run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], ROOT).splitlines()
    return [name for name in names if (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout's own files alone: nothing generated."""
    folder = tmp_path_factory.mktemp("workspace") / "src" / PACKAGE
    for name in tracked():
        if not name.startswith(("docs/", "test/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def wheel(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("rclpy")
    out = tmp_path_factory.mktemp("dist")
    build = f"from setuptools.build_meta import build_sdist; build_sdist({str(out)!r})"
    run([sys.executable, "-c", build], sources)
    (source,) = out.glob("*.tar.gz")
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    run([*pip, "--wheel-dir", out, source], out, AMENT_PREFIX_PATH=sys.prefix)
    (found,) = out.glob("*.whl")
    return found


def wanted_files() -> set[str]:
    """What an installation must hold, relative to the folder that has lib/ and share/."""
    share = f"share/{PACKAGE}"
    names = {name for name in tracked() if name.startswith(f"{PACKAGE}/")}
    files = {f"{PURELIB}/{name}" for name in names}
    files |= {
        f"{share}/{name}" for name in tracked() if name.startswith(("config/", "launch/")) or name == "package.xml"
    }
    files |= {f"lib/{name.replace('scripts', PACKAGE)}" for name in tracked() if name.startswith("scripts/")}
    for kind in ("msg", "action"):
        for file in (ROOT / kind).iterdir():
            files.add(f"{share}/{kind}/{file.name}")
            snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in file.stem)
            files.add(f"{PURELIB}/{PACKAGE}/{kind}/{snake}.py")
    return files | {f"share/ament_index/resource_index/packages/{PACKAGE}"}


def test_the_wheel_is_whole(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    data = next(name.partition("/")[0] for name in names if ".data/" in name)
    inside = {name.removeprefix(f"{data}/data/") for name in names}
    placed = {name if name.startswith(("share/", "lib/")) else f"{PURELIB}/{name}" for name in inside}
    assert wanted_files() - placed == set()
    assert any("typesupport" in name and name.endswith(".so") for name in names)
    assert not any(name.startswith("test/") for name in names)


def test_an_ordinary_installation_needs_no_checkout(wheel: Path, tmp_path: Path) -> None:
    prefix = tmp_path / "prefix"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--ignore-installed"]
    run([*pip, "--prefix", prefix, wheel], tmp_path)
    assert_works(prefix, tmp_path)


def assert_works(prefix: Path, elsewhere: Path) -> None:
    """Messages, share folder and policies are found, and are those of the installation."""
    told = run(
        [sys.executable, "-c", PROBE],
        elsewhere,
        PYTHONPATH=str(prefix / PURELIB),
        LD_LIBRARY_PATH=os.pathsep.join(filter(None, (str(prefix / "lib"), os.environ.get("LD_LIBRARY_PATH")))),
        AMENT_PREFIX_PATH=os.pathsep.join((str(prefix), os.environ.get("AMENT_PREFIX_PATH", sys.prefix))),
    )
    package, share = told.splitlines()[-2:]
    assert Path(package) == prefix / PURELIB / PACKAGE / "__init__.py"
    assert Path(share) == prefix / "share" / PACKAGE
    assert {path.name for path in (prefix / "lib" / PACKAGE).iterdir() if os.access(path, os.X_OK)} == {
        path.name for path in (ROOT / "scripts").iterdir()
    }


@pytest.fixture(scope="module")
def colcon(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """colcon in an environment of its own; skips where there is no package index."""
    found = shutil.which("colcon")
    if found is not None:
        return Path(found)
    folder = tmp_path_factory.mktemp("colcon")
    run([sys.executable, "-m", "venv", folder], folder)
    pip = [folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", "-c", ROOT / "constraints.txt"]
    try:
        run([*pip, "colcon-common-extensions"], folder)
    except AssertionError as error:
        pytest.skip(f"colcon cannot be installed: {error}")
    return folder / "bin" / "colcon"


def test_colcon_builds_the_same_sources(sources: Path, colcon: Path, tmp_path: Path) -> None:
    """Against the wheels of ROS 2, as on a sourced one; `ament_cmake_pytest`, which tests need there, is left out."""
    pytest.importorskip("rclpy")
    workspace = sources.parents[1]
    given = ["-DBUILD_TESTING=OFF", f"-DPython3_EXECUTABLE={sys.executable}", f"-DCMAKE_PREFIX_PATH={sys.prefix}"]
    run(
        [colcon, "build", "--event-handlers", "console_direct-", "--cmake-args", "-Wno-dev", *given],
        workspace,
        AMENT_PREFIX_PATH=os.environ.get("AMENT_PREFIX_PATH", sys.prefix),
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    )
    prefix = workspace / "install" / PACKAGE
    installed = {str(path.relative_to(prefix)) for path in prefix.rglob("*") if path.is_file()}
    assert wanted_files() - installed == set()
    assert_works(prefix, tmp_path)
