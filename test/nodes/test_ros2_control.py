"""The ros2_control back end against a node with the same interfaces, refusals and preemption included."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("trajectory_msgs")

from nodes.franka_ros2 import environment

from vls_steering.core.errors import ConfigurationError
from vls_steering.nodes.franka_interfaces import franka_interfaces

HERE = Path(__file__).resolve().parent
SCENES = (
    "streams_points_to_the_controller",
    "an_executor_that_goes_silent_in_motion_leaves_an_arm_that_comes_to_rest",
    "its_own_stream_preempting_its_own_goal_is_no_objection",
    "a_refused_goal_is_an_objection",
    "a_controller_that_aborts_says_why",
    "a_grasp_that_finds_something_holds_and_one_that_does_not_is_no_failure",
    "a_hand_that_refuses_is_an_objection_and_the_stop_is_streamed",
    "an_arm_that_objects_after_its_hand_has_the_last_word",
    "a_stop_cancels_the_grasp_under_way_and_nothing_new_is_asked_of_the_hand",
    "a_stop_cancels_a_grasp_that_the_hand_has_yet_to_accept",
    "fingers_of_no_number_are_an_objection_and_the_stop_is_streamed",
    "joints_of_no_number_are_no_state",
    "a_reflex_is_recovered_from_in_the_order_that_franka_ros2_needs",
    "an_arm_whose_mode_is_not_known_is_not_engaged",
    "a_mode_that_is_not_told_any_more_is_an_objection_and_the_stop_is_streamed",
    "a_recovery_ends_when_the_arm_says_that_it_obeys",
    "a_controller_that_cannot_be_switched_fails_its_step",
)
pytestmark = [pytest.mark.ros, pytest.mark.slow]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of every scene, played in a process that can import the interfaces."""
    if shutil.which("cmake") is None:
        pytest.skip("cmake is needed to generate the interfaces")
    given = {
        **environment(),
        "ROS_DOMAIN_ID": str(1 + (os.getpid() + 50) % 101),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_LOG_DIR": str(tmp_path_factory.mktemp("ros")),
    }
    given["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), given.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-m", "nodes.franka_ros2_scenes"], env=given, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, str] = json.loads(done.stdout.strip().splitlines()[-1])
    return told


@pytest.mark.parametrize("scene", SCENES)
def test_the_back_end(outcomes: dict[str, str], scene: str) -> None:
    assert outcomes[scene] == ""


def test_every_scene_is_looked_at(outcomes: dict[str, str]) -> None:
    assert set(outcomes) == set(SCENES)


def test_without_the_packages_the_error_names_one_and_says_what_to_do() -> None:
    try:
        import control_msgs  # noqa: F401
    except ImportError:
        with pytest.raises(ConfigurationError, match=r"control_msgs.*Source a workspace"):
            franka_interfaces()
