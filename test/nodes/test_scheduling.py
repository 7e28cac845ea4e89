"""When the processor is short, pictures wait for the control loop and not the other way round."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

pytest.importorskip("rclpy")

from nodes.rights import may_go_first

from vls_steering.nodes import camera, executor, perception, policy, sim_bridge, vlm
from vls_steering.nodes.scheduling import thread_gives_way

MEASURE = "import os\nfrom vls_steering.nodes.scheduling import give_way\ngive_way({})\nprint(os.nice(0))\n"


def test_the_executor_and_what_keeps_it_moving_give_way_to_nobody() -> None:
    behind = min(room.NODE.niceness for room in (sim_bridge, camera, vlm))
    assert {room.NODE.niceness for room in (executor, policy, perception)} == {0}
    assert behind > 0


def test_a_thread_can_give_way_alone() -> None:
    niceness: list[int] = []

    def work() -> None:
        thread_gives_way(7)
        niceness.append(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))

    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert niceness == [min(before + 7, 19)]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


@pytest.mark.parametrize("niceness", [0, 7])
def test_giving_way_adds_to_the_niceness_the_process_was_started_with(niceness: int) -> None:
    command = [sys.executable, "-c", MEASURE.format(niceness)]
    before = subprocess.run([sys.executable, "-c", MEASURE.format(0)], capture_output=True, check=True, text=True)
    after = subprocess.run(command, capture_output=True, check=True, text=True)
    assert int(after.stdout) == min(int(before.stdout) + niceness, 19)


def test_a_set_point_interrupts_a_plan_and_a_plan_everything_without_a_deadline() -> None:
    script = (
        "import os\nfrom vls_steering.nodes.scheduling import Urgency, go_first\n"
        "for urgency in sorted(Urgency):\n"
        "    go_first(urgency)\n"
        "    print(urgency.name, os.sched_getscheduler(0) == os.SCHED_RR, os.sched_getparam(0).sched_priority)\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True).stdout.split("\n")
    # Without the right to it nothing changes.
    assert said[:2] in (["PLANS True 1", "CONTROLS True 2"], ["PLANS False 0", "CONTROLS False 0"])


def test_a_thread_can_go_first_alone() -> None:
    """What tells the executor of the cameras must not lose the processor between two listeners."""
    script = (
        "import os, threading\nfrom vls_steering.nodes.scheduling import Urgency, go_first\n"
        "thread = threading.Thread(target=lambda: (go_first(Urgency.CONTROLS), print(os.sched_getscheduler(0))))\n"
        "thread.start()\nthread.join()\nprint(os.sched_getscheduler(0))\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True).stdout.split()
    assert said == [str(os.SCHED_RR if may_go_first() else os.SCHED_OTHER), str(os.SCHED_OTHER)]
