"""The ros2_control back end against a node with franka_ros2's interfaces: run as a process that can import them.

Prints one JSON object: scene -> "" or what went wrong.  `test_ros2_control.py` starts it and reads that.  Names of
scenes on the command line play those alone.
"""

from __future__ import annotations

import gc
import json
import sys
import threading
import time
import traceback
from collections.abc import Callable

import numpy as np
import pytest
import rclpy
from nodes.franka_ros2_stand_in import HOME, IDLE, JTC, OTHER, PERIOD_S, REFLEX, StandIn
from nodes.trajectory_controller import TrajectoryController
from rclpy.executors import SingleThreadedExecutor
from safety.arms import HOME_TCP, Cell, chunk_along
from trajectory_msgs.msg import JointTrajectory

from vls_steering.core.errors import VlsError
from vls_steering.core.types import ARM_JOINTS, GRIPPER_OPEN_M, SetPoint
from vls_steering.nodes.ros2_control import Ros2ControlRobot, Ros2ControlSettings
from vls_steering.safety import FR3_LIMITS, ReasonCode, violations
from vls_steering.safety.motion import MotionState


class Scene:
    """Back end and stand-in in one process, spun on a thread."""

    def __init__(self) -> None:
        from vls_steering.core.config import Settings
        from vls_steering.nodes.base import NodeDefinition, RoomNode

        class Nothing:
            def __init__(self, *_: object) -> None: ...
            def start(self) -> None: ...
            def stop(self) -> None: ...
            def tear_down(self) -> None: ...

        self.node = RoomNode(NodeDefinition("back_end", Settings, Nothing))
        self.other = rclpy.create_node("franka_ros2")
        self.arm = StandIn(self.other)
        self.robot = Ros2ControlRobot(self.node, Ros2ControlSettings(answer_timeout_s=3.0))
        self.robot.start()
        self._spinner = SingleThreadedExecutor()
        self._spinner.add_node(self.node)
        self._spinner.add_node(self.other)
        self._thread = threading.Thread(target=self._spinner.spin, daemon=True)
        self._thread.start()
        self.until(lambda: self.robot.state() is not None, "a joint state (best effort)")
        self.until(lambda: self.robot._mode == IDLE, "the mode")
        self.until(lambda: self.robot._stay.server_is_ready() and self.robot._grasp.server_is_ready(), "the actions")

    def close(self) -> None:
        self._spinner.shutdown()
        self._thread.join(5.0)
        self.node.destroy_node()
        self.other.destroy_node()

    def until(self, condition: Callable[[], object], what: str, keep_sending: bool = False) -> None:
        give_up_s = time.monotonic() + 15.0
        while not condition():
            assert time.monotonic() < give_up_s, f"{what} did not happen"
            if keep_sending:
                self.send()
            time.sleep(0.01)

    def send(self, width_m: float = GRIPPER_OPEN_M) -> bool:
        here = MotionState(HOME, np.zeros(7), np.zeros(7))
        return self.robot.send(SetPoint(0.0, HOME, np.zeros(7), width_m), lambda _step_s: [here])

    def objects(self, reason: ReasonCode, words: str) -> None:
        self.until(lambda: self.robot.objection() is not None, f"an objection about {words!r}", keep_sending=True)
        objection = self.robot.objection()
        assert objection is not None
        assert objection.reason is reason, objection
        assert words in objection.text, objection
        assert not self.send(), "nothing may be sent after an objection"


def streams_points_to_the_controller(s: Scene) -> None:
    assert not s.send(), "nothing is sent before engaging"
    s.robot.engage()
    s.until(lambda: s.arm.trajectories, "a trajectory", keep_sending=True)
    trajectory = s.arm.trajectories[0]
    assert list(s.robot.command_topics) == [f"{JTC}/joint_trajectory"]
    assert list(trajectory.joint_names) == list(ARM_JOINTS)
    assert len(trajectory.points) == 1
    assert trajectory.points[0].time_from_start.nanosec == 20_000_000


def an_executor_that_goes_silent_in_motion_leaves_an_arm_that_comes_to_rest(s: Scene) -> None:
    """In real time once, and judged at 1 kHz for a silence after every fifth period, whatever the host's own pace."""
    s.robot.engage()
    cell = Cell(max_stretch=5.0)
    cell.arm()
    began_s, sent = cell.now_s, list[JointTrajectory]()
    publish = s.robot._trajectories.publish
    s.robot._trajectories.publish = lambda message: (sent.append(message), publish(message))

    def swing(time_s: float) -> np.ndarray:
        since_s = time_s - began_s
        ramp = (1 - np.cos(min(np.pi, 4.4 * since_s))) / 2
        return HOME_TCP + np.array([0.0, 0.2, 0.06]) * ramp * np.sin(2.5 * since_s)

    for period in range(110):
        if period % 5 == 0:
            assert cell.submit(chunk_along(swing, cell.now_s)).accepted
        cell.run(PERIOD_S)
        velocities = cell.executor.stop_ahead(PERIOD_S)[0].velocities
        assert s.robot.send(SetPoint(0.0, cell.q, velocities, GRIPPER_OPEN_M), cell.executor.stop_ahead)
        time.sleep(PERIOD_S)
    assert np.abs(velocities).max() > 0.5, "it went silent in motion"
    s.until(lambda: len(s.arm.trajectories) > 20, "a stream")
    time.sleep(1.0)
    rests, velocity, acceleration = s.arm.controller.at(time.monotonic())
    assert not velocity.any()
    assert not acceleration.any()
    assert np.abs(rests - cell.q).max() > 0.01, "it braked beyond the last set-point"

    controller, told = TrajectoryController(HOME), list[np.ndarray]()
    for period, trajectory in enumerate(sent):
        now_s = period * PERIOD_S
        controller.take(now_s, trajectory)
        silent = [controller.at(now_s + 0.001 * step)[0] for step in range(1000)]
        if period % 5 == 0:
            assert violations(told + silent, 0.001, FR3_LIMITS) == ()
            assert not controller.at(now_s + 1.0)[1].any()
        told += silent[: round(PERIOD_S / 0.001)]


def its_own_stream_preempting_its_own_goal_is_no_objection(s: Scene) -> None:
    s.robot.engage()
    s.until(lambda: s.arm._goal is not None, "the goal")
    s.until(lambda: s.arm._goal.done(), "the preemption", keep_sending=True)
    time.sleep(0.2)
    assert s.robot.objection() is None


def a_refused_goal_is_an_objection(s: Scene) -> None:
    s.arm.wants = {"refuse"}
    s.robot.engage()
    s.objects(ReasonCode.ROBOT_FAULT, "refused")


def a_controller_that_aborts_says_why(s: Scene) -> None:
    s.arm.wants = {"abort"}
    s.robot.engage()
    s.objects(ReasonCode.ROBOT_FAULT, "joint 4 left its tolerance")


def a_grasp_that_finds_something_holds_and_one_that_does_not_is_no_failure(s: Scene) -> None:
    s.robot.engage()
    s.send()
    s.send(0.0)
    time.sleep(0.3)
    assert s.robot.objection() is None
    assert not s.robot._holds
    s.arm.wants = {"object"}
    s.send(GRIPPER_OPEN_M)
    s.send(0.0)
    s.until(lambda: s.robot._holds, "a held object")


def a_hand_that_refuses_is_an_objection_and_the_stop_is_streamed(s: Scene) -> None:
    s.robot.engage()
    s.until(lambda: s.arm._goal is not None, "the goal")
    s.arm.wants = {"refuse"}
    s.send()
    s.send(0.0)
    s.until(lambda: s.robot.objection() is not None, "an objection")
    assert s.robot.objection().reason is ReasonCode.GRIPPER_FAILED  # type: ignore[union-attr]
    heard = len(s.arm.trajectories)
    assert s.send(0.0), "the arm obeys: its stop must reach it"
    s.until(lambda: len(s.arm.trajectories) > heard, "the stop", keep_sending=True)


def an_arm_that_objects_after_its_hand_has_the_last_word(s: Scene) -> None:
    s.robot.engage()
    s.until(lambda: s.arm._goal is not None, "the goal")
    s.arm.wants = {"refuse"}
    s.send()
    s.send(0.0)
    s.until(lambda: s.robot.objection() is not None, "an objection")
    s.arm.mode = REFLEX
    s.until(lambda: s.robot.objection().reason is ReasonCode.ROBOT_FAULT, "the reflex")  # type: ignore[union-attr]
    s.objects(ReasonCode.ROBOT_FAULT, "cartesian_reflex")


def a_stop_cancels_the_grasp_under_way_and_nothing_new_is_asked_of_the_hand(s: Scene) -> None:
    s.arm.wants = {"slow grasp"}
    s.robot.engage()
    s.send()
    s.send(0.0)
    s.until(lambda: s.arm._cancelled is not None, "a grasp under way")
    s.robot.stop_hand()
    s.until(lambda: s.arm._cancelled.done(), "its cancellation")
    for _ in range(20):
        s.send(GRIPPER_OPEN_M)
        s.send(0.0)
        time.sleep(0.01)
    assert s.arm.grasps == 1
    assert s.robot.objection() is None
    s.arm.wants = {"object"}
    s.robot.engage()
    s.send()
    s.send(0.0)
    s.until(lambda: s.robot._holds, "a held object")
    s.robot.stop_hand()
    s.robot.engage()
    s.send(0.0)
    time.sleep(0.2)
    assert s.arm.grasps == 2, "arming keeps a grip"
    assert s.robot._holds


def a_stop_cancels_a_grasp_that_the_hand_has_yet_to_accept(s: Scene) -> None:
    s.arm.wants = {"slow grasp"}
    s.robot.engage()
    s.send()
    s.send(0.0)
    s.robot.stop_hand()
    s.until(lambda: s.arm._cancelled is not None and s.arm._cancelled.done(), "its cancellation")


def fingers_of_no_number_are_an_objection_and_the_stop_is_streamed(s: Scene) -> None:
    s.robot.engage()
    s.until(lambda: s.arm._goal is not None, "the goal")
    s.arm.wants = {"fingers of no number"}
    s.until(lambda: s.robot.state() and s.robot.objection() is not None, "an objection", keep_sending=True)
    objection = s.robot.objection()
    assert objection is not None
    assert (objection.reason, "nan" in objection.text) == (ReasonCode.GRIPPER_FAILED, True)
    before = s.robot.state()
    s.until(lambda: s.robot.state() is not before, "a newer state", keep_sending=True)
    assert s.robot.state().gripper_width_m == GRIPPER_OPEN_M  # type: ignore[union-attr]
    assert s.send()


def joints_of_no_number_are_no_state(s: Scene) -> None:
    s.robot.engage()
    s.arm.wants = {"joints of no number"}
    s.until(lambda: (s.robot.state(), s.node.complaints.get("joint states"))[1], "a fact", keep_sending=True)
    assert np.isfinite(s.robot.state().joint_velocities).all()  # type: ignore[union-attr]
    assert s.send()


def a_reflex_is_recovered_from_in_the_order_that_franka_ros2_needs(s: Scene) -> None:
    s.robot.engage()
    s.arm.mode = REFLEX
    s.objects(ReasonCode.ROBOT_FAULT, "cartesian_reflex")
    for step in s.robot.recovery():
        step.run()
    assert s.arm.recovered == ["deactivate", "clear", "hardware active", "activate"], s.arm.recovered
    s.robot.engage()
    assert s.robot.objection() is None


def an_arm_whose_mode_is_not_known_is_not_engaged(s: Scene) -> None:
    """Nor one that does not obey: `other` is what an arm with its brakes on or without FCI says."""
    s.arm.wants = {"mute"}
    time.sleep(0.7)
    with pytest.raises(VlsError, match=r"robot_state.*silent"):
        s.robot.engage()
    with pytest.raises(VlsError, match=r"robot_state.*silent"):
        s.robot.recovery()[0].run()
    s.arm.wants, s.arm.mode = set(), OTHER
    s.until(lambda: s.robot._mode == OTHER, "another mode")
    with pytest.raises(VlsError, match="'other'"):
        s.robot.engage()
    s.arm.mode = IDLE
    s.until(lambda: s.robot._mode == IDLE, "the idle mode")
    s.until(s.robot._stay.server_is_ready, "the controller")
    s.robot.engage()


def a_mode_that_is_not_told_any_more_is_an_objection_and_the_stop_is_streamed(s: Scene) -> None:
    s.robot.engage()
    s.until(lambda: s.arm._goal is not None, "the goal")
    s.arm.wants = {"mute"}
    s.until(lambda: s.robot.objection() is not None, "an objection", keep_sending=True)
    objection = s.robot.objection()
    assert objection is not None
    assert (objection.reason, "robot_state" in objection.text) == (ReasonCode.ROBOT_FAULT, True)
    assert s.send(), "the arm may well obey: its stop must reach it"
    s.arm.wants, s.arm.mode = set(), REFLEX
    s.until(lambda: "reflex" in s.robot.objection().text, "the reflex", keep_sending=True)  # type: ignore[union-attr]
    s.objects(ReasonCode.ROBOT_FAULT, "cartesian_reflex")


def a_recovery_ends_when_the_arm_says_that_it_obeys(s: Scene) -> None:
    s.arm.wants = {"mute"}
    time.sleep(0.7)
    *_, last = s.robot.recovery()
    with pytest.raises(VlsError, match="robot_state"):
        last.run()
    s.arm.wants = set()
    last.run()
    s.robot.engage()


def a_controller_that_cannot_be_switched_fails_its_step(s: Scene) -> None:
    s.arm.wants = {"stuck controller"}
    with pytest.raises(VlsError, match="refused"):
        s.robot.recovery()[1].run()


SCENES = (
    streams_points_to_the_controller,
    an_executor_that_goes_silent_in_motion_leaves_an_arm_that_comes_to_rest,
    its_own_stream_preempting_its_own_goal_is_no_objection,
    a_refused_goal_is_an_objection,
    a_controller_that_aborts_says_why,
    a_grasp_that_finds_something_holds_and_one_that_does_not_is_no_failure,
    a_hand_that_refuses_is_an_objection_and_the_stop_is_streamed,
    an_arm_that_objects_after_its_hand_has_the_last_word,
    a_stop_cancels_the_grasp_under_way_and_nothing_new_is_asked_of_the_hand,
    a_stop_cancels_a_grasp_that_the_hand_has_yet_to_accept,
    fingers_of_no_number_are_an_objection_and_the_stop_is_streamed,
    joints_of_no_number_are_no_state,
    a_reflex_is_recovered_from_in_the_order_that_franka_ros2_needs,
    an_arm_whose_mode_is_not_known_is_not_engaged,
    a_mode_that_is_not_told_any_more_is_an_objection_and_the_stop_is_streamed,
    a_recovery_ends_when_the_arm_says_that_it_obeys,
    a_controller_that_cannot_be_switched_fails_its_step,
)


def main() -> int:
    outcomes = {}
    for scene in [scene for scene in SCENES if scene.__name__ in (sys.argv[1:] or (scene.__name__,))]:
        rclpy.init()
        stage = Scene()
        try:
            scene(stage)
            outcomes[scene.__name__] = ""
        except (Exception, pytest.fail.Exception):  # noqa: BLE001 - the outcome is told to whoever started this process
            outcomes[scene.__name__] = traceback.format_exc()
        finally:
            stage.close()
            rclpy.shutdown()
            # As the fixture `ros` does: what is collected during the next scene takes that one's services with it.
            del stage
            gc.collect()
    print(json.dumps(outcomes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
