"""The manager with stand-in nodes over real DDS: bring-up, tasks, cancel, loss, shutdown."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

rclpy = pytest.importorskip("rclpy")

from nodes.fakes import FAKES, FakeExecutor
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.task import Future

from vls_steering.action import RunTask
from vls_steering.msg import SafetyStatus
from vls_steering.nodes.base import NodeDefinition, Phase, RoomNode
from vls_steering.nodes.bringup import Goal, State, Transition
from vls_steering.nodes.manager import ManagerBody, ManagerSettings
from vls_steering.nodes.streams import Level
from vls_steering.nodes.task_watch import TaskError
from vls_steering.safety.reasons import ReasonCode

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures("ros")]

NAMES = [fake.name for fake in FAKES]


class House:
    """Stand-in nodes, the manager and an action client on one executor."""

    def __init__(self) -> None:
        self.nodes = {fake.name: RoomNode(fake) for fake in FAKES}
        # Everything here shares one thread: on a loaded host it may be away for seconds without anybody being lost.
        patience = [Parameter("silence_s", value=5.0), Parameter("executor_silence_s", value=5.0)]
        overrides = [Parameter("nodes", value=NAMES), *patience]
        self.manager = RoomNode(NodeDefinition("manager", ManagerSettings, ManagerBody), parameter_overrides=overrides)
        self.person = rclpy.create_node("person")
        self.client: Any = ActionClient(self.person, RunTask, "run_task")
        self.feedback: list[RunTask.Feedback] = []
        self.executor = SingleThreadedExecutor()
        for node in (*self.nodes.values(), self.manager, self.person):
            self.executor.add_node(node)
        self.manager.trigger_configure()
        self.manager.trigger_activate()

    @property
    def safety(self) -> FakeExecutor:
        body = self.nodes["executor"].body
        assert isinstance(body, FakeExecutor)
        return body

    def until(self, condition: Callable[[], Any], within_s: float = 30.0) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < deadline, "it did not happen"
            self.executor.spin_once(timeout_sec=0.05)

    def up(self) -> House:
        self.until(lambda: all(node.phase is Phase.ACTIVE for node in self.nodes.values()))
        body = self.manager.body
        self.until(lambda: body._latest_safety is not None and body._was_up)
        return self

    def send(self, instruction: str, timeout_s: float = 0.0) -> Any:
        self.until(self.client.server_is_ready)
        goal = RunTask.Goal(instruction=instruction, timeout_s=timeout_s)
        sent = self.client.send_goal_async(goal, lambda message: self.feedback.append(message.feedback))
        self.until(sent.done)
        assert sent.result().accepted
        return sent.result()

    def result(self, handle: Any) -> RunTask.Result:
        future = handle.get_result_async()
        self.until(future.done)
        return future.result().result

    def close(self) -> None:
        self.client.destroy()
        self.executor.shutdown()
        for node in (self.manager, self.person, *self.nodes.values()):
            node.destroy_node()


@pytest.fixture
def house(ros: None) -> Iterator[House]:
    made = House()
    yield made
    made.close()


@pytest.mark.parametrize("delivered", [False, True], ids=["the request", "the answer"])
def test_a_transition_of_which_something_was_lost_is_asked_for_again(house: House, delivered: bool) -> None:
    body = house.manager.body
    assert isinstance(body, ManagerBody)
    client = body._fleet._members["policy"]._change
    call, lost = client.call_async, []

    def lossy(request: Any) -> Any:
        if request.transition.id == Transition.ACTIVATE.value and not lost:
            lost.append(request)
            if delivered:
                call(request)
            return Future()  # never done
        return call(request)

    client.call_async = lossy
    body._fleet._silence_s = 0.5
    house.up()
    assert lost


def test_an_answer_from_before_a_transition_is_not_taken_for_what_came_of_it(house: House) -> None:
    """On a busy host it arrives after the transition's own, and would say that the node fell back."""
    body = house.manager.body
    assert isinstance(body, ManagerBody)
    client = body._fleet._members["policy"]._get
    call, late = client.call_async, []

    def held_back(request: Any) -> Any:
        asked, told = call(request), Future()

        def tell(answer: Any) -> None:
            if answer.result().current_state.label == "inactive" and not late:
                late.append(lambda: told.set_result(answer.result()))
            else:
                told.set_result(answer.result())

        asked.add_done_callback(tell)
        return told

    client.call_async = held_back
    house.until(lambda: late)
    patience_s, body._fleet._silence_s = body._fleet._silence_s, 0.5
    house.until(lambda: house.nodes["policy"].phase is Phase.ACTIVE)
    body._fleet._silence_s = patience_s
    house.up()
    late[0]()
    assert body._fleet.states["policy"] is State.ACTIVE


def test_a_transition_that_was_carried_out_already_was_not_refused(house: House) -> None:
    """As the second of two requests is, when the answer to the first comes late."""
    body = house.manager.body
    assert isinstance(body, ManagerBody)
    client = body._fleet._members["policy"]._change
    call = client.call_async

    def twice(request: Any) -> Any:
        call(request)
        return call(request)

    client.call_async = twice
    house.up()
    assert body._refused is None


def test_a_task_runs_to_success_and_leaves_the_arm_at_rest(house: House) -> None:
    result = house.up().result(house.send("pick up the blue cube"))
    assert (result.success, result.error_code, result.program_sha256) == (True, TaskError.NONE, "ab" * 32)
    assert 0 < result.duration_s < 5
    assert "running" in {one.state for one in house.feedback}
    house.until(lambda: house.safety.calls == ["arm", "end task"])


def test_a_task_does_not_arm_an_arm_that_people_stand_next_to(house: House) -> None:
    body = house.up().manager.body
    body._settings = body._settings.model_copy(update={"robot": "libfranka"})
    result = house.result(house.send("pick up the blue cube"))
    assert result.error_code == TaskError.NOT_READY
    assert "executor/arm" in result.error_msg
    assert "arm" not in house.safety.calls
    house.safety.arm()
    house.until(lambda: body._latest_safety.state == SafetyStatus.STATE_READY)
    assert house.result(house.send("pick up the blue cube")).success


def test_a_refused_instruction_says_why_and_nothing_moves(house: House) -> None:
    result = house.up().result(house.send("nonsense"))
    assert (result.success, result.error_code, result.error_msg) == (False, TaskError.REFUSED, "not understood")


def test_cancelling_stops_the_arm(house: House) -> None:
    handle = house.up().send("forever")
    house.until(lambda: any(one.state == "running" for one in house.feedback))
    handle.cancel_goal_async()
    assert house.result(handle).error_code == TaskError.CANCELED
    house.until(lambda: house.safety.calls[-1] == "end task")


def test_a_task_has_its_own_time_out(house: House) -> None:
    result = house.up().result(house.send("forever", timeout_s=0.5))
    assert result.error_code == TaskError.TASK_FAILED
    assert "within 0.5 s" in result.error_msg


def test_a_safety_stop_ends_the_task_and_the_next_one_must_wait_for_a_person(house: House) -> None:
    handle = house.up().send("forever")
    house.until(lambda: house.feedback)
    house.safety.latch(ReasonCode.EMERGENCY_STOP)
    result = house.result(handle)
    assert (result.error_code, result.error_msg) == (TaskError.SAFETY_STOP, "EMERGENCY_STOP: because")
    again = house.result(house.send("pick up the blue cube"))
    assert again.error_code == TaskError.NOT_READY
    assert "executor/arm" in again.error_msg


def test_one_task_at_a_time(house: House) -> None:
    first = house.up().send("forever")
    second = house.result(house.send("pick up the blue cube"))
    assert second.error_code == TaskError.NOT_READY
    assert "busy with 'forever'" in second.error_msg
    first.cancel_goal_async()
    house.result(first)


def test_a_node_that_fails_in_motion_ends_the_task_and_holds(house: House) -> None:
    handle = house.up().send("forever")
    house.until(lambda: house.feedback)
    house.nodes["policy"].fail(RuntimeError("out of memory"))
    result = house.result(handle)
    assert result.error_code == TaskError.NOT_READY
    assert "policy (unconfigured)" in result.error_msg
    house.until(lambda: "hold" in house.safety.calls)


def test_its_line_in_the_diagnostics_is_an_error_from_the_loss_of_a_node_until_it_is_asked_to_bring_it_up(
    house: House,
) -> None:
    body = house.manager.body
    assert isinstance(body, ManagerBody)
    assert body._report().level is Level.WARN  # on the way up
    house.up()
    assert (body._report().level, body._report().message) == (Level.OK, "all nodes are active")
    house.nodes["policy"].fail(RuntimeError("out of memory"))
    house.until(lambda: body._report().level is Level.ERROR)
    assert "policy (unconfigured) left the active state" in body._report().message
    body._aim(Goal.UP)
    house.until(lambda: body._report().level is Level.OK)


def test_a_node_that_goes_silent_counts_as_lost(house: House) -> None:
    handle = house.up().send("forever")
    house.until(lambda: house.feedback)
    house.executor.remove_node(house.nodes["policy"])  # it hangs: there, but answering nothing
    result = house.result(handle)
    assert result.error_code == TaskError.NOT_READY
    assert "policy (unknown)" in result.error_msg


def test_draining_takes_the_nodes_down_in_reverse(house: House) -> None:
    house.up()
    gone: list[str] = []
    body = house.manager.body
    assert isinstance(body, ManagerBody)
    drained = body.drain()

    def noted() -> bool:
        for name, node in house.nodes.items():
            if node.phase is Phase.FINALIZED and name not in gone:
                gone.append(name)
        return bool(drained.done())

    house.until(noted)
    assert gone == list(reversed(NAMES))


@pytest.mark.parametrize("known", [True, False], ids=["ended", "killed"])
def test_a_node_that_is_gone_is_not_waited_for_on_the_way_down(house: House, known: bool) -> None:
    """ros2 launch interrupts every process at once, so that they end while the manager takes them down."""
    body = house.up().manager.body
    assert isinstance(body, ManagerBody)
    member = body._fleet._members["policy"]
    member._change.call_async = member._get.call_async = lambda request: Future()  # never answered
    drained = body.drain()
    house.until(lambda: member.changing)
    if known:
        member._get.service_is_ready = lambda: False
        body._fleet._silence_s = 60.0  # being gone is told by the graph, not by silence
    house.until(drained.done)
