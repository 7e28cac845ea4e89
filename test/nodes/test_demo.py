"""`vls demo` by its exit codes: bad arguments, refusals, Ctrl-C, a camera that dies."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import pytest

pytest.importorskip("rclpy")

from bench.report_contract import assert_kept
from mcap.reader import make_reader
from policies.untrained import untrained_policy
from typer.testing import CliRunner

from vls_steering import cli
from vls_steering.bench.contrast import Prologue
from vls_steering.core.config import load_yaml
from vls_steering.core.errors import ExitCode
from vls_steering.nodes import demo
from vls_steering.nodes.demo import DemoOptions, run_demo
from vls_steering.nodes.demo_options import write_parameters
from vls_steering.nodes.sim_layout import layout_of
from vls_steering.sim.scenes import draw_layout

pytestmark = pytest.mark.ros
EARLIER = {"share_steered": 0.75, "success": True, "exit_code": 0}


def read_report(options: DemoOptions) -> dict:
    """What the run left, which keeps the contract."""
    report = json.loads((options.out / "report.json").read_text())
    assert_kept(report)
    return report


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy that moves the arm without sense: nothing here depends on what it knows."""
    return untrained_policy(tmp_path_factory.mktemp("policy") / "untrained.safetensors")


@pytest.fixture
def options(weights: Path, tmp_path: Path) -> DemoOptions:
    return DemoOptions("pick up the red cube", scene="play", seed=3, policy=weights, out=tmp_path / "run")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"scene": "kitchen"}, "there is no scene 'kitchen'. Choose one of: "),
        ({"seed": -1}, "--seed -1 is negative"),
        ({"instruction": " "}, "the instruction is empty"),
        ({"vlm": "oracle"}, "there is no --vlm 'oracle'. Choose one of: offline"),
        ({"vlm": "replay"}, "Name one with --replay"),
        ({"robot": "ur5"}, "there is no --robot 'ur5'. Choose one of: sim"),
        ({"pace": 0.5}, "--pace is for --robot libfranka"),
        ({"robot": "libfranka", "pace": 0.0}, "no share of real time"),
        ({"robot": "libfranka", "pace": 2.0}, "1 is real time"),
        ({"policy": Path("nowhere.safetensors")}, "there is no policy"),
        ({"out": Path("/proc/run")}, "cannot write to /proc/run"),
    ],
)
def test_bad_arguments_are_told_with_their_cure(
    change: dict, said: str, options: DemoOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_demo(replace(options, **change)) is ExitCode.BAD_ARGUMENTS
    error = capsys.readouterr().err
    assert error.startswith("vls: ")
    assert said in error


@pytest.mark.parametrize("instruction", ["xyzzy", "pick up the orange ball", "keep 5 cm from the white plate"])
def test_what_is_not_understood_or_not_there_is_refused_before_anything_starts(
    instruction: str, options: DemoOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_demo(replace(options, instruction=instruction)) is ExitCode.REFUSED
    assert capsys.readouterr().err.startswith("vls: ")
    assert not (options.out / "logs").exists()
    report = read_report(options)
    assert (report["error_code"], report["exit_code"]) == ("REFUSED", 3)
    assert (report["instruction"], report["scene"], report["seed"]) == (instruction, "play", 3)
    assert report["error_msg"] in (options.out / "report.html").read_text().replace("&#x27;", "'")


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def break_down(*_: object) -> None:
    raise ValueError("a defect\nof two lines")


def test_an_interruption_before_the_nodes_start_is_reported(
    options: DemoOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Prologue, "draw", interrupt)
    assert run_demo(options) is ExitCode.INTERRUPTED
    assert read_report(options)["error_code"] == "INTERRUPTED"


def test_what_nobody_foresaw_is_one_line_with_its_traceback_in_the_folder(
    options: DemoOptions, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "open_policy", break_down)
    assert run_demo(options) is ExitCode.INTERNAL_ERROR
    log = options.out / "error.log"
    cure = f"This is unforeseen: please report it with {log}."
    assert capsys.readouterr().err == f"vls: ValueError: a defect of two lines. {cure}\n"
    assert "in break_down" in log.read_text()
    assert read_report(options)["error_code"] == "INTERNAL_ERROR"


@pytest.mark.parametrize(
    ("module", "cure"),
    [
        ("imageio_ffmpeg", "pip install 'vls_steering[sim]'"),
        ("geometry_msgs.msg", "pip install 'vls_steering[ros]'"),
        ("vls_steering.msg", "make setup"),
    ],
)
def test_a_missing_library_is_told_with_the_command_that_installs_it(
    module: str, cure: str, options: DemoOptions, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lack(*_: object) -> None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(demo, "open_policy", lack)
    assert run_demo(options) is ExitCode.BAD_ARGUMENTS
    assert cure in capsys.readouterr().err
    assert not (options.out / "error.log").exists()


def test_what_was_measured_stays_when_the_end_goes_wrong_but_is_no_success(
    options: DemoOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure_then_break(options: DemoOptions, folder: Path, _display: object) -> None:
        (folder / "report.json").write_text(json.dumps({**EARLIER, "collisions": 0, "success": True}))
        break_down()

    monkeypatch.setattr(demo, "_run", measure_then_break)
    run_demo(options)
    report = json.loads((options.out / "report.json").read_text())
    assert (report["share_steered"], report["success"], report["exit_code"]) == (0.75, False, 1)


def test_an_earlier_report_in_the_same_folder_is_not_taken_for_this_run(
    options: DemoOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    options.out.mkdir()
    (options.out / "report.json").write_text(json.dumps(EARLIER))
    monkeypatch.setattr(demo, "open_policy", interrupt)
    run_demo(options)
    assert read_report(options)["share_steered"] == 0.0


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"robot": "libfranka", "scene": "obstacle", "seed": 0},
        {"vlm": "openai", "model": "small", "base_url": "http://here/v1"},
        {"vlm": "replay", "replay": "my answers.json", "instruction": 'say "please", don\'t'},
    ],
)
def test_the_command_line_asks_for_the_same_again(
    change: dict, options: DemoOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[DemoOptions] = []
    monkeypatch.setattr(demo, "run_demo", lambda again: asked.append(again) or 0)
    wanted = replace(options, out=None, **change)
    program, *arguments = shlex.split(wanted.command)
    assert program == "vls"
    assert CliRunner().invoke(cli.app, arguments).exit_code == 0
    assert asked == [wanted]


def test_the_nodes_get_the_options_on_top_of_the_parameter_file(options: DemoOptions, tmp_path: Path) -> None:
    layout = draw_layout("play", 3)
    deployment = write_parameters(replace(options, vlm="openai", model="small"), layout, 0.5, tmp_path)
    written = load_yaml(Path(deployment.params_file))
    bridge = written["/**/sim_bridge"]["ros__parameters"]
    assert layout_of(bridge["layout"]) == layout
    assert (bridge["real_time_factor"], deployment.seed, deployment.vlm) == (0.5, 3, "openai")
    assert written["/**/vlm"]["ros__parameters"]["openai"]["model"] == "small"
    assert written["/**/policy"]["ros__parameters"]["policy"] == str(options.policy)


def test_the_protocol_arm_keeps_the_pace_that_was_asked_for(options: DemoOptions, tmp_path: Path) -> None:
    layout = draw_layout("play", 3)
    for pace, factor in ((None, 0.2), (1.0, 1.0), (0.3, 0.3)):
        asked = replace(options, robot="libfranka", pace=pace)
        written = load_yaml(Path(write_parameters(asked, layout, 0.5, tmp_path).params_file))
        assert written["/**/protocol_arm"]["ros__parameters"]["real_time_factor"] == factor
    assert "--robot libfranka --pace 0.3" in asked.command


@pytest.mark.slow
@pytest.mark.long
def test_the_rehearsal_on_the_protocol_arm_ends_well_and_measures_the_age_of_its_pictures(tmp_path: Path) -> None:
    """As `make demo ROBOT=libfranka` does, with the shipped policy; slowed down, because a busy host stops no arm."""
    pytest.importorskip("franka_sim")
    asked = DemoOptions(
        "pick up the red cube", scene="play", seed=3, robot="libfranka", pace=0.25, out=tmp_path / "run"
    )
    command = [sys.executable, "-m", "vls_steering.cli", *shlex.split(asked.command)[1:], "--out", str(asked.out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == ExitCode.SUCCESS, f"{done.stdout}\n{done.stderr}"
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["success"] is True
    assert 0.0 < report["camera_to_set_point_ms"]["p95"] < 600.0
    assert report["real_time_factor"] == pytest.approx(0.25, abs=0.1)


class Running:
    """`vls demo` as a process, in motion."""

    def __init__(self, options: DemoOptions, environment: dict[str, str]) -> None:
        command = [sys.executable, "-m", "vls_steering.cli", *options.command.split(" --instruction ")[0].split()[1:]]
        self.process = subprocess.Popen(
            [*command, "--instruction", options.instruction, "--out", str(options.out)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **environment, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
        )
        self.folder = options.out
        self.output = ""

    def until_it_moves(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if "executor tracking" in line:
                return
        pytest.fail(f"it never moved:\n{self.output}")

    def finish(self) -> int:
        self.output += self.process.communicate(timeout=240)[0]
        return self.process.returncode

    def children(self) -> dict[str, int]:
        """Node processes of this run, by name."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                words = entry.read_bytes().decode().split("\0")
            except OSError:
                continue
            if str(self.folder / "params.yaml") in words:
                found[words[words.index("-m") + 1].rsplit(".", 1)[1]] = int(entry.parent.name)
        return found

    def last_speed(self) -> float:
        """rad/s of the fastest joint in the last set-point of the log."""
        decoder = pytest.importorskip("mcap_ros2.decoder").DecoderFactory()
        with (self.folder / "log.mcap").open("rb") as stream:
            reader = make_reader(stream, decoder_factories=[decoder])
            *_, last = reader.iter_decoded_messages(topics=["/executor/set_point"])
        return max(abs(velocity) for velocity in last[3].joint_velocities)


@pytest.fixture
def running(options: DemoOptions, ros_environment: dict[str, str]) -> Iterator[Running]:
    one = Running(options, ros_environment)
    one.until_it_moves()
    yield one
    if one.process.poll() is None:
        one.process.kill()
    deadline_s = time.monotonic() + 20
    while one.children() and time.monotonic() < deadline_s:
        time.sleep(0.1)
    assert one.children() == {}  # nothing outlives the demo, whatever happened to it


@pytest.mark.slow
def test_ctrl_c_leaves_the_arm_holding_and_no_process(running: Running) -> None:
    assert len(running.children()) == 7
    running.process.send_signal(signal.SIGINT)
    assert running.finish() == ExitCode.INTERRUPTED, running.output
    assert "interrupted; the arm holds" in running.output
    assert running.children() == {}
    assert running.last_speed() < 0.005
    report = json.loads((running.folder / "report.json").read_text())
    assert_kept(report)
    assert (report["exit_code"], report["error_code"]) == (130, "INTERRUPTED")


@pytest.mark.slow
@pytest.mark.long
def test_a_camera_that_freezes_stops_the_arm(running: Running) -> None:
    """The process lives, but sends nothing."""
    os.kill(running.children()["camera"], signal.SIGSTOP)
    assert running.finish() == ExitCode.SAFETY_STOP, running.output
    assert running.children() == {}
    report = json.loads((running.folder / "report.json").read_text())
    assert_kept(report)
    assert report["error_code"] == "SAFETY_STOP"
    assert "camera" in report["message"] or "keypoints" in report["message"]
    assert "the arm holds" in report["message"]
    assert running.last_speed() < 0.005


@pytest.mark.slow
def test_the_demo_that_ships_ends_in_success(tmp_path: Path, ros_environment: dict[str, str]) -> None:
    """Cameras, perception, grammar, the policy that comes along, governor: whatever breaks in between breaks this."""
    wanted = DemoOptions("pick up the red cube", scene="play", seed=3, out=tmp_path / "run")
    command = [sys.executable, "-m", "vls_steering.cli", *shlex.split(wanted.command)[1:], "--out", str(wanted.out)]
    environment = {**os.environ, **ros_environment}
    del environment["ROS_LOG_DIR"]  # where nodes log is the demo's to say
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    assert done.returncode == ExitCode.SUCCESS, f"{done.stdout}\n{done.stderr}"
    report = read_report(wanted)
    assert (report["success"], report["judged_by"], report["goal"]) == (True, "simulator", "lift red cube")
    assert (report["scene"], report["seed"], report["written_by"]) == ("play", 3, "offline grammar")
    # A grasp that slips is tried again: a stage may begin more than once, and counts as it went the last time.
    last = {stage["index"]: stage["finished"] for stage in report["stages"]}
    assert last == dict.fromkeys(range(len(last)), True), report["stages"]
    assert last
    assert report["governor"]["passed"] + report["governor"]["scaled"] > 0
    assert report["tick_ms"]["p50"] > 0
    assert len(report["program_sha256"]) == 64
    assert "The simulator confirms" in (wanted.out / "report.html").read_text()
    with (wanted.out / "log.mcap").open("rb") as stream:
        topics = {channel.topic for channel in make_reader(stream).get_summary().channels.values()}
    assert {"/executor/set_point", "/reward_program", "/keypoints", "/action_chunk"} <= topics
    film = cv2.VideoCapture(str(wanted.out / "video.mp4"))
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) > 100
    for node in ("policy", "executor", "manager"):
        parameters = wanted.out / "logs" / "ros" / f"{node}.yaml"
        assert load_yaml(parameters)[f"/{node}"]["ros__parameters"]
