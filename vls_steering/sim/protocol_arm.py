"""Our world behind libfranka's own protocol: what drives a physical FR3 drives this arm, at 1 kHz and in real time.

`franka-sim` serves the protocol (robot server v10, gripper v3) and enforces the FCI's communication and motion limits
under the robot's own error names; the physics is `sim.world`, so that objects are grasped and held as everywhere else.
Subclassing is the seam that franka-sim offers.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import mujoco
import numpy as np

from vls_steering.core.arrays import FloatArray
from vls_steering.core.errors import MissingDependency, VlsError
from vls_steering.core.types import GRIPPER_OPEN_M
from vls_steering.robots.assets import ARM_JOINT_NAMES, HAND_BODY
from vls_steering.sim.layout import SceneLayout
from vls_steering.sim.model import GRIPPER_ACTUATOR, arm_joint_addresses
from vls_steering.sim.world import GRIPPER_SPEED_M_S, World

try:
    from franka_sim import mujoco_franka_sim
    from franka_sim.control_modes import ControlMode
    from franka_sim.franka_sim_server import FrankaSimServer
    from franka_sim.gripper.physics import FrankaHandPhysics
    from franka_sim.gripper.server import FrankaGripperServer
    from franka_sim.mujoco_franka_sim import ARM_POSITION_KD, ARM_POSITION_KP, MujocoFrankaSim
    from franka_sim.server import motion_session, state_stream
    from franka_sim.sim_common import FR3_FORCE_LIMITS
except ImportError as error:
    cure = "Run: pip install 'vls_steering[sim]' && pip install --no-deps franka-sim==1.1.7 (or `make setup`)"
    raise MissingDependency("franka-sim, the arm that speaks libfranka's protocol,", cure) from error

PERIOD_S = 0.001
HAND_SETTLES_S = 4.0
ROBOT_PORT = 1337
LOOPBACK = "127.0.0.1"
# The arm's own position loop is explicit in time: more damping than half of inertia over period makes a wrist of
# 0.075 kg m2 shake at half the sampling rate for ever.
HOLD_DAMPING = np.minimum(ARM_POSITION_KD, [450.0, 450.0, 350.0, 350.0, 37.0, 37.0, 37.0])


class WorldArm(MujocoFrankaSim):
    """franka-sim's physics contract on a `World`; one thread steps it, the network threads read its snapshots."""

    def __init__(self, layout: SceneLayout, watch: Callable[[World], None] = lambda _world: None) -> None:
        """`watch` is called after every physics step, in the stepping thread: it must be quick."""
        super().__init__(enable_hand=True)
        self.world = World(layout)
        self.world.begin_with_motion()
        self._watch = watch

    def initialize_simulation(self) -> None:
        """Take the world's model over: torques instead of position servos on the arm, the world's own hand."""
        self.model, self.data = self.world.model, self.world.data
        self.prefix = "fr3_"
        model = self.model
        model.opt.timestep = self.dt = PERIOD_S
        arm_actuators = [model.actuator(name).id for name in ARM_JOINT_NAMES]
        model.actuator_gainprm[arm_actuators] = 0.0
        model.actuator_biasprm[arm_actuators] = 0.0
        self._bind()
        self._opening_m = float(self.data.ctrl[self._hand_actuator])
        self.latest_finger_positions = np.full(2, self._opening_m)
        self.hold_here()
        mujoco.mj_forward(model, self.data)
        self._read_and_publish_state()

    def hold_here(self) -> None:
        """The idle arm keeps the joints it has."""
        self.latest_joint_positions = np.array(self.data.qpos[self.arm_qpos_adr])
        self._position_feedforward.reset(self.latest_joint_positions)

    def push(self, torques: FloatArray) -> None:
        """Somebody leans on the arm: torques (7,) Nm on top of the controller's, until called again."""
        self._push = np.asarray(torques, dtype=np.float64)

    def _bind(self) -> None:
        """Where arm, fingers and flange are; O_T_EE is the flange with the hand's rotation."""
        model = self.model
        self.arm_qpos_adr, self.arm_dofs_idx = arm_joint_addresses(model)
        fingers = [model.joint(name) for name in ("finger_joint1", "finger_joint2")]
        self.finger_qpos_adr = np.array([finger.qposadr[0] for finger in fingers])
        self.finger_dofs_idx = np.array([finger.dofadr[0] for finger in fingers])
        self._hand_actuator = model.actuator(GRIPPER_ACTUATOR).id
        self.ee_body_id = model.body(HAND_BODY).id
        self._jacobian_scratch = np.zeros((6, model.nv))
        self._jacp, self._jacr = self._jacobian_scratch[:3], self._jacobian_scratch[3:]
        self._push = np.zeros(7)
        # The self-collision margin would enter the contact solver of this MuJoCo and jam the arm.
        self._self_collision_pairs: dict[tuple[int, int], tuple[str, str]] = {}

    def arm_control_torque(self) -> FloatArray:
        if self.control_mode != ControlMode.POSITION:
            return np.asarray(super().arm_control_torque())
        target = self.latest_joint_positions
        velocity = self._position_feedforward.step(target, self.dt)
        error = target - self.data.qpos[self.arm_qpos_adr]
        torque = ARM_POSITION_KP * error + HOLD_DAMPING * (velocity - self.data.qvel[self.arm_dofs_idx])
        return np.clip(torque, -FR3_FORCE_LIMITS, FR3_FORCE_LIMITS)

    def _apply_control(self) -> None:
        self.data.qfrc_applied[:] = 0.0
        self.data.qfrc_applied[self.arm_dofs_idx] = self.arm_control_torque() + self._push
        goal = min(max(float(self.latest_finger_positions.mean()), 0.0), GRIPPER_OPEN_M / 2)
        step = GRIPPER_SPEED_M_S / 2 * PERIOD_S
        self._opening_m += min(max(goal - self._opening_m, -step), step)
        self.data.ctrl[self._hand_actuator] = self._opening_m

    def _read_and_publish_state(self) -> None:
        super()._read_and_publish_state()
        self.world.exchange_when_due()
        self._watch(self.world)


class _SlowedTime:
    """The module `time`, with the two functions that pace franka-sim's loops at another pace."""

    def __init__(self, pace: float) -> None:
        self._pace = pace

    def __getattr__(self, name: str) -> object:
        return getattr(time, name)

    def perf_counter(self) -> float:
        return time.perf_counter() * self._pace

    def sleep(self, duration_s: float) -> None:
        time.sleep(duration_s / self._pace)


def _slow_down(pace: float) -> None:
    """In this whole process: the server's loops take the time from their modules and offer no other way in."""
    for module in (mujoco_franka_sim, state_stream, motion_session):
        module.time = _SlowedTime(pace)


class WorldHand(FrankaHandPhysics):
    """The world's hand.  It can be told to refuse its commands as a jammed one does; `stop` ends one under way."""

    refuses = False
    _stops = 0

    def grasp(self, width: float, epsilon_inner: float, epsilon_outer: float, speed: float, force: float) -> bool:
        with self._obeying():
            return bool(super().grasp(width, epsilon_inner, epsilon_outer, speed, force))

    def move(self, width: float, speed: float) -> bool:
        with self._obeying():
            return bool(super().move(width, speed))

    def stop(self) -> bool:
        """franka-sim's own would open the hand."""
        self._stops += 1
        self._command_width(self._current_width())
        return True

    @contextlib.contextmanager
    def _obeying(self) -> Iterator[None]:
        if self.refuses:
            raise ValueError("the hand is told to refuse")
        before = self._stops
        yield
        if self._stops != before:
            self.is_grasped = False
            raise ValueError("the command was stopped")


class SharedGripperServer(FrankaGripperServer):
    """Serves several clients beside each other, so that one can stop what another one asked for.

    franka-sim's own serves one after the other, and reads a stop when the command before it is over.
    """

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._sessions: list[FrankaGripperServer] = []

    def handle_client(self, sock: socket.socket) -> None:
        session = FrankaGripperServer(host=self.host, backend=self.backend)
        session.running = True
        self._sessions.append(session)
        threading.Thread(target=session.handle_client, args=(sock,), name="hand session", daemon=True).start()

    def stop(self) -> None:
        super().stop()
        for session in self._sessions:
            session.stop()


class ProtocolArm:
    """The server with its arm, on threads of its own; use it as a context manager."""

    def __init__(
        self,
        layout: SceneLayout,
        host: str = LOOPBACK,
        port: int = ROBOT_PORT,
        watch: Callable[[World], None] = lambda _world: None,
        failed: Callable[[BaseException], None] = lambda _error: None,
        pace: float = 1.0,
    ) -> None:
        """`failed` hears from the server's thread why it ended by itself.

        `pace` below 1 slows the arm's time down, protocol and physics alike, for a machine that cannot keep up with
        everything around it; clients are paced by the arm's states and notice nothing.
        """
        if pace != 1.0:
            _slow_down(pace)
        self.arm = WorldArm(layout, watch)
        self.hand = WorldHand(self.arm, settle_timeout=HAND_SETTLES_S / pace)
        self._failed = failed
        self._server = FrankaSimServer(
            host=host,
            port=port,
            physics_sim=self.arm,
            gripper_backend=self.hand,
            enforce_comm_constraints=True,
            enforce_motion_limits=True,
        )
        self._server.gripper_server = SharedGripperServer(host=host, backend=self.hand)
        self._where = f"{host}:{port}"
        self._thread = threading.Thread(target=self._run, name="protocol arm", daemon=True)
        self._ending = False
        self._error: BaseException | None = None

    def __enter__(self) -> ProtocolArm:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Return when clients may connect; raises VlsError when the port is taken."""
        ready = threading.Event()
        watch, self.arm._watch = self.arm._watch, lambda _world: ready.set()
        self._thread.start()
        while not ready.wait(0.05):
            if not self._thread.is_alive():
                raise VlsError(
                    f"the protocol arm did not start on {self._where}: {self._error}", "Is one running already"
                )
        self.arm._watch = watch

    def stop(self) -> None:
        self._ending = True
        self._server.stop()
        self._thread.join(5.0)

    def _run(self) -> None:
        # A robot's controller has a computer of its own.  Where this one may, it at least goes before everybody else;
        # the network threads inherit it.
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        try:
            self._server.start()
        except Exception as error:  # noqa: BLE001 - the border of the thread: whoever started it must learn of it
            self._error = error
            if not self._ending:
                self._failed(error)
