"""The package tells the same story in every file that packaging tools read."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
import yaml

import vls_steering
from vls_steering import cli
from vls_steering.core.errors import ExitCode
from vls_steering.core.extras import EXTRA_OF, explained

ROOT = Path(__file__).resolve().parents[1]
tomllib = pytest.importorskip("tomllib")  # Python 3.11
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MANIFEST = ElementTree.parse(ROOT / "package.xml").getroot()
EXTRAS = {"gpu", "vlm", "openai", "realsense", "libfranka", "sim", "bench", "ray", "dev"}


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {normalised(name): version for name, version in pairs}


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement_name(requirement: str) -> str:
    return normalised(re.split(r"[\[<>=!~; ]", requirement)[0])


def tracked() -> list[str]:
    """Files of the repository; skips the test where there is none, as in the image."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    return subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()


def test_one_version_everywhere() -> None:
    assert {PROJECT["version"], MANIFEST.findtext("version")} == {vls_steering.__version__}


def test_the_licence_is_apache_2_and_complete() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert MANIFEST.findtext("license") == PROJECT["license"] == "Apache-2.0"


def test_the_extras_of_the_design_exist() -> None:
    assert set(PROJECT["optional-dependencies"]) >= EXTRAS


def test_everything_that_setup_installs_is_pinned_exactly() -> None:
    installed = ["ros", "sim", "bench", "openai", "vlm", "dev"]
    wanted = [*PROJECT["dependencies"], *(r for extra in installed for r in PROJECT["optional-dependencies"][extra])]
    for file in ("ros-build.txt", "colcon.txt"):
        lines = (ROOT / "requirements" / file).read_text().splitlines()
        wanted += [line for line in lines if line and not line.startswith("#")]
    assert [name for name in map(requirement_name, wanted) if name not in pins()] == []


def test_torch_is_pinned_without_a_local_version() -> None:
    assert pins()["torch"] == "2.13.0"


def test_every_message_is_declared_with_a_comment_per_field() -> None:
    bare = []
    for file in [*(ROOT / "msg").glob("*.msg"), *(ROOT / "action").glob("*.action")]:
        for number, line in enumerate(file.read_text().splitlines(), 1):
            is_field = re.match(r"[a-z_]+(/[A-Z]\w+)?(\[\d*\])? [a-z]\w*|[A-Z]\w+\[\] [a-z]", line) is not None
            if is_field and "#" not in line:
                bare.append(f"{file.name}:{number}: {line}")
    assert bare == []


def test_every_node_has_an_executable_that_calls_its_main() -> None:
    from vls_steering.nodes.node_set import NODES

    for entry in NODES:
        script = ROOT / "scripts" / entry.executable
        assert os.access(script, os.X_OK), f"{script.name} is not executable"
        assert f"from {entry.module} import main" in script.read_text()
    assert {path.name for path in (ROOT / "scripts").iterdir()} == {entry.executable for entry in NODES}


def test_generated_code_is_not_in_the_repository() -> None:
    generated = re.compile(r"vls_steering/(msg|srv|action)/|\.so$|\.pyc$|^(build|install|log)/|egg-info")
    assert [name for name in tracked() if generated.search(name)] == []


def test_the_console_script_is_vls() -> None:
    assert PROJECT["scripts"] == {"vls": "vls_steering.cli:main"}
    assert importlib.metadata.version("vls_steering") == PROJECT["version"]


# Importable name -> distribution, where they differ by more than a dash.
DISTRIBUTIONS = {"franka": "franka-rs"}


@pytest.mark.parametrize("module", EXTRA_OF)
def test_a_missing_module_is_told_with_an_extra_that_brings_it(module: str) -> None:
    wanted = DISTRIBUTIONS.get(module, module).replace("_", "-")
    brought = [re.split(r"[\[>=<]", entry)[0] for entry in PROJECT["optional-dependencies"][EXTRA_OF[module]]]
    assert wanted in brought
    assert f"vls_steering[{EXTRA_OF[module]}]" in str(explained(ModuleNotFoundError(name=f"{module}.inner")))


def test_a_module_of_our_own_that_is_missing_is_a_defect_and_keeps_its_traceback() -> None:
    assert explained(ModuleNotFoundError(name="vls_steering.nodes.demmo")) is None


@pytest.mark.parametrize("wheel", ["franka-sim", "franky-sim"])
def test_the_wheels_that_no_extra_brings_are_advised_in_the_version_that_setup_installs(wheel: str) -> None:
    pinned = re.search(rf"^{wheel}==(\S+)$", (ROOT / "requirements" / "assets.txt").read_text(), re.M)
    assert pinned is not None
    sources = "".join(path.read_text() for path in (ROOT / "vls_steering").rglob("*.py"))
    assert set(re.findall(rf"--no-deps {wheel}==([\w.]+)", sources)) == {pinned[1]}


def test_the_command_line_names_every_exit_code() -> None:
    assert [int(code) for code in re.findall(r"\b(\d+) \w", cli.app.info.epilog)] == list(ExitCode)


def test_configuration_files_are_well_formed() -> None:
    json.loads((ROOT / "config" / "vls.perspective").read_text())
    assert yaml.safe_load((ROOT / "config" / "vls.rviz").read_text())["Visualization Manager"]["Displays"]
    ElementTree.parse(ROOT / "config" / "fastdds.xml")
    yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())


def test_the_large_message_profile_has_room_for_pictures() -> None:
    text = (ROOT / "config" / "fastdds.xml").read_text()
    size = int(re.search(r"<segment_size>(\d+)</segment_size>", text)[1])  # type: ignore[index]
    assert size == 16 * 1024 * 1024


@pytest.mark.parametrize("path", ["docker/Dockerfile", "docker/compose.yaml"])
def test_what_was_not_built_says_so_in_its_first_line(path: str) -> None:
    assert "Not built here" in (ROOT / path).read_text().splitlines()[0]


def test_the_image_holds_all_that_its_tests_read() -> None:
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text()
    copies = re.findall(r"^COPY --chown=\S+ (.*) \S+$", dockerfile, re.MULTILINE)
    copied = {source for line in copies for source in line.split()}
    for_git_and_ci = {".ci", ".dockerignore", ".gitignore", ".pre-commit-config.yaml", "runs"}
    assert {name.partition("/")[0] for name in tracked()} - copied == for_git_and_ci


def test_the_folder_that_the_container_writes_to_is_there_before_docker_makes_it() -> None:
    mounts = yaml.safe_load((ROOT / "docker" / "compose.yaml").read_text())["services"]["demo"]["volumes"]
    folder, _, inside = mounts[0].partition(":")
    assert (ROOT / "docker" / folder).resolve() == ROOT / "runs"
    assert (ROOT / "runs" / ".gitignore").is_file() or not (ROOT / ".git").exists()
    assert inside.removeprefix("/home/vls/vls_steering/") == "runs"


def test_make_alone_lists_the_targets() -> None:
    shown = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("setup", "demo", "test", "lint", "bench", "docs", "clean"):
        assert f"make {target}" in shown


@pytest.mark.ros
def test_the_messages_are_found_from_any_folder(tmp_path: Path) -> None:
    pytest.importorskip("rclpy")
    program = "from vls_steering.msg import ActionChunk; import vls_steering.action; print(ActionChunk.SOURCE_HOLD)"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "2", done.stderr


def test_tool_configuration_has_no_second_home() -> None:
    stray = [name for name in ("setup.cfg", "tox.ini", "mypy.ini", "ruff.toml", "pytest.ini") if (ROOT / name).exists()]
    assert stray == []
