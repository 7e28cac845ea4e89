"""When the processor is short, pictures wait for the control loop and not the other way round."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("rclpy")

from vls_steering.nodes import camera, executor, perception, policy, sim_bridge, vlm

MEASURE = "import os\nfrom vls_steering.nodes.scheduling import give_way\ngive_way({})\nprint(os.nice(0))\n"


def test_the_executor_and_the_policy_give_way_to_nobody() -> None:
    behind = min(room.NODE.niceness for room in (sim_bridge, camera, perception, vlm))
    assert executor.NODE.niceness == policy.NODE.niceness == 0 < behind


@pytest.mark.parametrize("niceness", [0, 7])
def test_giving_way_adds_to_the_niceness_the_process_was_started_with(niceness: int) -> None:
    command = [sys.executable, "-c", MEASURE.format(niceness)]
    before = subprocess.run([sys.executable, "-c", MEASURE.format(0)], capture_output=True, check=True, text=True)
    after = subprocess.run(command, capture_output=True, check=True, text=True)
    assert int(after.stdout) == min(int(before.stdout) + niceness, 19)
