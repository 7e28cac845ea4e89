"""The back end over libfranka's protocol, against the protocol arm with enforcement on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("franka")
pytest.importorskip("franka_sim")

from vls_steering.core.errors import VlsError
from vls_steering.core.types import GRIPPER_OPEN_M, RobotState, SetPoint
from vls_steering.robots import libfranka
from vls_steering.robots.kinematics import ArmKinematics
from vls_steering.robots.libfranka import LOST_AFTER_S, MEASURE_S, TORQUE_NM, LibfrankaRobot, LibfrankaSettings
from vls_steering.safety import FR3_LIMITS, ExecutorSettings, ReasonCode
from vls_steering.sim.protocol_arm import ProtocolArm
from vls_steering.sim.scenes import draw_layout

pytestmark = pytest.mark.alone

PATIENCE_S = 20.0
VELOCITY_FRACTION = ExecutorSettings().velocity_fraction


def until(condition: Callable[[], object], what: str) -> None:
    give_up_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < give_up_s, f"{what} did not happen"
        time.sleep(0.005)


@pytest.fixture(scope="module")
def arm() -> Iterator[ProtocolArm]:
    with ProtocolArm(draw_layout("play", 3)) as one:
        yield one


def settings_of(**changes: object) -> LibfrankaSettings:
    given = {"host": "127.0.0.1", "watchdog_s": 1.0, "connect_timeout_s": PATIENCE_S, **changes}
    return LibfrankaSettings(**given)  # type: ignore[arg-type]


@pytest.fixture
def robot(arm: ProtocolArm) -> Iterator[LibfrankaRobot]:
    arm.hand.refuses = False
    one = LibfrankaRobot(settings_of(), ArmKinematics().tcp_pose, time.monotonic, VELOCITY_FRACTION)
    one.start()
    until(lambda: one.state() is not None, "a joint state")
    yield one
    one.stop()


def state_of(robot: LibfrankaRobot) -> RobotState:
    state = robot.state()
    assert state is not None
    return state


def send(robot: LibfrankaRobot, joints: np.ndarray, width_m: float = GRIPPER_OPEN_M) -> bool:
    return robot.send(SetPoint(time.monotonic(), joints, np.zeros(7), width_m))


def hold(robot: LibfrankaRobot, joints: np.ndarray, condition: Callable[[], object], what: str) -> None:
    """Keep the set-points coming until it is so."""

    def fed() -> object:
        send(robot, joints)
        return condition()

    until(fed, what)


def recover(robot: LibfrankaRobot) -> None:
    for step in robot.recovery():
        step.run()


def test_nothing_is_sent_to_an_arm_that_nobody_took_command_of(robot: LibfrankaRobot) -> None:
    assert not send(robot, state_of(robot).joint_positions)


def test_the_arm_goes_where_it_is_sent(robot: LibfrankaRobot) -> None:
    home = np.array(state_of(robot).joint_positions)
    robot.engage()
    for share in np.linspace(0.0, 1.0, 100):
        assert send(robot, home + 0.1 * share**2 * (3 - 2 * share) * np.eye(7)[0])
        time.sleep(0.01)
    goal = home + 0.1 * np.eye(7)[0]
    hold(robot, goal, lambda: abs(state_of(robot).joint_positions - goal).max() < 0.02, "arrival")
    assert robot.objection() is None


def test_an_arm_that_is_behind_catches_up_no_faster_than_its_settings_allow(arm: ProtocolArm) -> None:
    """As one does that was held and is let go: the target is a stride ahead of it all at once."""
    slow = LibfrankaRobot(settings_of(catch_up=1.5), ArmKinematics().tcp_pose, time.monotonic, 0.1)
    slow.start()
    until(lambda: slow.state() is not None, "a joint state")
    try:
        home = np.array(state_of(slow).joint_positions)
        slow.engage()
        goal, speeds = home + 0.3 * np.eye(7)[0], list[float]()

        def there() -> bool:
            speeds.append(abs(float(state_of(slow).joint_velocities[0])))
            return abs(state_of(slow).joint_positions[0] - goal[0]) < 0.02

        hold(slow, goal, there, "arrival")
        assert max(speeds) < 1.2 * 0.15 * FR3_LIMITS.velocity[0]
        hold(slow, home, lambda: abs(state_of(slow).joint_positions[0] - home[0]) < 0.02, "the way back")
    finally:
        slow.stop()


def test_an_arm_that_gets_farther_than_it_may_ends_its_motion(arm: ProtocolArm) -> None:
    near = LibfrankaRobot(settings_of(max_travel_rad=0.1), ArmKinematics().tcp_pose, time.monotonic, VELOCITY_FRACTION)
    near.start()
    until(lambda: near.state() is not None, "a joint state")
    try:
        home = np.array(state_of(near).joint_positions)
        near.engage()
        hold(near, home + 0.2 * np.eye(7)[0], lambda: near.objection() is not None, "an objection")
        objection = near.objection()
        assert objection is not None
        assert "max_deviation" in objection.text
    finally:
        near.stop()


def test_set_points_that_stop_coming_end_the_motion_and_recovery_brings_it_back(robot: LibfrankaRobot) -> None:
    robot.engage()
    until(lambda: robot.objection() is not None, "the watchdog")
    objection = robot.objection()
    assert objection is not None
    assert objection.reason is ReasonCode.CONTROL_STALLED
    assert not send(robot, state_of(robot).joint_positions)
    with pytest.raises(VlsError, match="recover"):
        robot.engage()
    recover(robot)
    robot.engage()
    assert robot.objection() is None
    assert send(robot, state_of(robot).joint_positions)


def test_a_reflex_is_told_by_its_own_name(robot: LibfrankaRobot, arm: ProtocolArm) -> None:
    home = np.array(state_of(robot).joint_positions)
    robot.engage()
    arm.arm.push(np.array([85.0, 0, 0, 0, 0, 0, 0]))
    try:
        hold(robot, home, lambda: robot.objection() is not None, "a reflex")
    finally:
        arm.arm.push(np.zeros(7))
    objection = robot.objection()
    assert objection is not None
    assert (objection.reason, objection.text) == (ReasonCode.ROBOT_FAULT, "joint_velocity_violation")
    recover(robot)
    assert robot.objection() is None


def test_a_measurement_of_no_number_is_an_objection_and_the_watchdog_lives_on(robot: LibfrankaRobot) -> None:
    home = np.array(state_of(robot).joint_positions)
    robot.engage()
    newest = robot._newest

    def newest_without_number() -> object:
        read = newest()
        return SimpleNamespace(q=read.q, dq=[np.nan] * 7, time=read.time)

    robot._newest = newest_without_number  # type: ignore[method-assign]
    hold(robot, home, lambda: robot.objection() is not None, "an objection")
    objection = robot.objection()
    assert objection is not None
    assert (objection.reason, "finite" in objection.text) == (ReasonCode.ROBOT_FAULT, True)
    assert np.isfinite(state_of(robot).joint_velocities).all()
    assert send(robot, home), "the arm obeys: its stop must reach it"
    until(lambda: robot._targets is None, "the watchdog")
    robot._newest = newest  # type: ignore[method-assign]
    recover(robot)
    robot.engage()
    assert send(robot, home)


def test_a_control_box_that_falls_silent_is_told_before_its_joint_states_are_too_old(robot: LibfrankaRobot) -> None:
    """franka-rs goes on giving the last state; whoever waits for an error of its own waits too long."""
    home = np.array(state_of(robot).joint_positions)
    robot.engage()
    hold(robot, home, lambda: robot._targets.running, "a motion")
    last = robot._newest()
    robot._newest = lambda: last  # type: ignore[method-assign]
    silent_s = time.monotonic()
    until(lambda: robot.objection() is not None, "an objection")
    objection = robot.objection()
    assert objection is not None
    assert (objection.reason, "connection is lost" in objection.text) == (ReasonCode.ROBOT_FAULT, True)
    assert time.monotonic() - silent_s > LOST_AFTER_S
    assert ExecutorSettings().joint_state_timeout_s > LOST_AFTER_S + 5 * MEASURE_S


def test_a_hand_that_refuses_is_told_from_one_that_finds_nothing(robot: LibfrankaRobot, arm: ProtocolArm) -> None:
    home = np.array(state_of(robot).joint_positions)
    robot.engage()
    send(robot, home, GRIPPER_OPEN_M)

    def closed() -> bool:
        send(robot, home, 0.0)
        return state_of(robot).gripper_width_m < 0.01

    until(closed, "a closed hand")
    assert robot.objection() is None
    arm.hand.refuses = True
    hold(robot, home, lambda: robot.objection() is not None, "a refusal")
    objection = robot.objection()
    assert objection is not None
    assert objection.reason is ReasonCode.GRIPPER_FAILED
    arm.hand.refuses = False
    robot.disengage()
    assert robot.objection() == objection  # it is no cure to try again
    recover(robot)
    assert robot.objection() is None
    robot.engage()
    assert send(robot, home)


def test_a_stop_halts_the_fingers_at_once_until_somebody_engages_again(robot: LibfrankaRobot) -> None:
    home = np.array(state_of(robot).joint_positions)
    robot.engage()
    send(robot, home, state_of(robot).gripper_width_m)
    send(robot, home, GRIPPER_OPEN_M)
    hold_width(robot, home, GRIPPER_OPEN_M, lambda width_m: width_m > 0.075)
    time.sleep(0.3)
    hold_width(robot, home, 0.0, lambda width_m: width_m < 0.06)
    began_s = time.monotonic()
    robot.stop_hand()
    while time.monotonic() - began_s < 1.0:
        send(robot, home, 0.0)
        time.sleep(0.01)
    stood_m = state_of(robot).gripper_width_m
    assert 0.01 < stood_m < 0.065  # on the connection of the grasp the stop would come after it
    assert robot.objection() is None  # the stop has a reason of its own; the hand did as it was told
    robot.engage()
    send(robot, home, stood_m)
    hold_width(robot, home, 0.0, lambda width_m: width_m < 0.01)
    hold_width(robot, home, GRIPPER_OPEN_M, lambda width_m: width_m > 0.075)


def hold_width(robot: LibfrankaRobot, joints: np.ndarray, width_m: float, there: Callable[[float], bool]) -> None:
    """Keep the set-points coming until the fingers are there."""

    def fed() -> bool:
        send(robot, joints, width_m)
        return there(state_of(robot).gripper_width_m)

    until(fed, f"a hand on its way to {width_m:g} m")


class RecordingBinding:
    """The binding as far as a connection needs it."""

    def __init__(self) -> None:
        self.thresholds: tuple[object, ...] = ()

    def Robot(self, *_: object, **__: object) -> RecordingBinding:
        return self

    def set_collision_behavior_simple(self, *thresholds: object) -> None:
        self.thresholds = thresholds

    def gripper(self) -> object:
        return SimpleNamespace(read_once=lambda: SimpleNamespace(width=0.08, is_grasped=False), stop=lambda: True)


def test_every_joint_and_axis_has_a_threshold_of_its_own_that_it_can_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """A joint of 12 Nm never meets an external torque of 20."""
    binding = RecordingBinding()
    monkeypatch.setattr(libfranka, "_franka", lambda: binding)
    one = LibfrankaRobot(LibfrankaSettings(), ArmKinematics().tcp_pose, time.monotonic, VELOCITY_FRACTION)
    one._connect()
    one._release_hand()
    lower_torque, upper_torque, lower_force, upper_force = binding.thresholds
    assert lower_torque == upper_torque == list(LibfrankaSettings().collision_torque_nm)
    assert lower_force == upper_force == [*LibfrankaSettings().collision_force_n, *[10.0] * 3]
    assert (np.array(upper_torque) < TORQUE_NM).all()


@pytest.mark.parametrize("joint", range(7))
def test_a_threshold_that_a_joint_cannot_reach_is_refused(joint: int) -> None:
    wrong = list(LibfrankaSettings().collision_torque_nm)
    wrong[joint] = TORQUE_NM[joint]
    with pytest.raises(ValueError, match=f"joint {joint + 1}"):
        LibfrankaSettings(collision_torque_nm=tuple(wrong))
    wrong[joint] = 0.0
    with pytest.raises(ValueError, match=f"joint {joint + 1}"):
        LibfrankaSettings(collision_torque_nm=tuple(wrong))


def test_a_control_box_that_does_not_answer_is_no_endless_wait() -> None:
    settings = settings_of(host="127.0.0.9", connect_timeout_s=2.0)
    nobody = LibfrankaRobot(settings, ArmKinematics().tcp_pose, time.monotonic, VELOCITY_FRACTION)
    with pytest.raises(VlsError, match=r"127\.0\.0\.9"):
        nobody.start()
