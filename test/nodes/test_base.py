"""The lifecycle node: hooks in order, parameters that are what they say, no silent death."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

rclpy = pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from nodes.probe import LAST_WORDS, POKE, PROBE, ProbeBody
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy
from rosgraph_msgs.msg import Clock
from std_msgs.msg import String
from std_srvs.srv import Trigger

from vls_steering.core.errors import ConfigurationError, VlsError
from vls_steering.nodes import effective, topics
from vls_steering.nodes.base import Phase, RoomNode
from vls_steering.nodes.conversions import time_message
from vls_steering.nodes.parameters import as_parameters

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros")]


class Bench:
    """A probe node and a plain node that listens to it, spun together."""

    def __init__(self, **parameters: Any) -> None:
        overrides = [Parameter(name.replace("__", "."), value=value) for name, value in parameters.items()]
        self.node = RoomNode(PROBE, parameter_overrides=overrides)
        self.other = rclpy.create_node("other")
        self.heard: list[str] = []
        self.diagnostics: dict[str, DiagnosticStatus] = {}
        self.other.create_subscription(
            String, LAST_WORDS.name, lambda message: self.heard.append(message.data), LAST_WORDS.quality
        )
        self.other.create_subscription(DiagnosticArray, "/diagnostics", self._diagnosed, 10)
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.executor.add_node(self.other)

    @property
    def body(self) -> ProbeBody:
        assert isinstance(self.node.body, ProbeBody)
        return self.node.body

    def _diagnosed(self, message: DiagnosticArray) -> None:
        self.diagnostics.update({status.name: status for status in message.status})

    def until(self, condition: Callable[[], bool], within_s: float = 30.0) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, "it did not happen"
            self.executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        self.other.destroy_node()


@pytest.fixture
def bench() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(**parameters: Any) -> Bench:
        made.append(Bench(**parameters))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_the_four_hooks_follow_the_lifecycle(bench: Callable[..., Bench]) -> None:
    node = bench().node
    node.trigger_configure()
    body = node.body
    assert node.phase is Phase.INACTIVE
    node.trigger_activate()
    assert node.phase is Phase.ACTIVE
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert node.phase is Phase.UNCONFIGURED
    assert node.body is None
    assert body.journal == ["set_up", "start", "stop", "tear_down"]


def test_shutting_down_an_active_node_stops_it_first_and_the_last_word_arrives(bench: Callable[..., Bench]) -> None:
    one = bench()
    one.node.trigger_configure()
    one.until(lambda: one.body.last_words.get_subscription_count() > 0)
    one.node.trigger_activate()
    body = one.body
    one.node.trigger_shutdown()
    assert body.journal == ["set_up", "start", "stop", "tear_down"]
    one.until(lambda: one.heard == ["holding"])


def test_streams_are_open_only_while_active(bench: Callable[..., Bench]) -> None:
    one = bench()

    def count() -> int:
        return one.other.count_subscribers(POKE.name)

    one.node.trigger_configure()
    assert count() == 0
    one.node.trigger_activate()
    one.until(lambda: count() == 1)
    one.node.trigger_deactivate()
    one.until(lambda: count() == 0)
    one.node.trigger_activate()
    one.until(lambda: count() == 1)


def test_an_exception_in_a_callback_takes_the_safe_way_down(bench: Callable[..., Bench]) -> None:
    one = bench()
    one.node.trigger_configure()
    one.node.trigger_activate()
    body = one.body
    poke = one.other.create_publisher(String, POKE.name, POKE.quality)
    poke.publish(String(data="raise"))
    one.until(lambda: one.node.phase is Phase.UNCONFIGURED)
    assert body.journal == ["set_up", "start", "stop", "tear_down"]
    assert one.node.failure == "ZeroDivisionError: poked too hard"
    one.until(lambda: one.diagnostics.get("probe: lifecycle", DiagnosticStatus()).level == DiagnosticStatus.ERROR)
    assert "poked too hard" in one.diagnostics["probe: lifecycle"].message


def test_bad_input_is_refused_and_told_and_the_next_message_is_heard(bench: Callable[..., Bench]) -> None:
    one = bench()
    one.node.trigger_configure()
    one.node.trigger_activate()
    poke = one.other.create_publisher(String, POKE.name, POKE.quality)
    poke.publish(String(data="bad input"))
    one.until(lambda: one.node.facts == {"last refused of poke": "no poke at all"})
    poke.publish(String(data="again"))
    one.until(lambda: "poked" in one.body.journal)
    assert (one.node.phase, one.node.failure) == (Phase.ACTIVE, "")


def test_a_failed_node_can_be_brought_up_again(bench: Callable[..., Bench]) -> None:
    one = bench()
    one.node.trigger_configure()
    one.node.trigger_activate()
    one.node.fail(RuntimeError("from the room"))
    one.until(lambda: one.node.phase is Phase.UNCONFIGURED)
    one.node.trigger_configure()
    one.node.trigger_activate()
    assert (one.node.phase, one.node.failure) == (Phase.ACTIVE, "")


def test_a_failure_on_another_thread_is_handled_on_the_nodes_own(bench: Callable[..., Bench]) -> None:
    one = bench()
    one.node.trigger_configure()
    one.node.trigger_activate()
    worker = threading.Thread(target=one.node.fail, args=(RuntimeError("control loop died"),))
    worker.start()
    worker.join()
    assert one.node.phase is Phase.ACTIVE  # nothing has run on the node's thread yet
    one.until(lambda: one.node.phase is Phase.UNCONFIGURED)
    assert one.node.failure == "RuntimeError: control loop died"


@pytest.mark.parametrize(
    ("hook", "ends_in", "ran"),
    [
        ("set_up", Phase.UNCONFIGURED, None),
        ("start", Phase.INACTIVE, ["set_up", "start", "stop"]),
        ("stop", Phase.UNCONFIGURED, ["set_up", "start", "stop", "tear_down"]),
    ],
)
def test_a_hook_that_raises_leaves_a_safe_state(bench, hook: str, ends_in: Phase, ran: list[str] | None) -> None:
    one = bench(trouble=hook)
    one.node.trigger_configure()
    body = one.node.body
    if body is not None:
        one.node.trigger_activate()
        one.node.trigger_deactivate()
    assert one.node.phase is ends_in
    assert f"trouble in {hook}" in one.node.failure
    assert (body.journal if body else None) == ran
    assert one.other.count_subscribers(POKE.name) == 0


def test_parameters_carry_description_range_and_are_read_only(bench: Callable[..., Bench]) -> None:
    node = bench(rate_hz=50).node
    assert node.get_parameter("rate_hz").value == 50.0  # a whole number in YAML is fine for a real parameter
    rate = node.describe_parameter("rate_hz")
    assert rate.description == "how often it looks"
    assert (rate.floating_point_range[0].from_value, rate.floating_point_range[0].to_value) == (1.0, 100.0)
    assert node.describe_parameter("count").integer_range[0].from_value == 0
    assert node.describe_parameter("mode").additional_constraints == "one of: quiet, loud"
    assert node.get_parameter("gains.stiffness").value == 10.0
    assert not node.set_parameters([Parameter("rate_hz", value=60.0)])[0].successful


def test_nested_parameters_reach_the_settings(bench: Callable[..., Bench]) -> None:
    assert bench(gains__stiffness=55.0).node.settings.gains.stiffness == 55.0


def test_an_unknown_parameter_is_an_error_that_names_the_nearest(ros: None) -> None:
    with pytest.raises(ConfigurationError, match=r"'rate_herz' \(did you mean 'rate_hz'\?\)"):
        RoomNode(PROBE, parameter_overrides=[Parameter("rate_herz", value=10.0)])


@pytest.mark.parametrize(("name", "value"), [("rate_hz", 1000.0), ("mode", "shy"), ("count", -1), ("count", "three")])
def test_an_unacceptable_value_is_an_error_that_names_the_parameter(ros: None, name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        RoomNode(PROBE, parameter_overrides=[Parameter(name, value=value)])


def test_built_in_parameters_are_not_mistaken_for_unknown(bench: Callable[..., Bench]) -> None:
    assert bench(use_sim_time=True).node.get_parameter("use_sim_time").value is True


def test_settings_become_parameters_and_back(bench: Callable[..., Bench]) -> None:
    settings = bench(rate_hz=33.0, mode="loud").node.settings
    node = RoomNode(PROBE, parameter_overrides=as_parameters(settings))
    assert node.settings == settings
    node.destroy_node()


def test_what_a_node_runs_with_is_told_and_starts_the_same_node_again(
    ros: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(effective, "get_logging_directory", lambda: tmp_path / "logs")
    given = [Parameter("rate_hz", value=33.0), Parameter("gains.stiffness", value=55.0)]
    first = RoomNode(PROBE, parameter_overrides=given, namespace="cell")
    assert effective.differing(first.settings) == {"rate_hz": 33.0, "gains.stiffness": 55.0}
    written = str(tmp_path / "logs" / "cell.probe.yaml")
    again = RoomNode(PROBE, namespace="cell", cli_args=["--ros-args", "--params-file", written])
    assert again.settings == first.settings
    first.destroy_node()
    again.destroy_node()


def test_a_log_folder_that_cannot_be_written_stops_no_node(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(effective, "get_logging_directory", lambda: Path("/proc/logs"))
    assert bench().node.phase is Phase.UNCONFIGURED


def test_a_silent_stream_shows_in_the_diagnostics(bench: Callable[..., Bench]) -> None:
    one = bench()
    one.node.trigger_configure()
    one.node.trigger_activate()
    one.until(lambda: "probe: poke" in one.diagnostics)
    assert one.diagnostics["probe: poke"].level == DiagnosticStatus.STALE
    assert {value.key for value in one.diagnostics["probe: poke"].values} >= {"rate_hz", "age_s"}


def test_a_complaint_makes_the_nodes_own_line_a_warning_until_it_is_settled(bench: Callable[..., Bench]) -> None:
    one = bench()
    one.node.trigger_configure()
    one.node.trigger_activate()

    def told(level: bytes, message: str) -> bool:
        one.node.publish_diagnostics()
        line = one.diagnostics.get("probe: lifecycle", DiagnosticStatus())
        return (line.level, line.message) == (level, message)

    one.node.complaints["alert"] = "not understood"
    one.until(lambda: told(DiagnosticStatus.WARN, "active; not understood"))
    one.node.complaints["alert"] = ""
    one.until(lambda: told(DiagnosticStatus.OK, "active"))


def test_a_line_that_cannot_be_made_fails_the_node_and_does_not_kill_it(bench: Callable[..., Bench]) -> None:
    one = bench()
    one.node.trigger_configure()
    one.node.trigger_activate()
    one.node.report_by(lambda: 1 // 0)
    one.node.publish_diagnostics()
    one.until(lambda: one.node.phase is Phase.UNCONFIGURED)
    assert one.node.failure.startswith("ZeroDivisionError")


def test_rates_and_ages_are_of_the_nodes_own_clock(bench: Callable[..., Bench]) -> None:
    """A simulation at a fifth of real time: 10 Hz in its time are 2 Hz on the wall's, and all is well."""
    one = bench(use_sim_time=True)
    clock = one.other.create_publisher(topics.CLOCK.type, topics.CLOCK.name, topics.CLOCK.quality)
    poke = one.other.create_publisher(String, POKE.name, POKE.quality)
    one.node.trigger_configure()
    one.node.trigger_activate()
    one.until(lambda: poke.get_subscription_count() > 0 and clock.get_subscription_count() > 0)
    for i in range(6):
        now_s = 100.0 + 0.1 * i
        clock.publish(Clock(clock=time_message(now_s)))
        one.until(lambda now_s=now_s: abs(one.node.now_s() - now_s) < 1e-6)
        poke.publish(String(data="hello"))
        one.until(lambda i=i: one.body.journal.count("poked") == i + 1)
        time.sleep(0.3)
    one.diagnostics.clear()
    one.node.publish_diagnostics()
    one.until(lambda: "probe: poke" in one.diagnostics)
    assert one.diagnostics["probe: poke"].level == DiagnosticStatus.OK
    assert one.diagnostics["probe: poke"].message == "10.0 Hz"
    assert one.diagnostics["probe: clock"].level == DiagnosticStatus.OK


def test_a_trigger_service_answers_success_refusal_and_defect(bench: Callable[..., Bench]) -> None:
    one = bench()
    one.node.trigger_configure()
    answers: list[Callable[[], str]] = [lambda: "armed", lambda: _refuse(), lambda: str(1 / 0)]
    one.node.serve_trigger("arm", lambda: answers.pop(0)())
    client = one.other.create_client(Trigger, "arm")
    one.until(client.service_is_ready)

    def call() -> Trigger.Response:
        future = client.call_async(Trigger.Request())
        one.until(future.done)
        return future.result()

    assert (call().success, one.node.failure) == (True, "")
    refused = call()
    assert (refused.success, refused.message) == (False, "the arm moves. Wait until it rests.")
    assert one.node.failure == ""
    assert not call().success
    assert one.node.failure == "ZeroDivisionError: division by zero"


def _refuse() -> str:
    raise VlsError("the arm moves", "Wait until it rests")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_runs_the_safety_action_last_and_exits_cleanly(
    ros_environment: dict[str, str], tmp_path: Path, number: signal.Signals
) -> None:
    journal = tmp_path / "journal"
    listener = rclpy.create_node("listener")
    heard: list[str] = []
    quality = LAST_WORDS.quality
    assert quality.durability is DurabilityPolicy.TRANSIENT_LOCAL
    listener.create_subscription(String, LAST_WORDS.name, lambda message: heard.append(message.data), quality)
    command = [sys.executable, "-m", "nodes.probe", "--ros-args", "-p", f"journal:={journal}"]
    root = Path(__file__).resolve().parents[1]
    process = subprocess.Popen(command, cwd=root, env={**os.environ, **ros_environment}, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 90
        while not (journal.exists() and "start" in journal.read_text() and listener.count_publishers("last_words")):
            assert time.monotonic() < deadline, "the probe did not start"
            rclpy.spin_once(listener, timeout_sec=0.05)
        # The listener knows the publisher; the publisher must know the listener too before its last words.
        known = time.monotonic() + 2.0
        while time.monotonic() < known:
            rclpy.spin_once(listener, timeout_sec=0.05)
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    while not heard and time.monotonic() < deadline:
        rclpy.spin_once(listener, timeout_sec=0.05)
    listener.destroy_node()
    assert process.returncode == 0, errors
    assert [line.split()[0] for line in journal.read_text().splitlines()] == ["set_up", "start", "stop", "tear_down"]
    assert heard == ["holding"]


def test_asking_again_does_not_interrupt_the_safety_action(ros_environment: dict[str, str], tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    parameters = ["-p", f"journal:={journal}", "-p", "stop_takes_s:=1.0"]
    command = [sys.executable, "-m", "nodes.probe", "--ros-args", *parameters]
    root = Path(__file__).resolve().parents[1]
    process = subprocess.Popen(command, cwd=root, env={**os.environ, **ros_environment}, stderr=subprocess.PIPE)

    def await_note(event: str) -> None:
        deadline = time.monotonic() + 90
        while not (journal.exists() and f"{event} " in journal.read_text()):
            assert time.monotonic() < deadline, f"no {event!r}"
            time.sleep(0.02)

    try:
        await_note("start")
        process.send_signal(signal.SIGINT)
        await_note("stopping")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            process.send_signal(number)
            time.sleep(0.1)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    events = [line.split()[0] for line in journal.read_text().splitlines()]
    assert events == ["set_up", "start", "stopping", "stop", "tear_down"]


def test_a_bad_parameter_ends_the_process_with_the_contracts_exit_code(ros_environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "nodes.probe", "--ros-args", "-p", "rate_herz:=10.0"]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, cwd=root, env={**os.environ, **ros_environment}, capture_output=True, timeout=90)
    assert done.returncode == 2
    assert b"did you mean 'rate_hz'?" in done.stderr
