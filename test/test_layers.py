"""The house's rules that a reader could only hope for: arrows, ROS in one room, short files, no executed text."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "vls_steering"
SOURCE = Path(__file__).resolve().parents[1] / PACKAGE
GENERATED = {"msg", "srv", "action"}
LONGEST_FILE = 450

DOCUMENTED = (SOURCE.parent / "docs" / "architecture.md").read_text(encoding="utf-8")

# A room may import the rooms named here, itself and nothing else of the package.  Each arrow is one that is used: a
# new one is added here and in docs/architecture.md, on purpose.
MAY_IMPORT: dict[str, set[str]] = {
    "core": set(),
    "policies": {"core"},
    "rewards": {"core"},
    "perception": {"core"},
    "safety": {"core"},
    "vlm": {"core", "rewards"},
    "steering": {"core", "policies", "rewards"},
    "robots": {"core", "safety"},
    "sim": {"core", "policies", "robots"},
}
MAY_IMPORT["bench"] = set(MAY_IMPORT)
MAY_IMPORT["nodes"] = set(MAY_IMPORT) | GENERATED
ROS = {
    "rclpy", "launch", "launch_ros", "ament_index_python", "tf2_ros", "tf2_msgs", "rcl_interfaces",
    "builtin_interfaces", "std_msgs", "geometry_msgs", "sensor_msgs", "diagnostic_msgs", "visualization_msgs",
    "lifecycle_msgs", "std_srvs", "rosgraph_msgs", "trajectory_msgs", "control_msgs",
    "controller_manager_msgs", "franka_msgs",
}  # fmt: skip


def modules() -> list[Path]:
    return [path for path in sorted(SOURCE.rglob("*.py")) if path.relative_to(SOURCE).parts[0] not in GENERATED]


def name_of(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def room_of(path: Path) -> str:
    """The folder of the package, or "" for a file at its top (the command line)."""
    parts = path.relative_to(SOURCE).parts
    return parts[0] if len(parts) > 1 else ""


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of every import, also of those inside functions; `from a import b` gives a.b."""
    here = [PACKAGE, *path.relative_to(SOURCE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: len(here) - node.level + 1]) if node.level else ""
            origin = ".".join(part for part in (base, node.module) if part)
            yield from ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)


def arrows(path: Path) -> Iterator[tuple[int, str]]:
    """Line and target of every import of another room, or of a file at the package's top."""
    for line, name in imports(path):
        parts = name.split(".")
        if parts[0] != PACKAGE or len(parts) < 2:
            continue
        target = parts[1]
        # Names of the package itself (__version__) are neither rooms nor files.
        is_ours = target in MAY_IMPORT or target in GENERATED or (SOURCE / f"{target}.py").exists()
        if is_ours and target != room_of(path):
            yield line, target


def upward_arrows(path: Path) -> list[str]:
    room = room_of(path)
    if room not in MAY_IMPORT:
        return []
    return [
        f"{name_of(path)}:{line}: {room} must not import {target}"
        for line, target in arrows(path)
        if target not in MAY_IMPORT[room]
    ]


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_arrows_point_towards_core(path: Path) -> None:
    assert upward_arrows(path) == []


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_no_arrow_is_allowed_that_nobody_uses(room: str) -> None:
    used = {target for path in modules() if room_of(path) == room for _, target in arrows(path)}
    assert MAY_IMPORT[room] - GENERATED - used == set()


def test_the_room_table_of_the_manual_says_the_same() -> None:
    rows = re.findall(r"^\| `(\w+)/` \|.*\| ([^|]+) \|$", DOCUMENTED, re.MULTILINE)
    above: set[str] = set()
    for room, allowed in rows:
        words = set(allowed.replace("everything above", ", ".join(above)).split(", ")) - {"nothing of ours", "rclpy"}
        assert words == MAY_IMPORT[room] - GENERATED, room
        assert words <= above, f"{room} imports a room that stands below it in the table"
        above.add(room)
    assert above == set(MAY_IMPORT)


def test_every_room_is_known() -> None:
    rooms = {folder.name for folder in SOURCE.iterdir() if (folder / "__init__.py").is_file()} - GENERATED
    assert rooms == set(MAY_IMPORT)


@pytest.mark.parametrize("path", [p for p in modules() if room_of(p) != "nodes"], ids=name_of)
def test_ros_is_imported_in_nodes_alone(path: Path) -> None:
    assert [f"{line}: {name}" for line, name in imports(path) if name.split(".")[0] in ROS] == []


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_files_stay_readable(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


def executions(path: Path) -> list[str]:
    """Calls that run text or unpickle data."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        unpickles = name in {"pickle.load", "pickle.loads", "torch.load", "marshal.loads", "dill.loads", "joblib.load"}
        if name in {"exec", "eval", "compile", "__import__"} or unpickles:
            found.append(f"{name_of(path)}:{node.lineno}: {name}")
    return found


@pytest.mark.parametrize("path", [p for p in modules() if room_of(p) in {"rewards", "vlm"}], ids=name_of)
def test_text_that_a_model_wrote_is_never_executed(path: Path) -> None:
    assert executions(path) == []


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty package, in which a rule can be broken on purpose."""
    for room in MAY_IMPORT:
        (tmp_path / room).mkdir()
    monkeypatch.setitem(globals(), "SOURCE", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "line",
    [
        "from vls_steering.nodes.base import RoomNode",
        "import vls_steering.nodes.base",
        "from vls_steering import nodes",
        "from ..nodes import base",
        "def f():\n    from vls_steering.nodes import base",
    ],
)
def test_the_test_itself_sees_an_arrow_that_points_up(elsewhere: Path, line: str) -> None:
    offender = elsewhere / "core" / "offender.py"
    offender.write_text(line)
    assert len(upward_arrows(offender)) == 1


@pytest.mark.parametrize("line", ["eval(text)", "exec(text)", "pickle.loads(data)", "torch.load(path)"])
def test_the_test_itself_sees_executed_text(elsewhere: Path, line: str) -> None:
    offender = elsewhere / "rewards" / "offender.py"
    offender.write_text(line)
    assert len(executions(offender)) == 1
