"""The lock-step MuJoCo world: apply a set-point, step, measure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco
import numpy as np

from vls_steering.core.arrays import FloatArray
from vls_steering.core.types import DOWN_QUAT_XYZW, GRIPPER_OPEN_M, RobotState, SetPoint
from vls_steering.robots.assets import ARM_JOINT_NAMES, FINGER_JOINT_NAMES, TCP_SITE
from vls_steering.robots.kinematics import NOMINAL_POSTURE, ArmKinematics
from vls_steering.sim.layout import BoxPlacement, SceneLayout
from vls_steering.sim.model import (
    GRIPPER_ACTUATOR,
    PARKED_X_M,
    PHYSICS_STEP_S,
    arm_joint_addresses,
    body_name,
    build_model,
)
from vls_steering.sim.objects import LOOSE, OBSTACLE, PLATE, SUPPORT

GRIPPER_SPEED_M_S = 0.10  # of the width; Franka Hand data sheet: 50 mm/s per finger
HELD_WIDTH_M = 0.005  # fingers that stall wider than this hold something
STALLED_M_S = 0.004
MAX_EXTRAPOLATION_S = 0.01  # a late set-point is held, not run away with
UNDER_WAY_RAD_S = 0.05  # a joint that is faster moves on purpose
EXCHANGE_CLEARANCE_M = 0.09  # of the fingertips to two objects that are about to change places


@dataclass(frozen=True)
class SceneTruth:
    """Privileged state of the scene: for scoring and for the scripted oracle only."""

    stamp_s: float
    positions: dict[str, FloatArray]  # (3,) m, base frame, of every object present
    speeds_m_s: dict[str, float]
    obstacle_touches: int  # physics steps with a contact between the obstacle and the robot or a held object
    keep_out_entries: int  # physics steps with the fingertips inside the keep-out region
    robot: RobotState
    layout: SceneLayout  # as it is now: after an exchange with the new places

    @property
    def violated(self) -> bool:
        """What had to be kept clear of was not."""
        return self.obstacle_touches > 0 or self.keep_out_entries > 0


class World:
    """One arm, one table, one layout at a time; exact reset, no wall-clock anywhere."""

    def __init__(self, layout: SceneLayout) -> None:
        self.model = build_model()
        self.data = mujoco.MjData(self.model)
        self._kinematics = ArmKinematics()
        self._q_address, self._v_address = arm_joint_addresses(self.model)
        self._fingers = [self.model.joint(name) for name in FINGER_JOINT_NAMES]
        self._arm_actuators = np.array([self.model.actuator(name).id for name in ARM_JOINT_NAMES])
        self._gripper_actuator = self.model.actuator(GRIPPER_ACTUATOR).id
        # Damping over stiffness: a position servo with this much velocity feed-forward tracks without lag.
        gains = self.model.actuator_gainprm[self._arm_actuators, 0]
        self._feed_forward_s = -self.model.actuator_biasprm[self._arm_actuators, 2] / gains
        self._tcp_site = self.model.site(TCP_SITE).id
        self._obstacle_geom = self.model.geom(body_name(OBSTACLE)).id
        self._table_geom = self.model.geom("table").id
        self._set_point: SetPoint | None = None
        self.reset(layout)

    def reset(self, layout: SceneLayout) -> None:
        """Exactly the same state for the same layout, whatever happened before."""
        self.layout = layout
        model, data = self.model, self.data
        mujoco.mj_resetData(model, data)
        home = self._kinematics.solve(np.array(layout.home_tcp_m), np.array(DOWN_QUAT_XYZW), np.array(NOMINAL_POSTURE))
        data.qpos[self._q_address] = home
        for finger in self._fingers:
            data.qpos[finger.qposadr[0]] = layout.home_gripper_width_m / 2
        data.ctrl[self._arm_actuators] = home
        data.ctrl[self._gripper_actuator] = layout.home_gripper_width_m / 2
        self._park_everything()
        for placement in layout.objects:
            item = LOOSE[placement.name]
            address = model.joint(item.body).qposadr[0]
            model.body_gravcomp[model.body(item.body).id] = 0.0
            half_yaw = placement.yaw_rad / 2
            height = placement.surface_m + item.half_height_m
            data.qpos[address : address + 3] = [placement.x_m, placement.y_m, height]
            data.qpos[address + 3 : address + 7] = [np.cos(half_yaw), 0, 0, np.sin(half_yaw)]
        if layout.plate_xy_m is not None:
            self._place_mocap(PLATE, (*layout.plate_xy_m, 0.0))
        for name, box in ((OBSTACLE, layout.obstacle), (SUPPORT, layout.support)):
            if box is not None:
                self._place_box(name, box)
        self._set_point = None
        self._begun_s = 0.0
        self.obstacle_touches = self.keep_out_entries = 0
        mujoco.mj_forward(model, data)

    def begin_with_motion(self) -> None:
        """Count the time of an exchange from the arm's first motion: in a graph of nodes it may rest for long."""
        self._begun_s = math.inf

    @property
    def stamp_s(self) -> float:
        return float(self.data.time)

    def apply(self, set_point: SetPoint) -> None:
        """Track `set_point` from the next physics step on; it is extrapolated by its velocity until replaced."""
        self._set_point = set_point

    def step(self, duration_s: float) -> None:
        """Advance the physics; `duration_s` is rounded to whole physics steps."""
        for _ in range(round(duration_s / PHYSICS_STEP_S)):
            if self._set_point is not None:
                self._track(self._set_point)
            mujoco.mj_step(self.model, self.data)
            self.obstacle_touches += self._touches_obstacle()
            self.keep_out_entries += self._inside_keep_out()
            self.exchange_when_due()

    def robot_state(self) -> RobotState:
        """What the arm's own sensors would report."""
        rotation = self.data.site_xmat[self._tcp_site]
        wxyz = np.zeros(4)
        mujoco.mju_mat2Quat(wxyz, rotation)
        width = sum(float(self.data.qpos[f.qposadr[0]]) for f in self._fingers)
        speed = sum(abs(float(self.data.qvel[f.dofadr[0]])) for f in self._fingers)
        closing = self.data.ctrl[self._gripper_actuator] < width / 2 - 0.002
        return RobotState(
            stamp_s=self.stamp_s,
            joint_positions=self.data.qpos[self._q_address],
            joint_velocities=self.data.qvel[self._v_address],
            tcp_position=self.data.site_xpos[self._tcp_site],
            tcp_quat_xyzw=wxyz[[1, 2, 3, 0]],
            gripper_width_m=width,
            gripper_holds=bool(closing and width > HELD_WIDTH_M and speed < STALLED_M_S),
        )

    def truth(self) -> SceneTruth:
        """Privileged: never reaches a policy, a program or a node."""
        positions, speeds = {}, {}
        for name in self.layout.object_names:
            body = self.model.body(body_name(name))
            positions[name] = self.data.xpos[body.id].copy()
            address = self.model.joint(body_name(name)).dofadr[0]
            speeds[name] = float(np.linalg.norm(self.data.qvel[address : address + 3]))
        if self.layout.plate_xy_m is not None:
            positions[PLATE] = np.array([*self.layout.plate_xy_m, 0.0])
        for name, box in ((OBSTACLE, self.layout.obstacle), (SUPPORT, self.layout.support)):
            if box is not None:
                positions[name] = np.array(box.centre_m)
        return SceneTruth(
            self.stamp_s,
            positions,
            speeds,
            self.obstacle_touches,
            self.keep_out_entries,
            self.robot_state(),
            self.layout,
        )

    def full_state(self) -> FloatArray:
        """Everything needed to resume or to render this instant elsewhere: `mjSTATE_INTEGRATION`."""
        kind = mujoco.mjtState.mjSTATE_INTEGRATION
        state = np.zeros(mujoco.mj_stateSize(self.model, kind))
        mujoco.mj_getState(self.model, self.data, state, kind)
        return state

    def restore(self, state: FloatArray) -> None:
        """Inverse of `full_state`."""
        mujoco.mj_setState(self.model, self.data, state, mujoco.mjtState.mjSTATE_INTEGRATION)
        mujoco.mj_forward(self.model, self.data)

    def _track(self, set_point: SetPoint) -> None:
        ahead_s = min(max(self.stamp_s - set_point.stamp_s, 0.0), MAX_EXTRAPOLATION_S) + self._feed_forward_s
        self.data.ctrl[self._arm_actuators] = set_point.joint_positions + set_point.joint_velocities * ahead_s
        opening = float(self.data.ctrl[self._gripper_actuator])
        goal = min(max(set_point.gripper_width_m, 0.0), GRIPPER_OPEN_M) / 2
        limit = GRIPPER_SPEED_M_S / 2 * PHYSICS_STEP_S
        self.data.ctrl[self._gripper_actuator] = opening + min(max(goal - opening, -limit), limit)

    def _touches_obstacle(self) -> int:
        contacts = self.data.contact
        if self.layout.obstacle is None or self.data.ncon == 0:
            return 0
        pairs = contacts.geom[: self.data.ncon]
        involved = (pairs == self._obstacle_geom).any(axis=1)
        return int(involved.any())

    def _inside_keep_out(self) -> int:
        region = self.layout.keep_out
        return int(region is not None and region.contains(self.data.site_xpos[self._tcp_site]))

    def exchange_when_due(self) -> None:
        """Let objects change places when it is time; for who steps the physics itself, after every step."""
        exchange = self.layout.exchange
        if exchange is None:
            return
        if math.isinf(self._begun_s) and np.abs(self.data.qvel[self._v_address]).max() > UNDER_WAY_RAD_S:
            self._begun_s = self.stamp_s
        if self.stamp_s < self._begun_s + exchange.at_s:
            return
        names = (exchange.first, exchange.second)
        addresses = [self.model.joint(body_name(name)).qposadr[0] for name in names]
        spots = [self.data.qpos[address : address + 3].copy() for address in addresses]
        tcp = self.data.site_xpos[self._tcp_site]
        if min(float(np.linalg.norm(spot - tcp)) for spot in spots) < EXCHANGE_CLEARANCE_M:
            return
        for name, address, spot in zip(names, addresses, reversed(spots), strict=True):
            self.data.qpos[address : address + 3] = [spot[0], spot[1], LOOSE[name].half_height_m]
            speed = self.model.joint(body_name(name)).dofadr[0]
            self.data.qvel[speed : speed + 6] = 0.0
        self.layout = self.layout.exchanged(dict(zip(names, (spot[:2] for spot in reversed(spots)), strict=True)))
        mujoco.mj_forward(self.model, self.data)

    def _place_box(self, name: str, box: BoxPlacement) -> None:
        geom = self.model.geom(body_name(name)).id
        self.model.geom_size[geom] = box.half_size_m
        # MuJoCo culls contacts by bounding radius, box and the body's tree of boxes: all must follow the size.
        self.model.geom_rbound[geom] = np.linalg.norm(box.half_size_m)
        self.model.geom_aabb[geom, 3:] = box.half_size_m
        self.model.bvh_aabb[self.model.body_bvhadr[self.model.body(body_name(name)).id], 3:] = box.half_size_m
        self._place_mocap(name, box.centre_m)

    def _park_everything(self) -> None:
        for index, item in enumerate(LOOSE.values()):
            address = self.model.joint(item.body).qposadr[0]
            # Parked objects float, out of reach of the arm and out of the cameras' view: contacts would cost time.
            self.model.body_gravcomp[self.model.body(item.body).id] = 1.0
            self.data.qpos[address : address + 7] = [PARKED_X_M, 0.5 * index, 0.0, 1, 0, 0, 0]
        self._place_mocap(PLATE, (PARKED_X_M, -1.0, -0.7))
        self._place_mocap(OBSTACLE, (PARKED_X_M, -2.0, -0.5))
        self._place_mocap(SUPPORT, (PARKED_X_M, -3.0, -0.5))

    def _place_mocap(self, thing: str, position: tuple[float, ...]) -> None:
        mocap = self.model.body(body_name(thing)).mocapid[0]
        self.data.mocap_pos[mocap] = position
