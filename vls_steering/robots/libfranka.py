"""The FR3 through libfranka's protocol, without ros2_control: franka-rs runs the 1 kHz loop on a thread of its own.

Set-points go to its joint impedance law as targets that lie one control period ahead at most, with velocity
feed-forward: the arm is compliant, and a client that stands still leaves it at a target it has reached, not on the way
to one.  franka-rs has no watchdog; the one here ends the motion when set-points stop coming.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, field_validator

from vls_steering.core.arrays import FloatArray
from vls_steering.core.config import Settings
from vls_steering.core.errors import MissingExtra, VlsError
from vls_steering.core.types import GRIPPER_OPEN_M, RobotState, SetPoint
from vls_steering.robots.arm_report import ArmReport
from vls_steering.robots.backend import Objection, RecoveryStep, StopAhead
from vls_steering.robots.hand import Hand, HandSettings
from vls_steering.safety.reasons import ReasonCode

MEASURE_S = 0.004
LOST_AFTER_S = 0.15  # before the executor calls the joint states silent: the arm knows better why
REST_RAD_S, REST_WITHIN_S = 0.02, 5.0


TORQUE_NM = (87.0, 87.0, 87.0, 87.0, 12.0, 12.0, 12.0)  # rated, of the FR3's joints
Joints = tuple[float, float, float, float, float, float, float]
Axis = Annotated[float, Field(ge=1.0, le=100.0)]
Axes = tuple[Axis, Axis, Axis]


class LibfrankaSettings(Settings):
    """Connection, compliance and collision thresholds of an arm driven through libfranka's protocol."""

    host: str = Field("172.16.0.2", description="address of the control box, on a network of its own")
    realtime: Literal["ignore", "enforce"] = Field(
        "ignore", description="enforce: refuse to run without a real-time kernel and privileges"
    )
    connect_timeout_s: float = Field(5.0, ge=0.5, le=60.0, description="longest wait for the control box")
    watchdog_s: float = Field(0.25, ge=0.02, le=2.0, description="longest silence of set-points before the motion ends")
    collision_torque_nm: Joints = Field(
        (40.0, 40.0, 36.0, 36.0, 10.0, 9.0, 8.0),
        description="external torque of each joint at which the arm stops (reflex); joints 5 to 7 bear 12 Nm",
    )
    collision_force_n: Axes = Field(
        (40.0, 40.0, 40.0), description="external force at the hand, x, y, z, at which the arm stops"
    )
    collision_moment_nm: Axes = Field(
        (10.0, 10.0, 10.0), description="external torque at the hand, about x, y, z, at which the arm stops"
    )
    catch_up: float = Field(
        1.5,
        ge=1.0,
        le=2.0,
        description="how much faster than limits.velocity_fraction the arm may run after its set-points, as one does "
        "that was held back and is let go",
    )
    max_travel_rad: float = Field(
        2.5, ge=0.1, le=6.0, description="farthest that a joint may get from where the arm was armed; ends the motion"
    )
    hand_stop_connection: bool = Field(
        True,
        description="stop the hand over a second connection; false: a stop reaches it after the command under way",
    )
    hand: HandSettings = HandSettings()

    @field_validator("collision_torque_nm")
    @classmethod
    def _reachable(cls, value: Joints) -> Joints:
        for number, (threshold, rated) in enumerate(zip(value, TORQUE_NM, strict=True), start=1):
            if not 1.0 <= threshold < rated:
                raise ValueError(f"joint {number} takes 1 to less than {rated:g} Nm: what it cannot bear stops nothing")
        return value


class LibfrankaRobot:
    """RobotBackend over `franka.Robot`."""

    command_topics = ()  # the protocol admits one client

    def __init__(
        self,
        settings: LibfrankaSettings,
        tcp_pose: Callable[[FloatArray], tuple[FloatArray, FloatArray]],
        now_s: Callable[[], float],
        velocity_fraction: float,
    ) -> None:
        """`tcp_pose` is called from a thread of this object's alone; `now_s` is the control loop's clock.

        `velocity_fraction` is the share of the arm's limits that set-points use.
        """
        self._settings, self._tcp_pose, self._now_s = settings, tcp_pose, now_s
        self._fraction = min(1.0, settings.catch_up * velocity_fraction)
        self._robot: Any = None
        self._targets: Any = None
        self._hand: Hand | None = None
        self._state: RobotState | None = None
        self._objection: Objection | None = None
        self._sent_s = 0.0  # monotonic
        self._ending = threading.Event()
        # Held by whoever starts or ends a motion, reads outside of one or replaces the connection; never by `send` and
        # `state`.
        self._switching = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        self._ending.clear()
        self._connect()
        self._thread = threading.Thread(target=self._measure, name="libfranka", daemon=True)
        self._thread.start()

    def state(self) -> RobotState | None:
        return self._state

    def engage(self) -> None:
        with self._switching:
            if self._targets is None:
                self._begin_motion()
        hand = self._hand
        if hand is not None:
            hand.resume()

    def _begin_motion(self) -> None:
        if self._objection is not None:
            raise VlsError(f"the arm objects: {self._objection.text}", "Recover it first: recover_and_arm")
        with _franka_errors("the arm did not start to move"):
            targets = self._robot.joint_targets(
                fraction=self._fraction,
                max_deviation=self._settings.max_travel_rad,
                backend="impedance",
                velocity_feedforward=True,
            )
        # The watchdog counts from here; it looks as soon as there are targets.
        self._sent_s = time.monotonic()
        self._targets = targets

    def send(self, set_point: SetPoint, stop_ahead: StopAhead | None = None) -> bool:
        """`stop_ahead` is not needed: a target of franka-rs is a place to come to rest at."""
        targets, hand = self._targets, self._hand
        if targets is None:
            return False
        self._sent_s = time.monotonic()
        try:
            targets.move_to(set_point.joint_positions)
        except _franka().FrankaError:
            return False  # the motion has just ended; the measuring thread finds out why
        if hand is not None:
            hand.wish(set_point.gripper_width_m)
        return True

    def stop_hand(self) -> None:
        hand = self._hand
        if hand is not None:
            hand.stop()

    def objection(self) -> Objection | None:
        hand = self._hand
        if self._objection is None and hand is not None and (failure := hand.failure):
            return Objection(ReasonCode.GRIPPER_FAILED, failure)
        return self._objection

    def recovery(self) -> Sequence[RecoveryStep]:
        return (
            RecoveryStep("end the motion", self.disengage),
            RecoveryStep("connect to the control box", self._reconnect),
            RecoveryStep("check the operating mode", self.check_mode),
            RecoveryStep("clear the arm's errors", self._clear_errors),
            RecoveryStep("wait until the arm rests", self._await_rest),
        )

    def stop(self) -> None:
        self._ending.set()
        if self._thread is not None:
            self._thread.join(timeout=2.0)
        with contextlib.suppress(VlsError):
            self.disengage()
        self._release_hand()
        self._robot = None

    # Connection and recovery -----------------------------------------------------------------------------------------

    def _connect(self) -> None:
        """The control box serves one client; a second one would wait in the constructor for ever."""
        settings = self._settings

        def connect() -> Any:
            robot = _franka().Robot(settings.host, realtime=settings.realtime)
            torque = list(settings.collision_torque_nm)
            force = [*settings.collision_force_n, *settings.collision_moment_nm]
            robot.set_collision_behavior_simple(torque, torque, force, force)
            return robot

        self._robot = self._within_time(connect, "the control box")
        self._connect_hand()

    def _connect_hand(self) -> None:
        gripper = self._within_time(self._robot.gripper, "the hand")
        brake = gripper
        if self._settings.hand_stop_connection:
            brake = self._within_time(self._robot.gripper, "the hand, asked for the connection that stops it,")
        self._hand = Hand(gripper, self._settings.hand, brake)

    def _within_time(self, connect: Callable[[], Any], what: str) -> Any:
        """What `connect` returns; raises VlsError when it fails or takes too long.

        franka-rs gives the connecting thread real-time priority where it may: this one ends, ours keep theirs.
        """
        settings, found = self._settings, dict[str, Any]()

        def run() -> None:
            try:
                found["it"] = connect()
            except Exception as error:  # noqa: BLE001 - handed to the thread that waits
                found["error"] = error

        thread = threading.Thread(target=run, name="libfranka connection", daemon=True)
        thread.start()
        thread.join(settings.connect_timeout_s)
        cure = "Check power, cable, FCI mode in Desk, and that no other program is connected"
        if "error" in found:
            raise VlsError(f"no connection to {what} at {settings.host}: {found['error']}", cure)
        if "it" not in found:
            raise VlsError(f"{what} at {settings.host} did not answer within {settings.connect_timeout_s:g} s", cure)
        return found["it"]

    def disengage(self) -> None:
        """Give command back: the arm holds by itself, and silence is no fault of anybody."""
        with self._switching:
            targets, self._targets = self._targets, None
            if targets is not None:
                # Why it ended is known already, or does not matter any more.
                with contextlib.suppress(_franka().FrankaError):
                    targets.stop()

    def _reconnect(self) -> None:
        with self._switching:
            if not self._answers():
                # The old connections are let go before new ones are asked for: the control box takes one client.
                self._robot = None
                self._release_hand()
                self._connect()
            elif self._hand is None or self._hand.failure:
                self._release_hand()
                self._connect_hand()

    def _answers(self) -> bool:
        try:
            return self._robot is not None and self._robot.read_once() is not None
        except _franka().FrankaError:
            return False

    def _release_hand(self) -> None:
        if self._hand is not None:
            self._hand.close()
        self._hand = None

    def check_mode(self) -> None:
        """Raises VlsError while a person has stopped or guides the arm."""
        mode = self._read().robot_mode
        if mode == "user_stopped":
            raise VlsError("the user stop is pressed", "Make the cell safe and release it")
        if mode == "guiding":
            raise VlsError("the arm is being guided by hand", "Let go of the guiding button")

    def report(self) -> ArmReport:
        """What the arm says about itself; raises VlsError when it cannot be read."""
        read = self._read()
        tool = np.array(read.F_T_EE)
        return ArmReport(
            server_version=int(self._robot.server_version),
            fci_version=int(self._robot.fci_version),
            mode=str(read.robot_mode),
            errors=tuple(read.current_errors),
            flange=np.array(read.O_T_EE) @ np.linalg.inv(tool),
            tool=tool,
            tool_mass_kg=float(read.m_ee),
        )

    def _clear_errors(self) -> None:
        state = self._read()
        if state.robot_mode != "idle" or state.current_errors:
            with _franka_errors("the arm did not recover"):
                self._robot.automatic_error_recovery()
        errors = self._read().current_errors
        if errors:
            raise VlsError(f"the arm still reports {', '.join(errors)}", "Look at Desk")

    def _await_rest(self) -> None:
        self._objection = None
        asked_s, give_up_s = self._now_s(), time.monotonic() + REST_WITHIN_S
        while True:
            state = self._state
            if state is not None and state.stamp_s > asked_s and np.abs(state.joint_velocities).max() < REST_RAD_S:
                return
            if time.monotonic() > give_up_s:
                raise VlsError("the arm was not seen to come to rest", "Let go of it, and check the connection")
            time.sleep(MEASURE_S)

    def _read(self) -> Any:
        with self._switching, _franka_errors("the arm cannot be read"):
            if self._robot is None:
                raise VlsError("the connection is lost", "Recover again")
            return self._robot.read_once()

    # The measuring thread --------------------------------------------------------------------------------------------

    def _measure(self) -> None:
        self._robot_time_s, self._fresh_s = -1.0, math.inf
        self._failing_since_s: float | None = None
        while not self._ending.wait(MEASURE_S):
            self._look()

    def _look(self) -> None:
        try:
            self._take_newest()
        except Exception as error:  # noqa: BLE001 - the watchdog lives in this thread: nothing may end it
            text = f"a measurement cannot be used: {error}"
            self._objection = self._objection or Objection(ReasonCode.ROBOT_FAULT, text)

    def _take_newest(self) -> None:
        """The newest measurement, and whether the connection still carries any."""
        try:
            read = self._newest()
        except _franka().FrankaError as error:
            # A read that crosses the end of a motion may fail once.
            self._failing_since_s = self._failing_since_s or time.monotonic()
            if time.monotonic() - self._failing_since_s > LOST_AFTER_S:
                self._lost(str(error))
            return
        self._failing_since_s = None
        now_s = time.monotonic()
        if read is None:
            self._fresh_s = now_s  # somebody switches: nothing to look at is no silence
            return
        if read.time == self._robot_time_s:
            # While a motion runs franka-rs gives the last state for as long as it waits for the next.
            if now_s - self._fresh_s > LOST_AFTER_S:
                text = f"the connection is lost: no state for {now_s - self._fresh_s:.2f} s"
                self._objection = self._objection or Objection(ReasonCode.ROBOT_FAULT, text)
            return
        self._robot_time_s, self._fresh_s = read.time, now_s
        self._state = self._measured(read)

    def _newest(self) -> Any:
        """The newest state, or None; ends a motion that is over or that nobody feeds."""
        targets = self._targets
        if targets is None:
            if not self._switching.acquire(blocking=False):
                return None
            try:
                return self._robot.read_once() if self._robot is not None else None
            finally:
                self._switching.release()
        silence_s = time.monotonic() - self._sent_s
        if not targets.running:
            self._over(targets)
        elif silence_s > self._settings.watchdog_s:
            self._objection = Objection(ReasonCode.CONTROL_STALLED, f"no set-point for {silence_s:.2f} s")
            self.disengage()
        return targets.state()

    def _over(self, targets: Any) -> None:
        """The loop in franka-rs ended by itself: find out why."""
        with self._switching:
            if self._targets is not targets:
                return
            self._targets = None
            try:
                targets.stop()
                text = "the motion ended"
            except _franka().ControlException as error:
                text = ", ".join(error.errors) or str(error)
            except _franka().FrankaError as error:
                text = str(error)
        self._objection = self._objection or Objection(ReasonCode.ROBOT_FAULT, text)

    def _lost(self, text: str) -> None:
        with self._switching:
            self._robot = None
        self._objection = self._objection or Objection(ReasonCode.ROBOT_FAULT, f"the connection is lost: {text}")

    def _measured(self, read: Any) -> RobotState:
        joints = np.array(read.q)
        position, quat = self._tcp_pose(joints)
        hand = self._hand.state if self._hand is not None else None
        return RobotState(
            stamp_s=self._now_s(),
            joint_positions=joints,
            joint_velocities=np.array(read.dq),
            tcp_position=position,
            tcp_quat_xyzw=quat,
            gripper_width_m=hand.width_m if hand is not None else GRIPPER_OPEN_M,
            gripper_holds=hand is not None and hand.holds,
        )


@contextlib.contextmanager
def _franka_errors(problem: str) -> Iterator[None]:
    """Turns an error of the binding into one that a person can act on."""
    try:
        yield
    except _franka().FrankaError as error:
        raise VlsError(f"{problem}: {error}", "Look at Desk, then recover") from error


def _franka() -> Any:
    """The binding; raises MissingExtra with the command that installs it."""
    try:
        import franka
    except ImportError as error:
        raise MissingExtra("franka-rs, libfranka's protocol in Python", "libfranka") from error
    return franka
