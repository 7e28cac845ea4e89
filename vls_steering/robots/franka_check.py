"""The first minutes with an arm: look at everything, move 5 cm, and say what was found.

The motion goes through the same executor, limits and back end as every other; nothing here commands the arm directly.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from vls_steering.core.errors import ExitCode, VlsError
from vls_steering.core.types import GRIPPER_OPEN_M, ActionChunk, RobotState
from vls_steering.robots.arm_report import (
    FR3_FCI,
    HAND_LENGTH_M,
    HAND_MASS_KG,
    MISS_M,
    OLDEST_SERVER,
    RTPRIO,
    ArmReport,
    HostReport,
    host_report,
    is_loopback,
)
from vls_steering.robots.clearance import ArmClearance
from vls_steering.robots.kinematics import ArmKinematics
from vls_steering.robots.libfranka import LibfrankaRobot, LibfrankaSettings
from vls_steering.safety import (
    FR3_LIMITS,
    Executor,
    ExecutorSettings,
    ExecutorState,
    ReasonCode,
    clearance_check,
    violations,
)

RISE_M, RISE_WITHIN_M = 0.05, 0.01
CLOSED_M, OPEN_M = 0.01, 0.07  # a hand that obeys is below and above
MOTION_S = 2.0
# Of contact that stops the arm: the first day's (docs/franka.md).
TORQUE_NM, FORCE_N, MOMENT_NM = (20.0, 20.0, 18.0, 18.0, 8.0, 7.0, 6.0), (20.0, 20.0, 20.0), (6.0, 6.0, 6.0)
FIRST_STATE_S, RESTS_WITHIN_S = 3.0, 5.0
Ask = Callable[[str], bool]
Say = Callable[[str], None]


class Findings:
    """Says each one, and remembers whether all were good."""

    def __init__(self, say: Say) -> None:
        self._say, self.all_good = say, True

    def add(self, good: bool, text: str) -> None:
        self._say(f"[{'ok' if good else 'no'}] {text}")
        self.all_good = self.all_good and good

    def skip(self, text: str) -> None:
        """What was declined is not known to be good."""
        self._say(f"[--] {text}")
        self.all_good = False


def run_check(host: str, ask: Ask, say: Say) -> ExitCode:
    """SUCCESS when everything was as it should be, SAFETY_STOP when something was not or was declined."""
    settings = LibfrankaSettings(
        host=host, collision_torque_nm=TORQUE_NM, collision_force_n=FORCE_N, collision_moment_nm=MOMENT_NM
    )
    findings = Findings(say)
    share = ExecutorSettings().velocity_fraction
    robot = LibfrankaRobot(settings, ArmKinematics().tcp_pose, time.monotonic, share)
    try:
        robot.start()
        findings.add(True, f"connection to {host}; collision thresholds set ({max(FORCE_N):g} N at the hand)")
        _walk(robot, host, ask, findings)
    except VlsError as error:
        findings.add(False, str(error))
    finally:
        robot.stop()
    if not findings.all_good:
        return ExitCode.SAFETY_STOP
    say("[ok] done; next: docs/franka.md, the first day")
    return ExitCode.SUCCESS


def _walk(robot: LibfrankaRobot, host: str, ask: Ask, findings: Findings) -> None:
    state, report = _first_state(robot), robot.report()
    physical = not is_loopback(host)
    _find_host(host_report(), physical, findings)
    _find_arm(report, state, physical, findings)
    _find_posture(state, findings)
    if not findings.all_good:
        findings.skip("stopped here: nothing was moved, because not everything is as it should be")
        return
    if not ask("Is the space around the arm clear, and the user stop in your hand?"):
        findings.skip("stopped here: nothing was moved")
        return
    if ask(f"Raise the hand by {100 * RISE_M:.0f} cm and lower it again, in {2 * MOTION_S:.0f} s?"):
        _rise_and_return(robot, findings)
    else:
        findings.skip("the arm was not moved")
    if ask("Close the hand on nothing and open it again?"):
        _exercise_hand(robot, findings)
    else:
        findings.skip("the hand was not moved")


def _first_state(robot: LibfrankaRobot) -> RobotState:
    give_up_s = time.monotonic() + FIRST_STATE_S
    while (state := robot.state()) is None:
        if time.monotonic() > give_up_s:
            raise VlsError("no joint state arrives", "Check the network: 1 kHz of small packets, no switch in between")
        time.sleep(0.01)
    return state


def _find_host(host: HostReport, physical: bool, findings: Findings) -> None:
    kernel = "a real-time kernel" if host.realtime_kernel else "not a real-time kernel"
    needs = f"; an arm needs PREEMPT_RT and rtprio {RTPRIO} or more (docs/franka.md)" if not host.fit else ""
    findings.add(host.fit or not physical, f"computer: {host.kernel}, {kernel}, rtprio {host.rtprio}{needs}")


def _find_arm(report: ArmReport, state: RobotState, physical: bool, findings: Findings) -> None:
    """Whether it is the arm that limits and kinematics here are made for, in a state to be moved from."""
    old = "" if report.server_version >= OLDEST_SERVER else ": older than robot system 5.9, update it"
    versions = f"versions: robot server {report.server_version}, FCI {report.fci_version}{old}"
    findings.add(report.server_version >= OLDEST_SERVER, versions)
    errors = f", errors: {', '.join(report.errors)}" if report.errors else ""
    findings.add(report.mode == "idle" and not report.errors, f"mode: {report.mode}{errors}")
    settings = ExecutorSettings()
    shares = [settings.velocity_fraction, settings.acceleration_fraction, settings.jerk_fraction]
    percent = ", ".join(f"{100 * share:.0f} %" for share in shares)
    table = f"limits: {percent} of {FR3_LIMITS.name}'s table of velocity, acceleration and jerk"
    other = "" if report.fci_version == FR3_FCI else "; this arm is no FR3, and that table is not its own"
    findings.add(report.fci_version == FR3_FCI, f"{table}{other}")
    miss_m = report.flange_miss_m(state.tcp_position, state.tcp_quat_xyzw)
    findings.add(miss_m < MISS_M, f"kinematics: the arm's own flange is {1e3 * miss_m:.1f} mm from ours")
    if physical:
        text = f"end effector in Desk: {1e3 * report.tool[2, 3]:.0f} mm long, {report.tool_mass_kg:.2f} kg"
        wanted = "" if report.has_hand else f"; the Franka Hand is {1e3 * HAND_LENGTH_M:.0f} mm and {HAND_MASS_KG} kg"
        findings.add(report.has_hand, f"{text}{wanted}")


def _find_posture(state: RobotState, findings: Findings) -> None:
    settings = ExecutorSettings()
    q = state.joint_positions
    room = np.minimum(q - FR3_LIMITS.position_lower, FR3_LIMITS.position_upper - q)
    closest = int(room.argmin())
    findings.add(
        bool(room[closest] > settings.joint_margin_rad),
        f"joints {np.round(q, 3).tolist()} rad; joint {closest + 1} is closest to a stop, {room[closest]:.2f} rad",
    )
    x, y, z = state.tcp_position
    findings.add(True, f"hand at x {x:.3f}, y {y:.3f}, z {z:.3f} m, open {1e3 * state.gripper_width_m:.0f} mm")


def _rise_and_return(robot: LibfrankaRobot, findings: Findings) -> None:
    lower, upper = (-1.0, -1.0, 0.0), (1.0, 1.0, 1.2)
    settings = ExecutorSettings(
        workspace_lower_m=lower,
        workspace_upper_m=upper,
        max_tilt_rad=1.6,
        chunk_timeout_s=5.0,
        policy_timeout_s=60.0,
        max_chunk_age_s=5.0,
    )
    kinematics = ArmKinematics()
    clearance = clearance_check(ArmClearance(settings.self_clearance_m, settings.keep_out_clearance_m))
    executor = Executor(FR3_LIMITS, settings, kinematics, extra_path_checks=(clearance,))
    with _armed(executor, robot) as start:
        sent, errors, heights = [start.joint_positions], [], []
        position, quat = kinematics.tcp_pose(start.joint_positions)
        for height in (RISE_M, 0.0):
            chunk = _vertical(time.monotonic(), position, quat, height, executor, kinematics)
            verdict = executor.submit(chunk, time.monotonic())
            if not verdict.accepted:
                raise VlsError(f"the motion was refused: {verdict.reason.name}: {verdict.text}")
            until_s = time.monotonic() + MOTION_S + 0.5
            while time.monotonic() < until_s:
                q = _period(executor, robot, settings.control_period_s)
                sent.append(q)
                measured = robot.state()
                if measured is not None:
                    errors.append(float(np.abs(measured.joint_positions - q).max()))
                    heights.append(float(measured.tcp_position[2] - start.tcp_position[2]))
        found = violations(sent, settings.control_period_s, FR3_LIMITS)
        there, back = abs(max(heights) - RISE_M) < RISE_WITHIN_M, abs(heights[-1]) < RISE_WITHIN_M
        findings.add(
            there and back and not found,
            f"rose {100 * max(heights):.1f} cm and came back to {100 * heights[-1]:.1f} cm; largest joint error "
            f"{1e3 * max(errors):.1f} mrad, {len(found)} limit violations in what was sent",
        )


def _vertical(
    now_s: float,
    position: np.ndarray,
    quat: np.ndarray,
    height_m: float,
    executor: Executor,
    kinematics: ArmKinematics,
) -> ActionChunk:
    """From where the hand is to `height_m` above `position`, at rest at both ends."""
    state = executor.step(now_s)
    from_z = kinematics.tcp_pose(state.joint_positions)[0][2]
    share = np.linspace(0.0, 1.0, 21)[1:]
    smooth = share**3 * (10 - 15 * share + 6 * share**2)
    rows = np.tile(position, (20, 1))
    rows[:, 2] = from_z + smooth * (position[2] + height_m - from_z)
    return ActionChunk(now_s, now_s + MOTION_S * share, rows, np.tile(quat, (20, 1)), np.full(20, GRIPPER_OPEN_M))


def _exercise_hand(robot: LibfrankaRobot, findings: Findings) -> None:
    settings = ExecutorSettings()
    executor = Executor(FR3_LIMITS, settings, ArmKinematics())
    with _armed(executor, robot):
        for width_m in (0.0, GRIPPER_OPEN_M):
            until_s = time.monotonic() + 2.0
            while time.monotonic() < until_s:
                now_s = time.monotonic()
                set_point = executor.step(now_s)
                robot.send(type(set_point)(now_s, set_point.joint_positions, set_point.joint_velocities, width_m))
                _heed(robot)
                time.sleep(settings.control_period_s)
            found_m = _first_state(robot).gripper_width_m
            obeys = found_m < CLOSED_M if width_m < GRIPPER_OPEN_M / 2 else found_m > OPEN_M
            findings.add(obeys, f"hand told {1e3 * width_m:.0f} mm, is open {1e3 * found_m:.0f} mm")


@contextmanager
def _armed(executor: Executor, robot: LibfrankaRobot) -> Iterator[RobotState]:
    """In command from a resting arm on, and no longer than inside: a person may take any time to answer."""
    state = _resting(executor, robot)
    robot.engage()
    try:
        verdict = executor.arm(state, time.monotonic())
        if not verdict.accepted:
            raise VlsError(f"the executor refuses: {verdict.reason.name}: {verdict.text}")
        try:
            yield state
        finally:
            _come_to_rest(executor, robot)
    finally:
        robot.disengage()


def _come_to_rest(executor: Executor, robot: LibfrankaRobot) -> None:
    """Within the limits, whatever the reason was."""
    period_s = ExecutorSettings().control_period_s
    executor.stop(ReasonCode.STOP_REQUESTED, time.monotonic())
    while executor.status().state in (ExecutorState.TRACKING, ExecutorState.STOPPING):
        robot.send(executor.step(time.monotonic()))
        time.sleep(period_s)


def _resting(executor: Executor, robot: LibfrankaRobot) -> RobotState:
    """The first state that the executor would arm from: a compliant arm settles for a moment."""
    give_up_s = time.monotonic() + RESTS_WITHIN_S
    while (refusal := executor.why_not_arm(state := _first_state(robot), time.monotonic())) is not None:
        if time.monotonic() > give_up_s:
            raise VlsError(f"the executor refuses: {refusal.reason.name}: {refusal.text}")
        time.sleep(0.01)
    return state


def _period(executor: Executor, robot: LibfrankaRobot, period_s: float) -> np.ndarray:
    began_s = time.monotonic()
    state = robot.state()
    if state is not None:
        executor.observe(state)
    set_point = executor.step(began_s)
    robot.send(set_point)
    _heed(robot)
    status = executor.status()
    if status.latched:
        raise VlsError(f"stopped: {status.reason.name}: {status.reason_text}")
    time.sleep(max(0.0, began_s + period_s - time.monotonic()))
    return np.array(set_point.joint_positions)


def _heed(robot: LibfrankaRobot) -> None:
    objection = robot.objection()
    if objection is not None:
        raise VlsError(f"the arm objects: {objection.reason.name}: {objection.text}", "Look at docs/franka.md")
